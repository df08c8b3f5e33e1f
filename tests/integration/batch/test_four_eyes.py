"""Four eyes from end to end: a stranger on custody's queue, and decisions that come at once by every way."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

from activities.contracts.custody import AttestedHead, Custody, OpenedKeyring, VerifiedRange
from activities.contracts.shapes import BatchStep, SliceResult, SliceStep, TrancheStep, Undone
from activities.register import CUSTODYS_UNDOING
from infra.demo.cast import COMPLIANCE, WALLETS
from tests.integration.batch.after import require_end
from tests.integration.batch.office import Json, Office, all_of, gate_of
from tests.integration.batch.test_left_early import ALL_GATES
from tests.integration.batch.test_sweeper import sweep, terminate, undoing_known, undone
from tests.waiting import eventually_async


class Stranger(Custody):
    """Whoever can reach Temporal and says that all is done."""

    @activity.defn
    def open_keyring(self, step: TrancheStep) -> OpenedKeyring:
        """Makes nothing."""
        return OpenedKeyring(keyring_id=str(uuid.uuid5(uuid.NAMESPACE_URL, step.batch_id)))

    @activity.defn
    def derive_slice(self, step: SliceStep) -> SliceResult:
        """Answers with addresses of its own choice."""
        return SliceResult(row_count=step.length, root="ab" * 32, counts={"ready": step.length})

    @activity.defn
    def verify_range(self, step: SliceStep) -> VerifiedRange:
        """Agrees."""
        return VerifiedRange(checked=step.length, sampled=step.length)

    @activity.defn
    def attest_head(self, step: BatchStep) -> AttestedHead:
        """Signs with nothing."""
        return AttestedHead(seq=step.fence, head="ab" * 32, signature=base64.b64encode(bytes(64)).decode())

    @activity.defn
    def undo_derivation(self, step: BatchStep) -> Undone:
        """Keeps what there is."""
        return Undone(counts={"revoked": step.fence})


@asynccontextmanager
async def _stranger_on_the_queue(office: Office) -> AsyncIterator[None]:
    """Only the stranger takes custody's tasks, until the block ends."""
    custody = next(worker for worker in office.stack.workers if worker.role == "custody")
    await asyncio.to_thread(custody.stop)
    room = Stranger()
    tasks: list[Callable[..., object]] = [room.open_keyring, room.derive_slice, room.verify_range]
    tasks += [room.attest_head, room.undo_derivation]
    try:
        with ThreadPoolExecutor(4) as threads:
            async with Worker(
                office.client, task_queue="custody", activities=tasks, activity_executor=threads
            ):
                yield
    finally:
        await asyncio.to_thread(custody.start)


async def test_stranger_on_custodys_queue_activates_nothing(office: Office) -> None:
    """Custody's answers are believed by nobody: without its signed rows nothing is active."""
    batch_id = office.new_id("hijacked")
    async with _stranger_on_the_queue(office):
        handle = await office.start(office.request(batch_id))
        await office.pass_gate(batch_id, "compliance")
        status = await office.until(
            batch_id,
            lambda s: (s["waiting_for"] or {}).get("kind") == "record",
            what="waiting for its record",
        )
    assert (status["outcome"], status["cause"]) == ("failed", "failed")
    assert status["reasons"] == ["custody signed no slice for some positions"]
    assert (status["counts"]["active"], office.states(batch_id)) == (0, {})
    kinds = [kind for kind, _ in _told(office, f"batch/{batch_id}")]
    assert kinds.count("wave.opened") == kinds.count("undo.activation") == kinds.count("fence.raised") == 1
    assert not {"keyring.intent", "wave.announced", "wave.closed"}.intersection(kinds)
    await _attest_by_hand(office, batch_id)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert (await office.until_ended(batch_id))["outcome"] == "failed"
    assert office.states(batch_id) == {}


