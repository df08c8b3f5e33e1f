"""Lives of batches that together hit every activity of both roles; the same each time they are lived."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import psycopg
from temporalio.client import Client
from temporalio.exceptions import CancelledError

from activities.contracts.compliance import PreviewPlan
from activities.contracts.intake import InspectSource
from activities.contracts.reading import ReadBatch
from infra.demo.cast import AUDITOR, COMPLIANCE
from infra.devstack import Stack
from tests.integration.batch.after import require_end
from tests.integration.batch.endings import failed_with
from tests.integration.batch.office import QUEUE, Json, Office
from tests.waiting import eventually_async

HASTY: Final = "HASTY"
"""A jurisdiction that reminds within seconds: later than a gate takes to open though its answer is lost."""

_WRITER_WAITS: Final = """
    SELECT count(*) > 0 FROM pg_locks waits JOIN pg_locks fence USING (pid)
    WHERE waits.relation = 'subjects'::regclass AND NOT waits.granted
      AND fence.locktype = 'advisory' AND fence.granted
      AND (fence.classid::bigint << 32) | fence.objid::bigint = hashtextextended(%s, 0)
"""
"""The writer holds its batch's fence meanwhile; other batches' writers may wait beside it."""

READS_WITHIN: Final = timedelta(seconds=60)
SILENT_FOR: Final = timedelta(seconds=3)


async def all_the_way(office: Office, batch_id: str) -> None:
    """Gated waves, a hold that is cleared late, a message of no known name, and readers of everything."""
    request = office.request(batch_id, subjects=6, held=1, **_gated(2))
    await office.start(request)
    await office.handle(batch_id).signal("aprove", {})
    await office.pass_gate(batch_id, "compliance")
    await office.pass_gate(batch_id, "issuance")
    await _read(office, "publish_holds", _reading(batch_id))
    await office.pass_gate(batch_id, "wave/2")
    await office.until(batch_id, lambda s: bool(s["stage"] == "late"), what="the late stage")
    await office.adjudicate(batch_id, office.holds(batch_id)[0], "clear")
    await office.pass_gate(batch_id, "issuance")
    await office.pass_gate(batch_id, "wave/3")
    await require_end(office, batch_id, "completed")
    await _read(office, "publish_wallets", _reading(batch_id))
    await _read(office, "find_bundle", _reading(batch_id))
    await _read(office, "explain_subject", _reading(batch_id, subject_id=f"{batch_id}:0"))
    await _read(office, "inspect_source", InspectSource(request=request))
    await _read(office, "preview_plan", PreviewPlan(request=request, subject_count=6))


async def left_after_a_wave(office: Office, batch_id: str) -> None:
    """An open hold, one wave active, then an approved abort: frozen, revoked, cancelled."""
    await office.start(office.request(batch_id, subjects=11, held=1, **_gated(2)))
    await office.pass_gate(batch_id, "compliance")
    await office.pass_gate(batch_id, "issuance")
    await office.at_gate(batch_id, "wave/2")
    await office.abort(batch_id)
    await require_end(office, batch_id, "rolled_back")


async def reminded_and_rejected(office: Office, batch_id: str) -> None:
    """Nobody comes until both reminders are out; then somebody says no."""
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


async def cancelled_in_intake(office: Office, batch_id: str) -> None:
    """Cancelled while its subjects are being written: they are removed, for nobody planned with them."""
    with _subjects_held_up(office.stack, batch_id) as is_waiting:
        await office.start(office.request(batch_id))

        async def look() -> bool:
            return is_waiting()

        await eventually_async(look, 60, what="a slice of subjects that waits to be written")
        await office.handle(batch_id).cancel()
        await office.until(batch_id, lambda s: bool(s["waiting_for"] is None), what="its leaving")
    assert isinstance(await failed_with(office.handle(batch_id)), CancelledError)
    await require_end(office, batch_id, "cancelled")


async def terminated_and_swept(office: Office, batch_id: str) -> None:
    """Its workflow is terminated under it, and the sweeper has it undone."""
    await office.start(office.request(batch_id, **_gated(1)))
    await office.pass_gates(batch_id, "compliance", "issuance")
    await office.at_gate(batch_id, "wave/1")
    await office.handle(batch_id).terminate("an operator's mistake")
    await office.client.execute_workflow("SweepBatches", id=f"sweep-{batch_id}", task_queue=QUEUE)
    assert (await office.handle(f"undo/{batch_id}").result())["outcome"] == "aborted"
    assert office.states(batch_id) == {"revoked": 5}


LIVES: Final[Mapping[str, Callable[[Office, str], Awaitable[None]]]] = {
    "through": all_the_way,
    "left": left_after_a_wave,
    "rejected": reminded_and_rejected,
    "unplanned": cancelled_in_intake,
    "terminated": terminated_and_swept,
}


def write_hasty_policy(office: Office) -> None:
    """Lets the jurisdiction exist."""
    office.write_policy(HASTY, remind_hours=0.0016, escalate_hours=0.0018)


def _gated(approve_from_wave: int) -> Json:
    waves = {"waves_percent": [10, 100], "soak_seconds": 0, "approve_from_wave": approve_from_wave}
    return {"jurisdiction": "SG", "rollout": waves}


def _reading(batch_id: str, **more: str) -> ReadBatch:
    return ReadBatch(batch_id=batch_id, reader=AUDITOR.name, reason="a look at the books", **more)


async def _read(office: Office, name: str, question: Any) -> None:
    """Asks one question as the command line does, of a worker that may fall silent."""
    client: Client = office.client
    await client.execute_activity(
        name,
        question,
        id=f"{name}-{uuid4()}",
        task_queue=QUEUE,
        start_to_close_timeout=READS_WITHIN,
        heartbeat_timeout=SILENT_FOR,
    )


@contextmanager
def _subjects_held_up(stack: Stack, batch_id: str) -> Iterator[Callable[[], bool]]:
    """Keeps subjects from being written, not from being read; gives whether the batch's writer waits."""
    owner = stack.database_url("owner")
    with psycopg.connect(owner, autocommit=True) as looking, psycopg.connect(owner) as holding:
        holding.execute("LOCK TABLE subjects IN SHARE MODE")
        yield lambda: looking.execute(_WRITER_WAITS, [f"fence/{batch_id}"]).fetchone() == (True,)
        holding.rollback()
