"""`temporal workflow reset` of batches: it revives no decision and loses none, and nothing waits for ever."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final, cast

import pytest

from tests.integration.batch.after import require_end
from tests.integration.batch.office import Office
from tests.integration.batch.rewound import SCENES, Rewound, Scene
from tests.integration.breaking import Faults, breaking

AT_ONCE: Final = 8
"""Batches under way: more would only wait for each other on two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A scene, how it is reset, and how its batch ends."""

    scene: Scene
    outcome: str
    to: str
    messages: str

    @property
    def id(self) -> str:
        """How the case is called in the report."""
        return f"{self.scene.__name__.replace('_', ' ')}, to {self.to}, {self.messages}"


CASES: Final = [
    Case(scene=scene, outcome=outcome, to=to, messages=messages)
    for scene, outcome, rewinds in SCENES
    for to, messages in rewinds
]

Played = dict[str, "asyncio.Task[Rewound]"]


@pytest.fixture(scope="module")
def faults(office: Office) -> Iterator[Faults]:
    """Holds writes up where a scene says so."""
    with breaking(office.stack) as planned:
        yield planned


@pytest.fixture(scope="module")
async def played(request: pytest.FixtureRequest, office: Office, faults: Faults) -> AsyncIterator[Played]:
    """Plays the chosen cases side by side; each one's failure is kept for its own test."""
    chosen = [
        cast("Case", item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and hasattr(item, "callspec")
    ]
    turns = asyncio.Semaphore(AT_ONCE)
    tasks = {case.id: asyncio.create_task(_play(case, office, faults, turns)) for case in chosen}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _play(case: Case, office: Office, faults: Faults, turns: asyncio.Semaphore) -> Rewound:
    async with turns:
        batch = Rewound(
            office=office, faults=faults, batch_id=office.new_id("reset"), to=case.to, messages=case.messages
        )
        await case.scene(batch)
        result = await office.handle(batch.batch_id).result()
        assert result["outcome"] == case.outcome
        return batch


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
async def test_reset_batch_ends_as_the_record_has_it(case: Case, office: Office, played: Played) -> None:
    """Gates count from the database, orders hold, an ended batch answers from its record unchanged."""
    batch = await played[case.id]
    before = batch.trace()
    if batch.recorded:
        assert before == batch.recorded
        status = await office.until_ended(batch.batch_id)
        assert (status["stage"], status["outcome"]) == ("ended", case.outcome)
        return
    await require_end(office, batch.batch_id, case.outcome)
    expected = {"completed": {"active": before["states"].get("active", 0)}}.get(case.outcome, {})
    assert office.states(batch.batch_id) == expected
    if case.outcome == "completed":
        assert expected == {"active": 5}
