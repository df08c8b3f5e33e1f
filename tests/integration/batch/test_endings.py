"""Every stage times every way to end early, one test a row: the batches run side by side from the start."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from itertools import product
from typing import Final, cast

import pytest

from tests.integration.batch.after import require_end
from tests.integration.batch.endings_table import CASES, IMPOSSIBLE, STAGES, UNDOING, WAYS, Case, Impossible
from tests.integration.batch.office import Json, Office
from tests.integration.batch.play import Play
from tests.integration.breaking import Faults, breaking

AT_ONCE: Final = 8
"""Batches under way: more would only wait for each other on two cores."""

Ended = dict[str, "asyncio.Task[Json]"]


@pytest.fixture(scope="module")
def faults(office: Office) -> Iterator[Faults]:
    """Breaks the office's store where a test says so."""
    with breaking(office.stack) as planned:
        yield planned


@pytest.fixture(scope="module")
async def ended(request: pytest.FixtureRequest, office: Office, faults: Faults) -> AsyncIterator[Ended]:
    """Starts the chosen rows in their order; each one's failure is kept for its own test."""
    chosen = [
        cast("Case", item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    turns = asyncio.Semaphore(AT_ONCE)
    tasks = {case.id: asyncio.create_task(_played(case, office, faults, turns)) for case in chosen}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _played(case: Case, office: Office, faults: Faults, turns: asyncio.Semaphore) -> Json:
    async with turns:
        play = Play(office=office, faults=faults, case=case, batch_id=office.new_id("ending"))
        await play.to_the_end()
        return await require_end(office, play.batch_id, case.outcome)


def test_each_combination_is_a_case_or_a_named_impossibility() -> None:
    """Nothing is left out of the table, and nothing stands in it twice."""
    rows: list[Case | Impossible] = [*CASES, *IMPOSSIBLE]
    listed = [(row.stage, row.way) for row in rows]
    assert sorted(listed) == sorted(product(STAGES, WAYS))
    assert all(row.reason for row in IMPOSSIBLE)


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
async def test_batch_left_at_a_stage_ends_as_the_table_says(case: Case, office: Office, ended: Ended) -> None:
    """At the end stands what the design names, one record of the undoing, and nothing in between."""
    status = await ended[case.id]
    batch_id = status["batch_id"]
    assert status["cause"] == case.cause
    closed = (await office.handle(batch_id).describe()).status
    assert closed is not None
    assert closed.name == case.workflow
    assert office.states(batch_id) == case.wallets
    assert office.accounts(batch_id) == list(case.accounts)
    assert office.fence(batch_id) == case.fence
    assert _undoing(office, batch_id) == list(case.undone)


def _undoing(office: Office, batch_id: str) -> list[str]:
    """The kinds of the audit records of the undoing, in their order."""
    entries = office.rows(
        "SELECT body FROM audit_entries WHERE chain = :chain ORDER BY seq", chain=f"batch/{batch_id}"
    )
    kinds = [re.search(r'"kind":"([a-z._]+)"', entry.body) for entry in entries]
    return [kind[1] for kind in kinds if kind and kind[1] in UNDOING]
