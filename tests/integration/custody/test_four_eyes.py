"""Four eyes at custody's door: what a forger with provisioning's role or the queue gets, and its record."""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.contracts.shapes import BatchStep
from activities.custody.activities import CustodyActivities
from activities.custody.refusals import REFUSALS_CHAIN
from activities.failures import AccessDeniedError, IntegrityError, InvalidRequestError, PolicyViolationError
from activities.store import tables as t
from infra.devstack import Stack
from tests.integration.custody.batches import (
    HELD_EARLY,
    HELD_LATE,
    AskedBatch,
    refuses_keyring,
    refuses_wallets,
)
from tests.integration.custody.room import Room, Signs
from tests.integration.seeded import told
from tests.signers import Signer


def _recorded(batch: AskedBatch) -> list[tuple[str, str]]:
    """What the audit log tells of custody's refusals for a batch: the activity and the error's name."""
    entries = told(batch.room.databases.owner, REFUSALS_CHAIN, "custody.refused")
    own = [entry for entry in entries if entry["batch_id"] == batch.batch_id]
    return [(entry["activity"], entry["error"]) for entry in own]


REFUSED_KEYRING = [("open_keyring", "PolicyViolationError")]

Forgery = Callable[[AskedBatch], object]


def _row(batch: AskedBatch, signer: Signs, *, says: str = "approve", ahead: int = 0, **columns: Any) -> None:
    """Writes a signed statement on the compliance gate as provisioning may, with columns that may lie."""
    text = batch.statement(signer.name, "compliance", batch.plan_digest, decision=says)
    values = {
        "attempt_key": str(uuid.uuid4()),
        "batch_no": batch.batch_no,
        "message": "approve",
        "gate": "compliance",
        "digest": bytes.fromhex(batch.plan_digest),
        "statement": text,
        "signature": signer.sign(text),
        "counted": True,
        "reason_code": "counted",
        "reason": "It counts.",
        "nonce": uuid.uuid4().hex,
        "received_at": datetime.now(tz=UTC) + timedelta(seconds=ahead),
    }
    with batch.writing() as connection:
        connection.execute(insert(t.attempts).values(values | columns))


def _gate(
    batch: AskedBatch,
    *,
    outcome: str | None = "approved",
    hours: float = 1,
    over: bytes = b"",
    name: str = "compliance",
) -> None:
    """Writes a gate row as provisioning may; it is closed now, or open until so many hours from now."""
    now = datetime.now(tz=UTC)
    with batch.writing() as connection:
        connection.execute(
            insert(t.gates).values(
                batch_no=batch.batch_no,
                gate=name,
                digest=over or bytes.fromhex(batch.plan_digest),
                terms={"roles": {}},
                expires_at=now + timedelta(hours=hours),
                outcome=outcome,
                closed_at=now if outcome else None,
            )
        )


def _adjudication(batch: AskedBatch) -> None:
    batch.settle(HELD_LATE, "clear", by=[])
    batch.seal_evidence(1)
    batch.approve("issuance", batch.evidence_digests[1], by=[batch.room.lee])


def _bad_signature(batch: AskedBatch) -> None:
    _row(batch, Signer(name=batch.room.kim.name))


def _second_key(batch: AskedBatch) -> None:
    _row(batch, batch.room.lee)


def _closed_gate(batch: AskedBatch) -> None:
    _gate(batch)


def _all_marked_counted(batch: AskedBatch) -> None:
    for name in ("wrong", "again"):
        _row(batch, batch.room.kim, reason_code=name, statement="{}")


def _marked_uncounted(batch: AskedBatch) -> None:
    _row(batch, batch.room.kim, counted=False, reason_code="expired")


def _after_the_gate(batch: AskedBatch) -> None:
    _gate(batch, outcome="approved")
    _row(batch, batch.room.kim)


def _after_its_expiry(batch: AskedBatch) -> None:
    _gate(batch, outcome=None, hours=-0.01)
    _row(batch, batch.room.kim)


