"""Gates and attempts on the real store, with statements signed by keys made on the spot."""

import json
import uuid
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from activities.contracts.approvals import (
    JudgeGate,
    RecordRefusal,
    RemindGate,
)
from activities.failures import (
    InvalidRequestError,
    PolicyViolationError,
    ServiceUnavailableError,
    StaleFenceError,
)
from activities.store.tables import attempts, batches, gates, outbox
from activities.trust.request_signing import request_text
from tests.integration.gates.room import (
    ANA,
    KIM,
    LEE,
    SHOP,
    STRANGER,
    Desk,
    at_once,
    attempt,
    close_step,
    instant,
    open_step,
    refusal,
    statement,
    trust_text,
    with_open_gate,
)
from tests.integration.seeded import (
    PLAN_DIGEST,
    attempt_count,
    claimed_batch,
    plan,
    planned_batch,
    raise_fence,
    seeded_request,
    told,
)


def test_gate_is_satisfied_when_each_role_has_a_person(desk: Desk) -> None:
    """A gate needs its distinct persons, and tells whom it still needs."""
    batch = with_open_gate(desk)
    first = desk.activities.record_attempt(attempt(batch, LEE))
    assert first.standing is not None
    assert (first.counted, first.standing.satisfied) == (True, False)
    assert first.standing.still_needed == {"wallet_officer": 1}
    second = desk.activities.record_attempt(attempt(batch, KIM))
    assert second.standing is not None
    assert second.standing.satisfied
    assert second.standing.approved_by == [LEE.name, KIM.name]


def test_opening_twice_opens_once_and_keeps_the_first_expiry(desk: Desk) -> None:
    """A retried opening finds the gate as it was opened."""
    batch = planned_batch(desk.database)
    step = open_step(batch, hours=5)
    desk.activities.open_gate(step)
    desk.activities.open_gate(replace(step, expires_at=instant(90)))
    with desk.database.transaction() as connection:
        expiries = (
            connection.execute(select(gates.c.expires_at).where(gates.c.batch_no == batch.batch_no))
            .scalars()
            .all()
        )
    assert expiries == [datetime.fromisoformat(step.expires_at)]
    assert len(told(desk.database, batch.chain, "gate.opened")) == 1


def test_stale_fence_opens_and_closes_nothing(desk: Desk) -> None:
    """An effect under an old fence changes nothing."""
    batch = with_open_gate(desk)
    raise_fence(desk.database, batch)
    with pytest.raises(StaleFenceError):
        desk.activities.open_gate(open_step(batch, gate="issuance"))
    with pytest.raises(StaleFenceError):
        desk.activities.close_gate(close_step(batch, "expired"))
    with desk.database.transaction() as connection:
        rows = connection.execute(
            select(gates.c.gate, gates.c.outcome).where(gates.c.batch_no == batch.batch_no)
        ).all()
    assert [tuple(row) for row in rows] == [("compliance", None)]


def test_same_attempt_key_gets_the_recorded_answer(desk: Desk) -> None:
    """A retried attempt is not judged again: its own nonce does not refuse it."""
    batch = with_open_gate(desk)
    step = attempt(batch, LEE)
    first = desk.activities.record_attempt(step)
    assert desk.activities.record_attempt(step) == first
    assert first.counted
    with desk.database.transaction() as connection:
        assert attempt_count(connection, batch, counted=True) == 1
    assert len(told(desk.database, batch.chain, "attempt.counted")) == 1


def test_the_requester_never_counts(desk: Desk) -> None:
    """Who asked for the batch may not approve it, whatever roles they hold."""
    batch = with_open_gate(desk)
    assert refusal(desk, attempt(batch, SHOP)) == "requester_may_not_approve"


