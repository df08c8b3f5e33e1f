"""Starts that are no requests: each run ends Failed with a sentence, none wedges, nothing is stored."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from infra.demo.cast import REQUESTER
from tests.integration.batch.after import require_end
from tests.integration.batch.endings import failure_of, innermost_failure
from tests.integration.batch.office import QUEUE, Handle, Json, Office, all_of
from tests.integration.batch.test_left_early import ALL_GATES
from tests.waiting import eventually_async
from workflows.batch_plan import Shard
from workflows.provision_shard import ShardWork

CANARY = "Kanari-Vogel-Geheim"


async def require_refused(office: Office, handle: Handle, reason: str, *, kind: str = "") -> ApplicationError:
    """The run has failed with our type and sentence, says so in `status`, and left nothing behind."""
    failure = await failure_of(handle)
    assert (failure.type, reason in failure.message) == (kind or "InvalidRequestError", True), failure.message
    assert CANARY not in f"{failure.message}{failure.details}"
    status = await office.status(handle.id)
    assert (status["stage"], status["outcome"], status["reasons"]) == ("ended", "failed", [failure.message])
    assert office.rows("SELECT 1 FROM batches WHERE batch_id = :id", id=handle.id) == []
    return failure


def raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    """An input as it would come from another SDK."""
    return RawValue(Payload(metadata={"encoding": encoding}, data=data))


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([], "one JSON object is expected, 0 values came"),
        ([{}, {}], "one JSON object is expected, 2 values came"),
        ([raw(CANARY.encode(), b"binary/plain")], "the value is not JSON"),
        ([raw(b'{"batch_id": "' + CANARY.encode())], "the value does not parse as one"),
        ([raw(b'{"batch_id": 1, "batch_id": 2}')], "the value does not parse as one"),
        ([raw(b"\xff\xfe")], "the value does not parse as one"),
        ([CANARY], "the value does not parse as one"),
        ([None], "one JSON object is expected"),
        ([{"batch_id": "x" * 62_000}], "larger than 61440 bytes"),
        ([{}], "batch_id: Field required"),
    ],
)
async def test_start_without_one_json_object_ends_failed(
    office: Office, inputs: list[Any], reason: str
) -> None:
    """Whatever comes as input, the run ends at once with what was expected."""
    handle: Handle = await office.client.start_workflow(
        "ProvisionBatch", args=inputs, id=office.new_id("start"), task_queue=QUEUE, result_type=dict
    )
    await require_refused(office, handle, reason)


async def test_temporals_own_command_line_starts_batches(office: Office) -> None:
    """One JSON file starts a batch, as the README says; text, or a second input, ends Failed."""
    good, text, twice, missing = (office.new_id(word) for word in ("cli", "text", "twice", "missing"))
    start = ("workflow", "start", "--type", "ProvisionBatch", "--task-queue", QUEUE, "--workflow-id")
    path = office.stage.folder / f"{good}.json"
    path.write_text(json.dumps(office.request(good)))
    started = await all_of(
        office.temporal(*start, good, "--input-file", str(path)),
        office.temporal(*start, text, "--input", json.dumps(CANARY)),
        office.temporal(*start, twice, "--input", "{}", "--input", "{}"),
        office.temporal(*start, missing),
    )
    assert [done.returncode for done in started] == [0, 0, 0, 0]
    await require_refused(office, office.handle(text), "one JSON object is expected")
    await require_refused(office, office.handle(twice), "2 values came")
    await require_refused(office, office.handle(missing), "0 values came")
    await office.pass_gate(good, "compliance")
    await require_end(office, good, "completed")


async def test_batch_under_another_workflow_id_is_refused(office: Office) -> None:
    """The workflow id is the batch id: a second id cannot work the same batch."""
    request = office.request(office.new_id("own"))
    other = office.new_id("other")
    handle = await office.start(request, workflow_id=other)
    await require_refused(office, handle, "batch_id: must be the workflow id")
    assert office.rows("SELECT 1 FROM batches WHERE batch_id = :id", id=request["batch_id"]) == []


async def test_stranger_who_starts_a_shard_changes_nothing(office: Office) -> None:
    """Reaching Temporal is no authority: neither garbage nor a well-formed shard gets an address made."""
    batch_id = office.new_id("shard")
    await office.start(office.request(batch_id, **ALL_GATES))
    await office.pass_gate(batch_id, "compliance")
    await office.at_gate(batch_id, "issuance")
    work = ShardWork(
        batch_id=batch_id,
        fence=1,
        stage="derive",
        tranche=0,
        wave=0,
        shard=Shard(shard_index=0, offset=0, length=5, first_slice_index=0),
        audit_chain=f"batch/{batch_id}/derive/0000",
    )
    shape = asdict(work)
    for inputs, kind in (
        ([], "InvalidRequestError"),
        ([CANARY], "InvalidRequestError"),
        ([shape, shape], "InvalidRequestError"),
        ([raw(b"\x00", b"binary/plain")], "InvalidRequestError"),
        ([shape | {"stage": CANARY}], "InvalidRequestError"),
        ([shape | {"fence": 7}], "PolicyViolationError"),
        ([shape], "PolicyViolationError"),
    ):
        handle = await office.client.start_workflow(
            "ProvisionShard", args=inputs, id=office.new_id("stranger"), task_queue=QUEUE, result_type=dict
        )
        failure = await innermost_failure(handle)
        assert (failure.type, CANARY in failure.message) == (kind, False), f"{inputs}: {failure!r}"
    assert (office.states(batch_id), office.accounts(batch_id)) == ({}, [])
    await office.abort(batch_id)
    await require_end(office, batch_id, "aborted")


async def test_refused_request_does_not_burn_its_id(office: Office) -> None:
    """A batch id whose first request was refused is free for a better one."""
    batch_id = office.new_id("better")
    request = office.request(batch_id)
    bad = office.signed(request | {"source": request["source"] | {"sha256": "0" * 64}})
    place = office.stage.folder / f"{batch_id}.json"
    place.write_text(json.dumps(bad))
    told = await office.walletworks(REQUESTER, "submit", str(place))
    assert (told.returncode, len(told.stderr.strip().splitlines())) == (1, 1), told
    assert "source.sha256: the file has another digest" in told.stderr
    assert (await office.handle(batch_id).describe()).status is WorkflowExecutionStatus.FAILED
    await office.start(request)
    await office.pass_gate(batch_id, "compliance")
    await require_end(office, batch_id, "completed")


async def test_batch_that_temporal_has_forgotten_is_answered_from_the_record(
    office: Office, fading: tuple[Json, Json]
) -> None:
    """Once its history is gone the same request still gives its result, and another one is a conflict."""
    request, result = fading
    await eventually_async(lambda: _is_forgotten(office, request["batch_id"]), 60, what="it is forgotten")
    for command in ("status", "watch"):
        told = await office.walletworks(REQUESTER, command, request["batch_id"], "--json")
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout).items() >= result.items()
    other = office.signed(request | {"purpose": "campaign"})
    failure = await failure_of(await office.start(other))
    assert (failure.type, "fields that differ: purpose, signature" in failure.message) == (
        "ConflictError",
        True,
    )
    assert await (await office.start(request)).result() == result
    assert office.states(request["batch_id"]) == {"active": 5}


async def _is_forgotten(office: Office, batch_id: str) -> bool:
    try:
        await office.handle(batch_id).describe()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False