NOT_ENOUGH: dict[str, Forgery] = {
    "nothing at all": AskedBatch.batch_step,
    "a counted row with a signature that is none of hers": _bad_signature,
    "one person's second statement": _second_key,
    "a gate row that says approved": _closed_gate,
    "counted rows without a statement": _all_marked_counted,
    "an approval that its sender was told does not count": _marked_uncounted,
    "an approval after the gate was closed": _after_the_gate,
    "an approval after the gate expired": _after_its_expiry,
}


@pytest.mark.parametrize("case", NOT_ENOUGH)
def test_forged_rows_fill_no_seat(batch: AskedBatch, custody: CustodyActivities, case: str) -> None:
    """Where one approval is missing no row replaces it, and the refusal is in the log."""
    batch.approve("compliance", batch.plan_digest, by=[batch.room.lee])
    batch.approve("issuance", batch.evidence_digests[0], by=[batch.room.lee])
    NOT_ENOUGH[case](batch)
    refuses_keyring(custody, batch, "gate compliance")
    assert _recorded(batch) == REFUSED_KEYRING


HIDDEN: dict[str, dict[str, Any]] = {
    "as it is": {},
    "marked as refused": {"counted": False, "reason_code": "expired"},
    "under another gate": {"gate": "rollback"},
    "under another digest": {"digest": bytes(32)},
    "under none": {"gate": None, "digest": None, "counted": False},
    "as another message": {"message": "pause", "decision": "approve"},
    "dated ahead": {"ahead": 45},
}


@pytest.mark.parametrize("case", HIDDEN)
def test_hidden_rejection_closes_the_door(batch: AskedBatch, custody: CustodyActivities, case: str) -> None:
    """A signed no stands however its row was filed by whoever writes the rows."""
    batch.sign_gates()
    _row(batch, batch.room.ana, says="reject", **HIDDEN[case])
    refuses_keyring(custody, batch, "gate compliance")
    assert _recorded(batch) == REFUSED_KEYRING


def test_late_rejection_is_late(batch: AskedBatch, custody: CustodyActivities) -> None:
    """What came after the gate had closed is no part of its decision."""
    batch.sign_gates()
    _gate(batch)
    _row(batch, batch.room.ana, says="reject", counted=False, reason_code="gate_not_open")
    assert custody.open_keyring(batch.tranche_step()).keyring_id
    assert _recorded(batch) == []


