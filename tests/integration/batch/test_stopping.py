"""Batches that are stopped in the middle of a step: what runs is stopped, what undoes is not."""

import asyncio
from collections.abc import Callable

from temporalio.exceptions import CancelledError

from infra.demo.cast import COMPLIANCE, WALLETS
from tests.integration.batch.after import require_end
from tests.integration.batch.endings import failed_with
from tests.integration.batch.office import Office
from tests.integration.hold_up import hold_up
from tests.waiting import eventually_async


async def _held_up(is_waiting: Callable[[], bool]) -> None:
    async def look() -> bool:
        return await asyncio.to_thread(is_waiting)

    await eventually_async(look, 30, what="a step waiting for the table")


async def _no_child_open(office: Office, batch_id: str) -> None:
    """Though the activity of the child still hangs in the database."""

    async def look() -> bool:
        described = await office.handle(batch_id).describe()
        return not described.raw_description.pending_children

    await eventually_async(look, 30, what="no child open")


async def test_cancellation_stops_a_shard_at_work(office: Office) -> None:
    """A slice in flight neither keeps its shard nor its batch going; nothing of the batch is left."""
    batch = office.new_id("midscreen")
    await office.start(office.request(batch))
    await office.at_gate(batch, "compliance")
    with hold_up(office.stack, "pii_keys") as is_waiting:
        await office.pass_gate(batch, "compliance")
        await _held_up(is_waiting)
        await office.handle(batch).cancel()
        await _no_child_open(office, batch)
    assert isinstance(await failed_with(office.handle(batch)), CancelledError)
    await require_end(office, batch, "cancelled")
    assert (office.states(batch), office.fence(batch)) == ({}, 2)


async def test_abort_stops_a_shard_at_work(office: Office) -> None:
    """An approved abort in the middle of a wave goes no further: what became active is frozen."""
    batch = office.new_id("midwave")
    await office.start(office.request(batch))
    await office.at_gate(batch, "compliance")
    with hold_up(office.stack, "outbox", writer_of=batch) as is_waiting:
        await office.pass_gate(batch, "compliance")
        await _held_up(is_waiting)
        await office.abort(batch)
        await _no_child_open(office, batch)
    status = await require_end(office, batch, "rolled_back")
    assert status["cause"] == "aborted"
    assert [wave["state"] for wave in status["waves"]] == ["undone", "planned"]
    assert office.states(batch) == {"frozen": 1, "revoked": 4}


async def test_cancellation_in_the_middle_of_undoing_changes_nothing(office: Office) -> None:
    """A batch that is being left is left to its end, whoever cancels it meanwhile."""
    batch = office.new_id("midundo")
    await office.start(office.request(batch))
    gate = await office.at_gate(batch, "compliance")
    with hold_up(office.stack, "waves") as is_waiting:
        await office.decide(batch, gate, COMPLIANCE, by="reject", decision="reject")
        await _held_up(is_waiting)
        await office.handle(batch).cancel()
    await require_end(office, batch, "rejected")
    assert (await office.handle(batch).result())["outcome"] == "rejected"


async def test_gate_that_opens_while_its_batch_is_cancelled_is_closed(office: Office) -> None:
    """The run never hears that the gate was opened; nobody can approve anything of it afterwards."""
    batch = office.new_id("midgate")
    with hold_up(office.stack, "gates", writer_of=batch) as is_waiting:
        await office.start(office.request(batch))
        await _held_up(is_waiting)
        await office.handle(batch).cancel()
    await require_end(office, batch, "cancelled")


async def test_pause_before_the_plan_holds_once_there_is_one(office: Office) -> None:
    """There is no gate to resume at before the plan names who opens it; the pause is kept until then."""
    batch = office.new_id("midintake")
    with hold_up(office.stack, "subjects") as is_waiting:
        await office.start(office.request(batch))
        await _held_up(is_waiting)
        answer = await office.send(batch, "pause", {"reason": "not yet"})
        assert (answer["counted"], answer["gate"]) == (True, "resume/1")
    gate = await office.at_gate(batch, "resume/1")
    assert (await office.decide(batch, gate, WALLETS, by="resume"))["counted"]
    await office.at_gate(batch, "compliance")
    await office.abort(batch)
    await require_end(office, batch, "aborted")
