"""Workers are upgraded, broken and rolled back under batches that wait and run: nothing is lost or fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pytest
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowExecutionStatus

from activities.store.database import Database
from activities.store.revision import REVISION
from infra.demo.cast import COMPLIANCE, REQUESTER, WALLETS
from infra.demo.staging import set_stage
from infra.devstack import Stack
from infra.devstack.state import REPOSITORY
from tests.integration.batch.office import Json, Office, all_of
from tests.integration.releases import Edits, before_revision, edited
from tests.integration.worker_program import WorkerProgram, settings_with
from tests.replay.fingerprint import command
from tests.waiting import eventually_async

LATER: Final = ("screening", "derivation", "rollout", "record", "ended")
NONDETERMINISTIC: Final = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR

TAKE_IN: Final = "    async def _take_in(self) -> None:\n"
ROLL_OUT: Final = "    async def _roll_out(self) -> None:\n"
SLICE_FIELDS: Final = "    root: str\n    counts: dict[str, int] = field(default_factory=dict)\n"
REST: Final = "await workflow.sleep(timedelta(milliseconds=10))\n"
FIRST, SECOND = "rests-before-intake", "rests-before-waves"

NEW: Final[Edits] = {
    "workflows/stages.py": {
        TAKE_IN: f'{TAKE_IN}        if workflow.patched("{FIRST}"):\n            {REST}',
        ROLL_OUT: f'{ROLL_OUT}        if workflow.patched("{SECOND}"):\n            {REST}',
    },
    "activities/contracts/shapes.py": {SLICE_FIELDS: f"{SLICE_FIELDS}    release: str = 'new'\n"},
}
"""A later release: two commands more, each guarded, and a field more in what a slice gives."""

BROKEN: Final[Edits] = {"workflows/stages.py": {TAKE_IN: f"{TAKE_IN}        {REST}"}}
"""A build that nobody replayed: a command more, without a guard."""


@dataclass(frozen=True)
class Hall:
    """An office whose workers may be of any release."""

    office: Office
    settings: Path
    new: Path
    broken: Path

    def workers(self, *roles: str, code: Path = REPOSITORY) -> "Workers":
        """Workers of a release, polling; today's unless another is named."""
        return Workers([WorkerProgram(role, self.settings, code=code) for role in roles])


class Workers:
    """Some workers of one release; drained by `end`, and whatever happens ended with the block."""

    def __init__(self, programs: list[WorkerProgram]) -> None:
        self._programs = programs

    async def __aenter__(self) -> Self:
        for each in self._programs:
            await asyncio.to_thread(each.until, "polling")
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.end()
        finally:
            for each in self._programs:
                each.end()

    async def end(self) -> None:
        """Lets them drain."""
        for each in self._programs:
            each.terminate()
        for each in self._programs:
            assert await asyncio.to_thread(each.exit_code) == 0


@pytest.fixture(scope="module")
async def hall(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hall]:
    """The office without workers: each test brings those of its releases."""
    place = tmp_path_factory.mktemp("releases")
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    office = Office(stack=stack, stage=set_stage(stack), client=client, owner=owner)
    settings = settings_with(stack, place, {})
    yield Hall(office, settings, edited(place / "new", NEW), edited(place / "broken", BROKEN))
    owner.close()


async def begin(office: Office, word: str, *, subjects: int = 5) -> tuple[str, Json]:
    """A batch that waits at its first gate."""
    batch_id = office.new_id(word)
    await office.start(office.request(batch_id, subjects=subjects))
    return batch_id, await office.at_gate(batch_id, "compliance")


async def approve(office: Office, batch_id: str, gate: Json) -> None:
    """Both who are asked sign, and leave it with the engine: no worker needs to answer."""
    for member in (COMPLIANCE, WALLETS):
        message = await asyncio.to_thread(office.message, batch_id, gate, member)
        await office.handle(batch_id).signal("approve", message)


async def until_suspended(office: Office, batch_id: str) -> None:
    """Waits until a worker found that it cannot go on; the batch is running all the same."""

    async def is_suspended() -> bool:
        return NONDETERMINISTIC in [cause async for cause in failed_tasks(office, batch_id)]

    await eventually_async(is_suspended, 30, what=f"{batch_id} suspended")
    assert (await office.handle(batch_id).describe()).status is WorkflowExecutionStatus.RUNNING


async def failed_tasks(office: Office, batch_id: str) -> AsyncIterator[int]:
    """Why workers could not go on with a batch, each time that the engine noted."""
    async for event in office.handle(batch_id).fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            yield event.workflow_task_failed_event_attributes.cause


async def markers(office: Office, batch_id: str) -> list[str]:
    """The patches that a batch has met."""
    history = json.loads((await office.handle(batch_id).fetch_history()).to_json())
    return [line.split()[-1] for event in history["events"] if (line := command(event)).startswith("marker")]


async def require_told(office: Office, batch_id: str) -> None:
    """Both command lines say so: ours in a sentence, Temporal's as the failed task."""
    said = await office.walletworks(REQUESTER, "status", batch_id)
    assert (said.returncode, said.stdout) == (3, "")
    assert "the batch is suspended: the workers' release cannot go on with it" in said.stderr
    shown = await office.temporal("workflow", "show", "--workflow-id", batch_id)
    assert "WorkflowTaskFailed" in shown.stdout


async def test_batches_outlive_bad_builds_upgrades_and_roll_backs(hall: Hall) -> None:
    """What a build cannot go on with is suspended and told, not failed; under another it ends well."""
    office = hall.office
    async with hall.workers("custody"):
        async with hall.workers("provisioning"):
            waiting, gate = await begin(office, "waiting")
        async with hall.workers("provisioning", code=hall.broken):
            await approve(office, waiting, gate)
            await until_suspended(office, waiting)
            await require_told(office, waiting)
        async with hall.workers("provisioning", code=hall.new):
            marked, gate = await begin(office, "marked")
        async with hall.workers("provisioning") as old:
            await approve(office, marked, gate)
            await until_suspended(office, marked)
            async with hall.workers("provisioning", code=hall.new):
                running, gate = await begin(office, "running", subjects=2000)
                await approve(office, running, gate)
                await office.until(running, lambda s: s["stage"] in LATER, what="screening")
                await old.end()
                ended = await all_of(*(office.handle(each).result() for each in (waiting, marked, running)))
    assert [each["outcome"] for each in ended] == ["completed"] * 3
    assert [office.states(each) for each in (waiting, marked)] == [{"active": 5}] * 2
    assert office.states(running) == {"active": 2000}
    assert FIRST not in await markers(office, waiting)
    assert FIRST in await markers(office, marked)


async def test_release_before_works_on_the_newest_schema(hall: Hall, tmp_path: Path) -> None:
    """Schema first, workers then: the release before provisions on it, and today's takes its batches on."""
    office, before = hall.office, before_revision(tmp_path / "before", REVISION)
    async with hall.workers("provisioning", "custody", code=before):
        whole, gate = await begin(office, "whole")
        handed_on, other = await begin(office, "handed-on")
        await approve(office, whole, gate)
        assert (await office.handle(whole).result())["outcome"] == "completed"
    async with hall.workers("provisioning", "custody"):
        await approve(office, handed_on, other)
        assert (await office.handle(handed_on).result())["outcome"] == "completed"
    assert [office.states(each) for each in (whole, handed_on)] == [{"active": 5}] * 2
    assert [cause async for cause in failed_tasks(office, handed_on)] == []