def test_the_requester_does_not_count_by_the_key_that_signed_the_request(desk: Desk) -> None:
    """The key that signed the request is shut out, whatever name the request gives."""
    request = seeded_request(requested_by="nobody@acme.example")
    signature = LEE.sign(request_text(request), "walletworks-request")
    batch = claimed_batch(desk.database, {**request, "signature": signature})
    plan(desk.database, batch)
    desk.activities.open_gate(open_step(batch))
    assert refusal(desk, attempt(batch, LEE)) == "requester_may_not_approve"
    assert desk.activities.record_attempt(attempt(batch, ANA)).counted


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "another digest": ("wrong_digest", {"digest": "cd" * 32}),
    "another batch": ("wrong_batch", {"batch_id": "autumn"}),
    "another tenant": ("wrong_tenant", {"tenant": "rival"}),
    "another deployment": ("wrong_deployment", {"deployment": "acme-test"}),
    "a gate that is not open": ("gate_not_open", {"gate": "issuance"}),
    "expired": ("expired", {"issued_at": instant(-5), "expires_at": instant(-1)}),
    "valid for too long": ("validity_too_long", {"expires_at": instant(24 * 30)}),
    "somebody else's name": ("approver_is_not_signer", {"approver": KIM.name}),
    "an unknown field": ("malformed_statement", {"sum": 1}),
    "a hold that is not there": ("gate_not_open", {"gate": "hold", "decision": "clear"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_attempt_is_on_record_with_its_reason(desk: Desk, case: str) -> None:
    """Every refusal is committed with a stable code before it is answered, and moves no gate."""
    code, changes = REFUSED[case]
    batch = with_open_gate(desk)
    assert refusal(desk, attempt(batch, LEE, **changes)) == code
    standing = desk.activities.judge_gate(
        JudgeGate(batch_id=batch.batch_id, gate="compliance", digest=PLAN_DIGEST)
    )
    assert standing.approved_by == []


def test_foreign_and_broken_signatures_are_refused(desk: Desk) -> None:
    """Only a key of the trust file counts, over this exact text, in this namespace."""
    batch = with_open_gate(desk)
    good = attempt(batch, LEE)
    assert refusal(desk, attempt(batch, STRANGER)) == "unknown_key"
    changed = good.statement.replace("Looked", "looked")
    assert refusal(desk, replace(good, statement=changed, attempt_key=str(uuid.uuid4()))) == "bad_signature"
    other = LEE.sign(good.statement, "walletworks-request")
    assert refusal(desk, replace(good, signature=other, attempt_key=str(uuid.uuid4()))) == "wrong_namespace"
    garbage = replace(good, statement="\x00\ud800", signature="\x00", attempt_key=str(uuid.uuid4()))
    assert refusal(desk, garbage) == "malformed_statement"


def test_replayed_statement_counts_once(desk: Desk) -> None:
    """A nonce counts once, in the same batch and in another."""
    batch = with_open_gate(desk)
    step = attempt(batch, LEE)
    assert desk.activities.record_attempt(step).counted
    again = replace(step, attempt_key=str(uuid.uuid4()))
    assert refusal(desk, again) == "nonce_already_used"
    other = with_open_gate(desk)
    nonce = json.loads(step.statement)["nonce"]
    assert refusal(desk, attempt(other, ANA, nonce=nonce)) == "nonce_already_used"


WRONG_MESSAGES = {
    "an approval sent as reject": ("reject", {}),
    "an approval sent as abort": ("abort", {}),
    "an approval sent as adjudicate": ("adjudicate", {}),
    "a resumption sent as approve": ("approve", {"gate": "resume/1"}),
    "a roll-back sent as approve": ("approve", {"gate": "rollback"}),
}


@pytest.mark.parametrize("case", WRONG_MESSAGES)
def test_statement_in_another_message_is_refused(desk: Desk, case: str) -> None:
    """A statement that is for something counts only in the message it belongs in."""
    message, changes = WRONG_MESSAGES[case]
    batch = with_open_gate(desk)
    for gate in ("resume/1", "rollback"):
        desk.activities.open_gate(open_step(batch, gate=gate, wallet_officer=1))
    assert refusal(desk, attempt(batch, ANA, message=message, **changes)) == "wrong_message"


@pytest.mark.parametrize("message", ["approve", "abort", "reject"])
def test_rejection_counts_in_whatever_message_it_comes(desk: Desk, message: str) -> None:
    """A signed no is final for its gate; the envelope is nobody's signature."""
    batch = with_open_gate(desk)
    answer = desk.activities.record_attempt(attempt(batch, ANA, message=message, decision="reject"))
    assert answer.standing is not None
    assert (answer.counted, answer.standing.rejected_by) == (True, ANA.name)


@pytest.mark.parametrize(("gate", "message"), [("resume/1", "resume"), ("rollback", "abort")])
def test_resume_and_roll_back_count_in_their_own_messages(desk: Desk, gate: str, message: str) -> None:
    """Resuming and aborting are decisions at gates of their own over the plan."""
    batch = planned_batch(desk.database)
    desk.activities.open_gate(open_step(batch, gate=gate, wallet_officer=1))
    answer = desk.activities.record_attempt(attempt(batch, KIM, message=message, gate=gate))
    assert answer.standing is not None
    assert answer.standing.satisfied


def test_rejection_is_final(desk: Desk) -> None:
    """One decision against ends the gate however many approve."""
    batch = with_open_gate(desk)
    rejected = attempt(batch, ANA, message="reject", decision="reject")
    assert desk.activities.record_attempt(rejected).counted
    desk.activities.record_attempt(attempt(batch, LEE))
    last = desk.activities.record_attempt(attempt(batch, KIM)).standing
    assert last is not None
    assert (last.satisfied, last.rejected_by) == (False, ANA.name)


def test_late_statements_are_refused(desk: Desk) -> None:
    """Neither a closed gate nor one past its expiry takes decisions."""
    closed = with_open_gate(desk)
    desk.activities.close_gate(close_step(closed, "expired"))
    assert refusal(desk, attempt(closed, LEE)) == "gate_not_open"
    past = planned_batch(desk.database)
    desk.activities.open_gate(open_step(past, hours=-1))
    assert refusal(desk, attempt(past, LEE)) == "gate_not_open"
    unplanned = claimed_batch(desk.database)
    assert refusal(desk, attempt(unplanned, LEE)) == "gate_not_open"


def test_first_outcome_of_a_gate_stands(desk: Desk) -> None:
    """A gate ends once, and never approved unless it stands so."""
    batch = with_open_gate(desk)
    with pytest.raises(PolicyViolationError):
        desk.activities.close_gate(close_step(batch, "approved"))
    desk.activities.close_gate(close_step(batch, "expired"))
    desk.activities.close_gate(close_step(batch, "rejected"))
    assert [entry["outcome"] for entry in told(desk.database, batch.chain, "gate.closed")] == ["expired"]


def test_revocation_after_counting_empties_the_seat(desk: Desk) -> None:
    """Revocation is judged when a gate is counted, with the trust file of that moment."""
    batch = with_open_gate(desk)
    desk.activities.record_attempt(attempt(batch, LEE))
    assert desk.activities.record_attempt(attempt(batch, KIM)).standing is not None
    desk.trust.write_text(trust_text(kim=f'revoked_at = "{instant(-0.01)}"\n'))
    standing = desk.activities.judge_gate(
        JudgeGate(batch_id=batch.batch_id, gate="compliance", digest=PLAN_DIGEST)
    )
    assert (standing.satisfied, standing.approved_by) == (False, [LEE.name])
    with pytest.raises(PolicyViolationError):
        desk.activities.close_gate(close_step(batch, "approved"))


def test_unreadable_trust_file_is_waited_for(desk: Desk) -> None:
    """Nobody is refused because the server's own trust file is broken."""
    batch = with_open_gate(desk)
    desk.trust.write_text("deployment = ")
    with pytest.raises(ServiceUnavailableError):
        desk.activities.record_attempt(attempt(batch, LEE))
    with desk.database.transaction() as connection:
        assert attempt_count(connection, batch, counted=False) == 0


def test_rows_that_nobody_signed_are_not_believed(desk: Desk) -> None:
    """A row written past the rules fills no seat: the gate counts signatures, not rows."""
    batch = with_open_gate(desk)
    text = statement(batch, KIM)
    with desk.database.transaction() as connection:
        connection.execute(
            insert(attempts).values(
                attempt_key=str(uuid.uuid4()),
                batch_no=batch.batch_no,
                message="approve",
                gate="compliance",
                digest=bytes.fromhex(PLAN_DIGEST),
                statement=text,
                signature=STRANGER.sign(text),
                counted=True,
                reason_code="counted",
                reason="",
                approver=KIM.name,
            )
        )
    answer = desk.activities.record_attempt(attempt(batch, LEE)).standing
    assert answer is not None
    assert (answer.satisfied, answer.approved_by) == (False, [LEE.name])


def test_concurrent_approvals_fill_the_gate_exactly_once(desk: Desk) -> None:
    """Of approvals that arrive together exactly one sees the gate fill."""
    batch = planned_batch(desk.database)
    desk.activities.open_gate(open_step(batch, compliance_officer=1, wallet_officer=1))
    steps = [attempt(batch, LEE), attempt(batch, KIM)]
    answers = at_once([partial(desk.activities.record_attempt, step) for step in steps])
    stands = [answer.standing for answer in answers if answer.standing is not None]
    assert [answer.counted for answer in answers] == [True, True]
    assert sorted(stand.satisfied for stand in stands) == [False, True]


def test_one_statement_sent_many_times_at_once_counts_once(desk: Desk) -> None:
    """Copies of a statement race for its nonce: one wins, in this batch or in any other."""
    batch, other = with_open_gate(desk), with_open_gate(desk)
    step = attempt(batch, LEE)
    nonce = json.loads(step.statement)["nonce"]
    copies = [replace(step, attempt_key=str(uuid.uuid4())) for _ in range(3)]
    copies += [attempt(other, ANA, nonce=nonce) for _ in range(3)]
    answers = at_once([partial(desk.activities.record_attempt, step) for step in copies])
    assert sum(answer.counted for answer in answers) == 1
    assert {answer.reason_code for answer in answers if not answer.counted} == {"nonce_already_used"}


def test_unsigned_messages_are_on_record_once(desk: Desk) -> None:
    """A pause counts without a signature, an unreadable message is refused, each written once."""
    batch = planned_batch(desk.database)
    pause = RecordRefusal(
        batch_id=batch.batch_id,
        attempt_key=str(uuid.uuid4()),
        message="pause",
        reason_code="paused",
        reason="fire drill",
        counted=True,
    )
    unreadable = replace(
        pause,
        attempt_key=str(uuid.uuid4()),
        message="x\x00\n" + "y" * 100,
        reason_code="malformed",
        reason="\x00",
        counted=False,
    )
    for step in (pause, pause, unreadable, unreadable):
        desk.activities.record_refusal(step)
    with desk.database.transaction() as connection:
        assert attempt_count(connection, batch, counted=True) == 1
        assert attempt_count(connection, batch, counted=False) == 1
    assert told(desk.database, batch.chain, "attempt.counted")[0]["attempt_key"] == pause.attempt_key


def test_reminder_is_announced_once_per_level(desk: Desk) -> None:
    """A gate that waits is announced through the outbox, once per level."""
    batch = with_open_gate(desk)
    step = RemindGate(batch_id=batch.batch_id, gate="compliance", digest=PLAN_DIGEST, level="reminder")
    desk.activities.remind_gate(step)
    desk.activities.remind_gate(step)
    with desk.database.transaction() as connection:
        count = connection.execute(
            select(func.count()).where(
                outbox.c.batch_no == batch.batch_no, outbox.c.delivered_at.is_not(None)
            )
        ).scalar_one()
    assert count == 1
    folder = desk.objects / "batches" / batch.batch_id / "announcements"
    announced = [json.loads(path.read_bytes()) for path in folder.iterdir()]
    assert [item["data"]["still_needed"] for item in announced] == [
        {"compliance_officer": 1, "wallet_officer": 1}
    ]


def test_message_for_a_batch_that_nobody_knows_is_refused(desk: Desk) -> None:
    """Nothing can be recorded where there is no batch."""
    unknown = replace(with_open_gate(desk), batch_id="no-such-batch")
    with pytest.raises(InvalidRequestError, match="no batch of this id"):
        desk.activities.record_attempt(attempt(unknown, LEE))


def test_ended_batch_takes_no_message(desk: Desk) -> None:
    """A closed record stays as it was closed: neither a decision nor a refusal is added."""
    batch = with_open_gate(desk)
    step = attempt(batch, LEE)
    with desk.database.transaction() as connection:
        ended = update(batches).where(batches.c.batch_no == batch.batch_no)
        connection.execute(ended.values(outcome="aborted", result={}, ended_at=func.now()))
    note = RecordRefusal(
        batch_id=batch.batch_id, attempt_key=step.attempt_key, message="x", reason_code="y", reason="z"
    )
    with pytest.raises(StaleFenceError):
        desk.activities.record_attempt(step)
    with pytest.raises(StaleFenceError):
        desk.activities.record_refusal(note)
    with desk.database.transaction() as connection:
        assert attempt_count(connection, batch, counted=False) == 0
