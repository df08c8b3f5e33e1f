"""Batches whose workflow was terminated: no code of theirs runs any more, and the sweeper undoes them."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlparse
from zipfile import ZipFile

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError

from infra.demo.cast import COMPLIANCE, REQUESTER
from tests.integration.batch.after import (
    require_audit,
    require_bundle,
    require_end,
    require_no_child_open,
    require_no_gate_open,
    require_record,
)
from tests.integration.batch.endings import failure_of
from tests.integration.batch.office import QUEUE, Json, Office, all_of
from tests.integration.batch.test_left_early import ALL_GATES
from tests.integration.hold_up import hold_up
from tests.waiting import eventually, eventually_async


async def terminate(office: Office, batch_id: str) -> None:
    """Cuts a batch off, as `temporal workflow terminate` does."""
    done = await office.temporal("workflow", "terminate", "--workflow-id", batch_id, "--reason", "a try")
    assert done.returncode == 0, done.stderr


async def sweep(office: Office) -> None:
    """Sweeps now, instead of at the next minute."""
    done = await office.temporal("schedule", "trigger", "--schedule-id", "walletworks-sweeper")
    assert done.returncode == 0, done.stderr


async def undoing_known(office: Office, batch_id: str) -> None:
    """Waits until the undoing is at work, or done."""

    async def is_known() -> bool:
        try:
            seen = await office.handle(f"undo/{batch_id}").describe()
        except RPCError:
            return False
        return seen.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED)

    await eventually_async(is_known, 30, what="the undoing")


async def undone(office: Office, batch_id: str) -> Json:
    """The last status of the undoing, once everything holds that must hold after every end."""
    await undoing_known(office, batch_id)
    await office.handle(f"undo/{batch_id}").result()
    status = await office.status(f"undo/{batch_id}")
    require_record(office, batch_id, status)
    require_no_gate_open(office, batch_id)
    require_audit(office, batch_id)
    require_bundle(office, status)
    await require_no_child_open(office, batch_id)
    return status


def _bundle_of(status: Json) -> Path:
    return Path(unquote(urlparse(status["documents"]["bundle"]["uri"]).path))


def undoing_is_in_the_bundle(status: Json, batch_id: str) -> bool:
    """Whether the auditor is shown who undid the batch."""
    with ZipFile(_bundle_of(status)) as members, members.open("histories.jsonl") as lines:
        return f"undo/{batch_id}" in {json.loads(line)["workflow_id"] for line in lines}


async def test_terminated_batch_is_undone_by_the_sweeper(office: Office) -> None:
    """Before the pivot wallets are revoked, after it frozen; the request is answered from the record."""
    early, late = office.new_id("cut1"), office.new_id("cut2")
    requests = {name: office.request(name, **ALL_GATES) for name in (early, late)}
    await all_of(*(office.start(request) for request in requests.values()))
    await all_of(
        office.pass_gates(early, "compliance", "issuance"),
        office.pass_gates(late, "compliance", "issuance", "wave/1"),
    )
    await all_of(office.at_gate(early, "wave/1"), office.at_gate(late, "wave/2"))
    await all_of(terminate(office, early), terminate(office, late))
    await sweep(office)
    before, after = await all_of(undone(office, early), undone(office, late))
    assert undoing_is_in_the_bundle(before, early)
    assert (before["outcome"], before["cause"]) == ("aborted", "terminated")
    assert (after["outcome"], after["cause"]) == ("rolled_back", "terminated")
    assert (office.states(early), office.accounts(early)) == ({"revoked": 5}, ["burned"])
    assert (office.states(late), office.accounts(late)) == ({"frozen": 1, "revoked": 4}, ["kept"])
    assert [office.fence(batch) for batch in (early, late)] == [2, 2]
    again = await (await office.start(requests[early])).result()
    assert (again["outcome"], again["counts"]) == (before["outcome"], before["counts"])


async def test_batch_whose_time_ran_out_is_undone_by_the_sweeper(office: Office) -> None:
    """A start may set a limit to the whole execution; no code of the batch runs after it either."""
    batch = office.new_id("timed")
    await office.client.start_workflow(
        "ProvisionBatch",
        office.request(batch, **ALL_GATES),
        id=batch,
        task_queue=QUEUE,
        execution_timeout=timedelta(seconds=5),
    )
    await office.pass_gates(batch, "compliance", "issuance")
    await office.at_gate(batch, "wave/1")
    with pytest.raises(WorkflowFailureError):
        await office.handle(batch).result()
    assert (await office.handle(batch).describe()).status is WorkflowExecutionStatus.TIMED_OUT
    await sweep(office)
    status = await undone(office, batch)
    assert (status["outcome"], status["cause"]) == ("aborted", "terminated")
    assert (office.states(batch), office.accounts(batch)) == ({"revoked": 5}, ["burned"])


async def test_command_line_tells_of_a_terminated_batch(office: Office) -> None:
    """Before it is undone and after it, with exit code 1; nobody is asked to sign for it any more."""
    batch = office.new_id("told")
    await office.start(office.request(batch))
    await office.at_gate(batch, "compliance")
    with hold_up(office.stack, "waves") as is_waiting:
        await terminate(office, batch)
        cut_off = await office.walletworks(REQUESTER, "status", batch, "--json")
        assert (cut_off.returncode, json.loads(cut_off.stdout)["cause"]) == (1, "terminated")
        shown = await office.walletworks(COMPLIANCE, "show", batch)
        assert (shown.returncode, "was terminated" in shown.stderr) == (1, True), shown
        await sweep(office)
        await asyncio.to_thread(eventually, is_waiting, 30, what="the undoing at work")
        undoing = await office.walletworks(REQUESTER, "status", batch, "--json")
        told = json.loads(undoing.stdout)
        assert (undoing.returncode, told["batch_id"], told["cause"]) == (1, batch, "terminated")
    watched = await office.walletworks(REQUESTER, "watch", batch, "--json")
    assert (watched.returncode, json.loads(watched.stdout)["outcome"]) == (1, "aborted"), watched
    await undone(office, batch)


async def test_batch_at_work_is_not_undone_by_hand(office: Office) -> None:
    """Whoever starts the undoing of a batch at work is refused, and so is one under another id."""
    batch = office.new_id("atwork")
    await office.start(office.request(batch))
    await office.at_gate(batch, "compliance")
    for workflow_id, message in (
        (f"undo/{batch}", "at work"),
        (f"{batch}/undo", "the workflow id must be undo/"),
    ):
        started = await office.client.start_workflow(
            "UndoBatch", {"batch_id": batch}, id=workflow_id, task_queue=QUEUE, result_type=dict
        )
        assert message in (await failure_of(started)).message
    assert office.fence(batch) == 1
    await office.abort(batch)
    await office.until_ended(batch)


async def test_batch_cut_off_before_its_bundle_gets_it(office: Office) -> None:
    """Ended and attested, it lacks what auditors take away: the sweeper writes that, and nothing else."""
    batch = office.new_id("unbundled")
    await office.start(office.request(batch))
    await office.at_gate(batch, "compliance")
    await office.abort(batch)
    ended = await require_end(office, batch, "aborted")
    _bundle_of(ended).unlink()
    await sweep(office)
    status = await undone(office, batch)
    assert (status["outcome"], status["cause"]) == ("aborted", "aborted")
    assert undoing_is_in_the_bundle(status, batch)


async def test_shard_that_was_terminated_is_started_again(office: Office) -> None:
    """Who stops a child from outside stops no batch: what the child committed is found."""
    batch = office.new_id("orphan")
    shard = f"{batch}/screen/0000"
    await office.start(office.request(batch))
    await office.at_gate(batch, "compliance")
    with hold_up(office.stack, "pii_keys") as is_waiting:
        await office.pass_gate(batch, "compliance")
        await asyncio.to_thread(eventually, is_waiting, 30, what="a slice at work")
        await terminate(office, shard)
    await require_end(office, batch, "completed")
    runs = [each async for each in office.client.list_workflows(f"WorkflowId = '{shard}'")]
    assert sorted(each.status.name for each in runs if each.status) == ["COMPLETED", "TERMINATED"]