async def test_stranger_who_says_that_all_is_undone_ends_nothing(office: Office) -> None:
    """An early end waits for what the store holds, the sweeper's too; undone anew by custody, it comes."""
    left, cut = office.new_id("unrevoked"), office.new_id("unswept")
    for batch_id in (left, cut):
        await office.start(office.request(batch_id, **ALL_GATES))
    await all_of(*(office.pass_gates(each, "compliance", "issuance", "wave/1") for each in (left, cut)))
    await all_of(*(office.at_gate(each, "wave/2") for each in (left, cut)))
    async with _stranger_on_the_queue(office):
        await terminate(office, cut)
        await sweep(office)
        await office.abort(left)
        await office.until_waiting_for(left, CUSTODYS_UNDOING)
        await undoing_known(office, cut)
        await office.until_waiting_for(f"undo/{cut}", CUSTODYS_UNDOING)
        for batch_id in (left, cut):
            assert office.states(batch_id) == {"frozen": 1, "ready": 4}
            assert office.rows("SELECT outcome FROM batches WHERE batch_id = :id", id=batch_id) == [(None,)]
    for workflow_id in (left, f"undo/{cut}"):
        await terminate(office, workflow_id)
    await sweep(office)
    for batch_id, cause in ((left, "aborted"), (cut, "terminated")):
        status = await undone(office, batch_id)
        assert (status["outcome"], status["cause"]) == ("rolled_back", cause)
        assert office.states(batch_id) == {"frozen": 1, "revoked": 4}


def _told(office: Office, chain: str) -> list[tuple[str, Json]]:
    """The audit entries of a chain: kind and body."""
    rows = office.rows("SELECT body FROM audit_entries WHERE chain = :chain ORDER BY seq", chain=chain)
    bodies = [json.loads(row.body) for row in rows]
    return [(body["kind"], body) for body in bodies]


async def _attest_by_hand(office: Office, batch_id: str) -> None:
    """What an operator does once custody's queue is custody's again."""
    await office.client.execute_activity(
        "attest_head",
        BatchStep(batch_id=batch_id, fence=office.fence(batch_id)),
        id=f"attest-{batch_id}",
        task_queue="custody",
        start_to_close_timeout=timedelta(seconds=30),
    )


async def test_one_person_by_update_and_signal_at_once_fills_one_seat(office: Office) -> None:
    """Every way in leads to the same desk: of copies one counts, of several statements one seat is filled."""
    batch_id = office.new_id("at-once")
    await office.start(office.request(batch_id))
    gate = await office.at_gate(batch_id, "compliance")
    copies = [office.message(batch_id, gate, COMPLIANCE) for _ in range(2)]
    handle = office.handle(batch_id)
    answers = await asyncio.gather(
        *(office.send(batch_id, "approve", message) for message in copies * 2),
        *(handle.signal("approve", message) for message in copies),
    )
    counted = [answer["counted"] for answer in answers if answer]
    entries = await eventually_async(
        lambda: _attempts(office, batch_id, 6), 20, what="six attempts on record"
    )
    assert sum(entry["reason_code"] == "counted" for _, entry in entries) == 2 >= sum(counted)
    assert sum(entry["reason_code"] == "nonce_already_used" for _, entry in entries) == 4
    seen = await office.until(
        batch_id,
        lambda status: gate_of(status, "compliance")["approved_by"] == [COMPLIANCE.name],
        what="who approved in `status`",
    )
    assert gate_of(seen, "compliance")["still_needed"] == {"wallet_officer": 1}
    await office.decide(batch_id, gate, WALLETS, by="reject", decision="reject")
    await require_end(office, batch_id, "rejected")


async def test_no_under_a_used_nonce_ends_the_batch(office: Office) -> None:
    """It is refused and stands: whoever may decide cannot take a no back by having used its nonce."""
    batch_id, nonce = office.new_id("twice-said"), uuid.uuid4().hex
    await office.start(office.request(batch_id))
    gate = await office.at_gate(batch_id, "compliance")
    assert (await office.decide(batch_id, gate, COMPLIANCE, nonce=nonce))["counted"]
    answer = await office.decide(batch_id, gate, COMPLIANCE, by="reject", decision="reject", nonce=nonce)
    assert (answer["counted"], answer["reason_code"]) == (False, "nonce_already_used")
    await require_end(office, batch_id, "rejected")


async def _attempts(office: Office, batch_id: str, count: int) -> list[tuple[str, Json]]:
    found = [entry for entry in _told(office, f"batch/{batch_id}") if entry[0].startswith("attempt.")]
    return found if len(found) == count else []