def test_expiry_before_the_opening_hides_no_rejection(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A gate row that comes late and says that it expired before takes nothing from what came before it."""
    batch.sign_gates()
    _row(batch, batch.room.ana, says="reject", counted=False, reason_code="gate_not_open")
    _gate(batch, hours=-0.01)
    refuses_keyring(custody, batch, "gate compliance")
    assert _recorded(batch) == REFUSED_KEYRING


def test_statement_with_escaped_letters_counts_all_the_same(
    batch: AskedBatch, custody: CustodyActivities
) -> None:
    """How a text spells its digest in JSON is the signer's own affair."""
    kim, digest = batch.room.kim, batch.plan_digest
    batch.approve("compliance", digest, by=[batch.room.lee])
    batch.approve("issuance", batch.evidence_digests[0], by=[batch.room.lee])
    text = batch.statement(kim.name, "compliance", digest)
    escaped = text.replace(digest, f"\\u{ord(digest[0]):04x}{digest[1:]}")
    _row(batch, kim, statement=escaped, signature=kim.sign(escaped))
    assert custody.open_keyring(batch.tranche_step()).keyring_id


def test_end_of_another_gate_or_batch_is_not_this_ones(
    room: Room, batch: AskedBatch, custody: CustodyActivities
) -> None:
    """A gate over another digest, or a gate or hold of another batch, takes no approval away."""
    batch.sign_gates()
    _gate(batch, outcome="expired", over=b"\x01" * 32)
    _gate(batch, outcome="cancelled", name="rollback")
    other = AskedBatch(room=room)
    other.prepare_unsigned()
    _gate(other, outcome="rejected", over=bytes.fromhex(batch.plan_digest))
    with batch.writing() as connection:
        connection.execute(
            insert(t.adjudications).values(
                batch_no=other.batch_no,
                ordinal=HELD_LATE,
                hold_digest=bytes.fromhex(batch.hold_digest(HELD_EARLY)),
                decision="clear",
            )
        )
    other.tamper("adjudications", f"decided_at = '2020-01-01' WHERE ordinal = {HELD_LATE}")
    custody.open_keyring(batch.tranche_step())
    assert custody.derive_slice(batch.slice_step()).row_count > 0


def test_late_word_on_a_settled_hold_is_late(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A hold's end is its settling; what comes after it, or is no statement, changes nothing."""
    batch.sign_gates()
    custody.open_keyring(batch.tranche_step())
    digest = batch.hold_digest(HELD_EARLY)
    late = batch.statement(batch.room.ana.name, "hold", digest, decision="refuse")
    about: dict[str, Any] = {"gate": "hold", "digest": bytes.fromhex(digest), "counted": False}
    about |= {"statement": late, "signature": batch.room.ana.sign(late)}
    _row(batch, batch.room.ana, **about)
    _row(batch, batch.room.ana, statement="no statement", gate=None, digest=None, counted=False)
    assert custody.derive_slice(batch.slice_step()).row_count > 0


@pytest.mark.parametrize("outcome", ["rejected", "expired", "cancelled"])
def test_gate_that_ended_otherwise_opens_nothing(
    batch: AskedBatch, custody: CustodyActivities, outcome: str
) -> None:
    """Approvals in number do not open a gate that was closed against them."""
    batch.sign_gates()
    _gate(batch, outcome=outcome)
    refuses_keyring(custody, batch, "ended otherwise")
    assert _recorded(batch) == REFUSED_KEYRING


def test_adjudication_that_nobody_signed_clears_nobody(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A hold that provisioning's role wrote off as cleared gets no wallet."""
    batch.sign_gates()
    custody.open_keyring(batch.tranche_step())
    _adjudication(batch)
    with pytest.raises(PolicyViolationError, match="gate hold"):
        custody.derive_slice(batch.slice_step(tranche=1, length=1))
    assert batch.wallets() == []
    assert _recorded(batch) == [("derive_slice", "PolicyViolationError")]


def test_verdict_flipped_past_the_rules_is_noticed(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Provisioning's role cannot flip a verdict; whoever can leaves a root that does not fit."""
    batch.sign_gates()
    custody.open_keyring(batch.tranche_step())
    own = t.verdicts.c.batch_no == batch.batch_no
    with pytest.raises(AccessDeniedError), batch.writing() as connection:
        connection.execute(update(t.verdicts).where(own).values(verdict="clear"))
    batch.tamper("verdicts", "verdict = 'clear', hold_digest = NULL WHERE ordinal = 5")
    refuses_wallets(custody, batch, "not the ones that were sealed")
    assert _recorded(batch) == [("derive_slice", "PolicyViolationError")]


@pytest.mark.parametrize("stage", ["keyring", "wallets"])
def test_approver_revoked_after_closing_carries_no_key(batch: AskedBatch, room: Room, stage: str) -> None:
    """Revocation counts until custody is done, also between its own steps."""
    batch.sign_gates()
    _gate(batch)
    revoked = room.custody(trust=room.trust_text(revoked=room.lee.name))
    if stage == "keyring":
        refuses_keyring(revoked, batch, "gate compliance")
    else:
        room.custody().open_keyring(batch.tranche_step())
        refuses_wallets(revoked, batch, "gate compliance")
    assert len(_recorded(batch)) == 1


@pytest.mark.parametrize(
    "options", ['valid-before="20200101Z"', 'namespaces="git"'], ids=["dated back", "for another purpose"]
)
def test_key_revoked_after_closing_carries_no_key(batch: AskedBatch, room: Room, options: str) -> None:
    """A key that is dated back to before it signed, or limited since, signed nothing."""
    batch.sign_gates()
    lee = room.lee.line()
    name, rest = lee.split(" ", 1)
    trust = room.trust_text().replace(lee, f"{name} {options} {rest}")
    refuses_keyring(room.custody(trust=trust), batch, "gate compliance")
    assert _recorded(batch) == REFUSED_KEYRING


QUEUE = "custody-by-hand"


@pytest.fixture
async def by_hand(stack: Stack, custody: CustodyActivities) -> AsyncIterator[Client]:
    """A client of anybody who can reach Temporal, and custody polling a queue of this module's own."""
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    tasks: list[Callable[..., Any]] = [custody.open_keyring, custody.derive_slice, custody.verify_range]
    tasks += [custody.attest_head, custody.undo_derivation]
    with ThreadPoolExecutor(4) as threads:
        async with Worker(client, task_queue=QUEUE, activities=tasks, activity_executor=threads):
            yield client


async def _schedule(client: Client, name: str, step: Any) -> str:
    """Schedules an activity as any client may; gives the name of the error it ends with."""
    try:
        await client.execute_activity(
            name,
            step,
            id=f"by-hand-{uuid.uuid4()}",
            task_queue=QUEUE,
            start_to_close_timeout=timedelta(seconds=30),
        )
    except Exception as error:  # noqa: BLE001 - the SDK's own wrapper is not the matter
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ApplicationError):
            cause = cause.__cause__
        return str(cause.type) if isinstance(cause, ApplicationError) else repr(error)
    return ""


async def test_activities_scheduled_by_hand_do_nothing(by_hand: Client, batch: AskedBatch) -> None:
    """Reaching the queue makes no key, no wallet and no undoing; each try is in the log."""
    unknown = BatchStep(batch_id="no-such\nbatch", fence=1)
    tries: list[tuple[str, Any, str]] = [
        ("open_keyring", batch.tranche_step(), "PolicyViolationError"),
        ("derive_slice", batch.slice_step(), "PolicyViolationError"),
        ("verify_range", batch.slice_step(), "PolicyViolationError"),
        ("undo_derivation", batch.batch_step(), "PolicyViolationError"),
        ("undo_derivation", BatchStep(batch_id=batch.batch_id, fence=2), "StaleFenceError"),
    ]
    for name, step, error in tries:
        assert await _schedule(by_hand, name, step) == error
    assert await _schedule(by_hand, "attest_head", unknown) == "PolicyViolationError"
    assert _recorded(batch) == [(name, error) for name, _, error in tries]
    assert (batch.keyrings(), batch.wallets()) == ([], [])
    entries = told(batch.room.databases.owner, REFUSALS_CHAIN, "custody.refused")
    assert entries[-1]["batch_id"] == "no-such_batch"


def test_altered_rows_are_on_record(batch: AskedBatch, custody: CustodyActivities) -> None:
    """An address that is not the seed's, and a request that is none, are refused before custody's own log."""
    batch.sign_gates()
    custody.open_keyring(batch.tranche_step())
    custody.derive_slice(batch.slice_step())
    batch.tamper("wallets", "address = lower(address) WHERE ordinal = 3")
    with pytest.raises(IntegrityError):
        custody.verify_range(batch.slice_step())
    batch.tamper("batches", """request = '{"tenant": 7}' WHERE batch_id = :id""", id=batch.batch_id)
    with pytest.raises(InvalidRequestError):
        custody.derive_slice(batch.slice_step())
    assert _recorded(batch) == [("verify_range", "IntegrityError"), ("derive_slice", "InvalidRequestError")]


async def test_head_attested_by_hand_is_the_true_one(by_hand: Client, batch: AskedBatch) -> None:
    """Asking for an attestation gives nobody anything: custody signs what the log itself says."""
    assert await _schedule(by_hand, "attest_head", batch.batch_step()) == ""
    chain = f"batch/{batch.batch_id}"
    with batch.room.databases.owner.transaction() as connection:
        attested = connection.execute(select(t.attestations).where(t.attestations.c.chain == chain)).one()
        head = connection.execute(select(t.audit_heads).where(t.audit_heads.c.chain == chain)).one()
    assert (attested.seq, bytes(attested.head)) == (head.seq, bytes(head.head))
    assert json.loads(attested.message)["head"] == bytes(head.head).hex()
