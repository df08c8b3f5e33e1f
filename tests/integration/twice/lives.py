"""Lives of batches that together hit every activity of both roles; the same each time they are lived."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.exceptions import CancelledError

from activities.contracts.compliance import PreviewPlan
from activities.contracts.intake import InspectSource
from activities.contracts.reading import ReadBatch
from infra.demo.cast import AUDITOR, COMPLIANCE
from tests.integration.batch.after import require_end
from tests.integration.batch.endings import failed_with
from tests.integration.batch.office import QUEUE, Json, Office, all_of
from tests.integration.batch.resetting import FORGOTTEN, MARK, Resettable, one_approval_of_two
from tests.integration.breaking import Faults, Place
from tests.waiting import eventually_async

HASTY: Final = "HASTY"
"""A jurisdiction that reminds within seconds: later than a gate takes to open though its answer is lost."""

READS_WITHIN: Final = timedelta(seconds=60)
SILENT_FOR: Final = timedelta(seconds=3)


@dataclass(frozen=True, kw_only=True)
class Life:
    """One batch to be lived, and whatever may disturb it on purpose."""

    office: Office
    faults: Faults
    batch_id: str


async def all_the_way(life: Life) -> None:
    """Gated waves, a hold that is cleared late, a message of no known name, and readers of everything."""
    office, batch_id = life.office, life.batch_id
    request = office.request(batch_id, subjects=6, held=1, **_gated(2))
    await office.start(request)
    await office.handle(batch_id).signal("aprove", {})
    await office.pass_gate(batch_id, "compliance")
    await office.pass_gate(batch_id, "issuance")
    await _read(office, "publish_holds", _reading(batch_id), batch_id)
    await office.pass_gate(batch_id, "wave/2")
    await office.until(batch_id, lambda s: bool(s["stage"] == "late"), what="the late stage")
    await office.adjudicate(batch_id, office.holds(batch_id)[0], "clear")
    await office.pass_gate(batch_id, "issuance")
    await office.pass_gate(batch_id, "wave/3")
    await require_end(office, batch_id, "completed")
    preview = PreviewPlan(request=request, subject_count=6)
    await all_of(
        _read(office, "publish_wallets", _reading(batch_id), batch_id),
        _read(office, "find_bundle", _reading(batch_id), batch_id),
        _read(office, "explain_subject", _reading(batch_id, subject_id=f"{batch_id}:0"), batch_id),
        _read(office, "inspect_source", InspectSource(request=request), batch_id),
        _read(office, "preview_plan", preview, batch_id),
    )


async def left_after_a_wave(life: Life) -> None:
    """An open hold, one wave active, then an approved abort: frozen, revoked, cancelled."""
    office, batch_id = life.office, life.batch_id
    await office.start(office.request(batch_id, subjects=11, held=1, **_gated(2)))
    await office.pass_gate(batch_id, "compliance")
    await office.pass_gate(batch_id, "issuance")
    await office.at_gate(batch_id, "wave/2")
    await office.abort(batch_id)
    await require_end(office, batch_id, "rolled_back")


async def reminded_and_rejected(life: Life) -> None:
    """Nobody comes until both reminders are out; then somebody says no."""
    office, batch_id = life.office, life.batch_id
    await office.start(office.request(batch_id, jurisdiction=HASTY))
    gate = await office.at_gate(batch_id, "compliance")

    async def reminded() -> bool:
        told = office.rows(
            "SELECT event_id FROM outbox JOIN batches USING (batch_no)"
            " WHERE batch_id = :id AND delivered_at IS NOT NULL",
            id=batch_id,
        )
        return len(told) == 2

    await eventually_async(reminded, 60, what="two reminders")
    await office.decide(batch_id, gate, COMPLIANCE, by="reject", decision="reject")
    await require_end(office, batch_id, "rejected")


async def cancelled_in_intake(life: Life) -> None:
    """Cancelled while its subjects are being written: they are removed, for nobody planned with them."""
    office, batch_id = life.office, life.batch_id
    hold = life.faults.hold(batch_id, Place(table="slices", matches={"stage": "intake"}))
    try:
        await office.start(office.request(batch_id))
        await hold.taken()
        await office.handle(batch_id).cancel()
        await hold.fence_is_being_raised()
    finally:
        hold.let_go()
    assert isinstance(await failed_with(office.handle(batch_id)), CancelledError)
    await require_end(office, batch_id, "cancelled")


async def terminated_and_swept(life: Life) -> None:
    """Its workflow is terminated under it, and the sweeper has it undone."""
    office, batch_id = life.office, life.batch_id
    await office.start(office.request(batch_id, **_gated(1)))
    await office.pass_gates(batch_id, "compliance", "issuance")
    await office.at_gate(batch_id, "wave/1")
    await office.handle(batch_id).terminate("an operator's mistake")
    await office.client.execute_workflow("SweepBatches", id=f"sweep-{batch_id}", task_queue=QUEUE)
    assert (await office.handle(f"undo/{batch_id}").result())["outcome"] == "aborted"
    assert office.states(batch_id) == {"revoked": 5}


async def reset_at_a_gate(life: Life) -> None:
    """Reset to before the first of its two approvals, which only the record remembers, it goes on."""
    batch = Resettable(office=life.office, batch_id=life.batch_id, to=MARK, messages=FORGOTTEN)
    await one_approval_of_two(batch)
    await require_end(life.office, life.batch_id, "completed")


LIVES: Final[Mapping[str, Callable[[Life], Awaitable[None]]]] = {
    "through": all_the_way,
    "left": left_after_a_wave,
    "rejected": reminded_and_rejected,
    "unplanned": cancelled_in_intake,
    "terminated": terminated_and_swept,
    "reset": reset_at_a_gate,
}


def write_hasty_policy(office: Office) -> None:
    """Lets the jurisdiction exist."""
    office.write_policy(HASTY, remind_hours=0.0016, escalate_hours=0.0018)


def _gated(approve_from_wave: int) -> Json:
    waves = {"waves_percent": [10, 100], "soak_seconds": 0, "approve_from_wave": approve_from_wave}
    return {"jurisdiction": "SG", "rollout": waves}


def _reading(batch_id: str, **more: str) -> ReadBatch:
    return ReadBatch(batch_id=batch_id, reader=AUDITOR.name, reason="a look at the books", **more)


async def _read(office: Office, name: str, question: Any, batch_id: str) -> None:
    """Asks one question as the command line does, of a worker that may fall silent."""
    client: Client = office.client
    await client.execute_activity(
        name,
        question,
        id=f"{name}-{batch_id}",
        task_queue=QUEUE,
        start_to_close_timeout=READS_WITHIN,
        heartbeat_timeout=SILENT_FOR,
    )
