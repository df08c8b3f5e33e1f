"""Records histories and their fingerprints: `python -m tests.replay.record`, into folders of the next number.

Real batches on a stack of their own, in a folder whose name says nothing of a machine. A recorded history is
never changed or removed again: running batches anywhere may have gone the same way.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from temporalio.client import Client, ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from activities.store.database import Database
from infra.demo.cast import COMPLIANCE, WALLETS
from infra.demo.staging import set_stage
from infra.devstack import Stack
from infra.devstack import temporal as engine
from tests.integration.batch.office import QUEUE, Office, all_of, waits_at
from tests.patience import Patience
from tests.replay.fingerprint import HISTORIES, write_fingerprints
from tests.replay.neutral import neutral
from tests.waiting import eventually_async
from workers.schedules import SWEEPER
from workflows.undo_batch import undo_id

STATE: Final = Path("/var/tmp/walletworks-replay")  # noqa: S108 - a neutral name, wiped when done

EVENTS_BEFORE_NEW_RUN: Final = 60
"""The server suggests to continue as new after so many events, so that a small batch has several runs."""

WAVES: Final = {"waves_percent": [1, 10, 50, 100], "soak_seconds": 1, "approve_from_wave": 2}

Scene = Callable[[Office, str], Awaitable[Any]]


async def completed(office: Office, batch_id: str) -> None:
    """Goes the whole way: gates, a pause, refused messages, waves, holds settled late, a late wave."""
    request = office.request(batch_id, subjects=1030, held=3, jurisdiction="SG", rollout=WAVES)
    handle = await office.start(request)
    gate = await office.at_gate(batch_id, "compliance")
    await handle.signal("aprove", {"statement": "misspelt"})
    await handle.signal("approve", {"statement": "neither signed nor a statement", "signature": "-"})
    await office.send(batch_id, "pause", {"reason": "a question about the plan"})
    for member in (COMPLIANCE, WALLETS):
        await office.decide(batch_id, gate, member)
    await Patience(office, batch_id, refuse=frozenset({2})).carry_through()


async def rejected(office: Office, batch_id: str) -> None:
    """Ends at its first gate."""
    await office.start(office.request(batch_id))
    gate = await office.at_gate(batch_id, "compliance")
    await office.decide(batch_id, gate, COMPLIANCE, by="reject", decision="reject")
    await office.until_ended(batch_id)


async def rejected_after_derivation(office: Office, batch_id: str) -> None:
    """Ends with ready wallets, which are revoked."""
    rollout = WAVES | {"approve_from_wave": 1}
    await office.start(office.request(batch_id, jurisdiction="SG", rollout=rollout))
    await office.pass_gates(batch_id, "compliance", "issuance")
    gate = await office.at_gate(batch_id, "wave/1")
    await office.decide(batch_id, gate, WALLETS, by="reject", decision="reject")
    await office.until_ended(batch_id)


async def rolled_back(office: Office, batch_id: str) -> None:
    """Is aborted once its first wave is active."""
    await office.start(office.request(batch_id, jurisdiction="SG", rollout=WAVES))
    await office.pass_gates(batch_id, "compliance", "issuance")
    status = await office.until(batch_id, lambda s: waits_at(s, "wave/2"), what="the second wave's gate")
    rollback = next(gate for gate in status["gates"] if gate["gate"] == "rollback")
    await office.decide(batch_id, rollback, COMPLIANCE, by="abort")
    await office.until_ended(batch_id)


async def expired(office: Office, batch_id: str) -> None:
    """Is reminded, escalated, and expires after seven days."""
    skipper = TimeSkipper(office.client, config=TimeSkippingConfig(enabled=False))
    request = office.request(batch_id)
    await skipper.client.start_workflow("ProvisionBatch", request, id=batch_id, task_queue=QUEUE)
    await office.at_gate(batch_id, "compliance")
    await skipper.fast_forward(office.handle(batch_id), timedelta(days=8))
    await office.until_ended(batch_id)


async def cancelled(office: Office, batch_id: str) -> None:
    """Is cancelled while it waits."""
    handle = await office.start(office.request(batch_id))
    await office.at_gate(batch_id, "compliance")
    await handle.cancel()
    await office.until_ended(batch_id)


async def terminated(office: Office, batch_id: str) -> None:
    """Is terminated once its first wave is active, and undone by the sweeper."""
    handle = await office.start(office.request(batch_id, jurisdiction="SG", rollout=WAVES))
    await office.pass_gates(batch_id, "compliance", "issuance")
    await office.at_gate(batch_id, "wave/2")
    await handle.terminate("nobody waits for it any more")
    await office.client.get_schedule_handle(SWEEPER).trigger(overlap=ScheduleOverlapPolicy.ALLOW_ALL)
    await eventually_async(lambda: _is_known(office.client, undo_id(batch_id)), 90, what="its undoing")
    await office.handle(undo_id(batch_id)).result()


async def refused(office: Office, batch_id: str) -> None:
    """Asks for what the policy does not allow."""
    await office.start(office.request(batch_id, purpose="institutional"))
    await office.until_ended(batch_id)


async def invalid(office: Office, batch_id: str) -> None:
    """Is no valid request at all."""
    handle = await office.start({"batch_id": batch_id, "surprise": True})
    async for _ in handle.fetch_history_events(wait_new_event=True):
        """Until its last event is there."""


async def continued(office: Office, batch_id: str) -> None:
    """Goes the whole way in several runs."""
    await office.start(office.request(batch_id, subjects=40, jurisdiction="SG", rollout=WAVES))
    await Patience(office, batch_id).carry_through()


SCENES: Final[tuple[Scene, ...]] = (
    *(completed, rejected, rejected_after_derivation, rolled_back, expired, cancelled, terminated),
    *(refused, invalid),
)


async def record(target: Path) -> None:
    """Plays every scene and writes every history of every workflow in it."""
    with Stack(STATE) as stack:
        await _play(stack, SCENES, target)
        stack.temporal.stop()
        limit = {"limit.historyCount.suggestContinueAsNew": str(EVENTS_BEFORE_NEW_RUN)}
        engine.DYNAMIC_CONFIG.update(limit)
        stack.start_server("temporal")
        await _play(stack, (continued,), target)
    stack.wipe()


async def _play(stack: Stack, scenes: tuple[Scene, ...], target: Path) -> None:
    stage = set_stage(stack)
    stack.start_workers()
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    office = Office(stack=stack, stage=stage, client=client, owner=owner)
    try:
        names = [scene.__name__.replace("_", "-") for scene in scenes]
        await all_of(*(scene(office, name) for scene, name in zip(scenes, names, strict=True)))
        for name in names:
            await _write_histories(client, name, target)
    finally:
        owner.close()


async def _write_histories(client: Client, batch_id: str, target: Path) -> None:
    async for name, history in histories(client, batch_id):
        path = target / f"{name.replace('/', '-')}.json"
        path.write_text(json.dumps(neutral(history), indent=1, sort_keys=True) + "\n")
        sys.stdout.write(f"{path.name}: {len(history['events'])} events, {path.stat().st_size:,} bytes\n")


async def histories(client: Client, batch_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The histories of a batch by name: all its runs', their shards', and its undoing's."""
    newest = await client.get_workflow_handle(batch_id).describe()
    first_run = newest.raw_description.workflow_execution_info.first_run_id
    async for found in _histories(client, batch_id, batch_id, first_run):
        yield found
    if await _is_known(client, undo_id(batch_id)):
        undoing = await client.get_workflow_handle(undo_id(batch_id)).describe()
        async for found in _histories(client, f"{batch_id}-undo", undoing.id, undoing.run_id):
            yield found
        assert undoing.parent_id, "a sweep starts it"
        sweep = client.get_workflow_handle(undoing.parent_id, run_id=undoing.parent_run_id)
        yield f"{batch_id}-sweep", json.loads((await sweep.fetch_history()).to_json())


async def _is_known(client: Client, workflow_id: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def _histories(
    client: Client, name: str, workflow_id: str, run_id: str
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A workflow's history, those of its children, and those of the runs it continued as."""
    history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
    yield name, json.loads(history.to_json())
    next_run = ""
    for event in history.events:
        started = event.child_workflow_execution_started_event_attributes.workflow_execution
        if started.workflow_id:
            child = f"{name}/{started.workflow_id.partition('/')[2]}"
            async for found in _histories(client, child, started.workflow_id, started.run_id):
                yield found
        next_run = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id or next_run
    if next_run:
        stem, _, run = name.partition(".")
        async for found in _histories(client, f"{stem}.{int(run or 1) + 1}", workflow_id, next_run):
            yield found


def main() -> None:
    """Records a new generation."""
    newest = max((int(folder.name) for folder in HISTORIES.glob("[0-9]*")), default=0)
    target = HISTORIES / f"{newest + 1:03d}"
    target.mkdir(parents=True)
    asyncio.run(record(target))
    write_fingerprints(target.name)


if __name__ == "__main__":
    main()
