"""`temporal workflow reset` of batches: it revives no decision and loses none, and nothing waits for ever."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.integration.batch.after import require_end
from tests.integration.batch.office import Office
from tests.integration.batch.rewound import SCENES, Rewound, Scene
from tests.integration.batch.side_by_side import AT_ONCE, ToCome, chosen_rows, under_way
from tests.integration.breaking import Faults


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

Played = ToCome[Rewound]


@pytest.fixture(scope="module")
async def played(request: pytest.FixtureRequest, office: Office, faults: Faults) -> AsyncIterator[Played]:
    """Plays the chosen cases."""
    cases: list[Case] = chosen_rows(request, "case")
    turns = asyncio.Semaphore(AT_ONCE)
    async with under_way({case.id: _play(case, office, faults, turns) for case in cases}) as to_come:
        yield to_come


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
