"""Every stage times every way to end early, and every compensation that fails for a while: one test a row."""

import asyncio
import re
from collections.abc import AsyncIterator
from itertools import product
from typing import Final

import pytest

from tests.integration.batch.after import require_end, require_nothing_open
from tests.integration.batch.endings_table import (
    CASES,
    COMPENSATIONS,
    EXPIRY,
    IMPOSSIBLE,
    REJECT,
    STAGES,
    TERMINATE,
    UNDOING,
    UNDONE_WITH_EVERYTHING,
    WAYS,
    Case,
    Compensation,
    Impossible,
)
from tests.integration.batch.office import ENDS_WITHIN, Json, Office, waits_at
from tests.integration.batch.play import Play
from tests.integration.batch.scenes import GATED_SECOND_WAVE, place_of
from tests.integration.batch.side_by_side import AT_ONCE, ToCome, chosen_rows, under_way
from tests.integration.breaking import AWAY, REFUSED, Faults, Refusal
from tests.waiting import eventually_async

QUICK_TRIES: Final = 3
"""Tries the engine makes by itself on either queue before an outage is shown: three or five."""

TRIES: Final = {REFUSED: 2, AWAY: 6}
"""How often a compensation fails."""

Row = Case | Compensation
Ended = ToCome[Json]


@pytest.fixture(scope="module")
async def ended(request: pytest.FixtureRequest, office: Office, faults: Faults) -> AsyncIterator[Ended]:
    """Starts the chosen rows, those that take longest first; gives each one's last status to come."""
    rows: list[Row] = sorted(chosen_rows(request, "row"), key=lambda row: isinstance(row, Case))
    turns = asyncio.Semaphore(AT_ONCE)
    plays = {
        row.id: _played(row, office, faults, turns)
        if isinstance(row, Case)
        else _undone_late(row, office, faults)
        for row in rows
    }
    async with under_way(plays) as to_come:
        yield to_come


async def _played(case: Case, office: Office, faults: Faults, turns: asyncio.Semaphore) -> Json:
    async with turns:
        play = Play(office=office, faults=faults, case=case, batch_id=office.new_id("ending"))
        await play.to_the_end()
        if case.way != TERMINATE:
            return await require_end(office, play.batch_id, case.outcome)
        status = await office.status(play.ended_by)
        await require_nothing_open(office, play.batch_id, status)
        return status


async def _undone_late(row: Compensation, office: Office, faults: Faults) -> Json:
    """Fails one step of the undoing for a while; nothing that looks like an end is seen meanwhile."""
    batch_id = office.new_id("undoing")
    await office.start(office.request(batch_id, subjects=10, held=1, **GATED_SECOND_WAVE))
    await office.pass_gate(batch_id, "compliance")
    await office.at_gate(batch_id, "wave/2")
    sqlstate = AWAY if row.fails_by == "away" else REFUSED
    refusal = faults.refuse(batch_id, place_of(row.step, batch_id), times=TRIES[sqlstate], sqlstate=sqlstate)
    await office.abort(batch_id)
    await _until_calls(refusal, min(TRIES[sqlstate], QUICK_TRIES))
    name = "database" if row.waits_for == "service" else row.step
    seen = await office.until(batch_id, lambda status: waits_at(status, name), what=f"waiting for {name}")
    assert seen["waiting_for"]["kind"] == row.waits_for
    running = await office.handle(batch_id).describe()
    assert running.close_time is None
    await office.handle(batch_id).result()
    assert refusal.calls() == TRIES[sqlstate] + 1
    return await require_end(office, batch_id, UNDONE_WITH_EVERYTHING.outcome)


async def _until_calls(refusal: Refusal, calls: int) -> None:
    async def look() -> bool:
        return refusal.calls() >= calls

    await eventually_async(look, 2 * ENDS_WITHIN, what=f"{calls} tries")


def test_each_combination_is_a_case_or_a_named_impossibility() -> None:
    """Nothing is left out of the table, and nothing stands in it twice."""
    rows: list[Case | Impossible] = [*CASES, *IMPOSSIBLE]
    listed = [(row.stage, row.way) for row in rows]
    assert sorted(listed) == sorted(product(STAGES, WAYS))
    assert all(row.reason for row in IMPOSSIBLE)


@pytest.mark.parametrize("row", CASES, ids=[case.id for case in CASES])
async def test_batch_left_at_a_stage_ends_as_the_table_says(row: Case, office: Office, ended: Ended) -> None:
    """At the end stands what the design names, one record of the undoing, and nothing in between."""
    await _require_left(office, await ended[row.id], row)


@pytest.mark.parametrize("row", COMPENSATIONS, ids=[row.id for row in COMPENSATIONS])
async def test_compensation_that_fails_for_a_while_is_waited_for(
    row: Compensation, office: Office, ended: Ended
) -> None:
    """`status` says what the batch waits for, no end is reported before, and then all is undone once.

    The table has a row for every step of leaving early, as the engine's own history tells them.
    """
    status = await ended[row.id]
    await _require_left(office, status, UNDONE_WITH_EVERYTHING)
    assert await _steps_of_leaving(office, status["batch_id"]) == {each.step for each in COMPENSATIONS}


async def _require_left(office: Office, status: Json, case: Case) -> None:
    batch_id = status["batch_id"]
    assert (status["outcome"], status["cause"]) == (case.outcome, case.cause)
    if case.way in {REJECT, EXPIRY}:
        assert status["reasons"][0].endswith(f": {case.cause}"), status["reasons"]
    closed = (await office.handle(batch_id).describe()).status
    assert closed is not None
    assert closed.name == case.workflow
    assert office.states(batch_id) == case.wallets
    assert office.accounts(batch_id) == list(case.accounts)
    assert office.fence(batch_id) == case.fence
    assert _undoing(office, batch_id) == list(case.undone)


async def _steps_of_leaving(office: Office, batch_id: str) -> set[str]:
    history = await office.handle(batch_id).fetch_history()
    scheduled = [event.activity_task_scheduled_event_attributes for event in history.events]
    names = [each.activity_type.name for each in scheduled if each.activity_id]
    return set(names[names.index("raise_fence") :])


def _undoing(office: Office, batch_id: str) -> list[str]:
    """The kinds of the audit records of the undoing, in their order."""
    entries = office.rows(
        "SELECT body FROM audit_entries WHERE chain = :chain ORDER BY seq", chain=f"batch/{batch_id}"
    )
    kinds = [re.search(r'"kind":"([a-z._]+)"', entry.body) for entry in entries]
    return [kind[1] for kind in kinds if kind and kind[1] in UNDOING]
