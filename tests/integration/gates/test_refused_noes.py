"""A valid no that was refused for how it came: it stands here as it does with custody and the auditors."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from activities.contracts.approvals import GateStanding, JudgeGate, RecordAttempt
from activities.failures import PolicyViolationError
from tests.integration.gates.room import (
    ANA,
    HOLD_DIGEST,
    KIM,
    LEE,
    STRANGER,
    Desk,
    attempt,
    close_step,
    held_batch,
    instant,
    on_hold,
    open_step,
    refusal,
    settled,
    with_open_gate,
)
from tests.integration.seeded import PLAN_DIGEST, SeededBatch, planned_batch
from tests.signers import Signer

NoTo = Callable[[Desk, SeededBatch], RecordAttempt]


def _no(
    batch: SeededBatch, signer: Signer = LEE, *, message: str = "reject", **changes: str
) -> RecordAttempt:
    return attempt(batch, signer, message=message, **{"decision": "reject"} | changes)


def _with_the_nonce_of(yes: RecordAttempt, no: RecordAttempt) -> RecordAttempt:
    """The same no, signed over a nonce that has counted."""
    nonce = json.loads(yes.statement)["nonce"]
    text = json.dumps({**json.loads(no.statement), "nonce": nonce})
    return replace(no, statement=text, signature=LEE.sign(text))


IDLE: dict[str, NoTo] = {
    "by a stranger": lambda _, batch: _no(batch, STRANGER),
    "expired": lambda _, batch: _no(batch, expires_at=instant(-0.1)),
    "about something else": lambda _, batch: _no(batch, digest="cd" * 32),
}


def _stands(desk: Desk, batch: SeededBatch) -> GateStanding:
    step = JudgeGate(batch_id=batch.batch_id, gate="compliance", digest=PLAN_DIGEST)
    return desk.activities.judge_gate(step)


def test_no_under_a_used_nonce_stands(desk: Desk) -> None:
    """Its answer shows so, the gate is rejected, and nobody passes it by approving."""
    batch = with_open_gate(desk)
    yes = attempt(batch, LEE)
    assert desk.activities.record_attempt(yes).counted
    answer = desk.activities.record_attempt(_with_the_nonce_of(yes, _no(batch)))
    assert (answer.counted, answer.reason_code) == (False, "nonce_already_used")
    assert answer.standing is not None
    assert answer.standing.rejected_by == LEE.name
    for signer in (KIM, ANA):
        desk.activities.record_attempt(attempt(batch, signer))
    assert (_stands(desk, batch).rejected_by, _stands(desk, batch).satisfied) == (LEE.name, False)
    with pytest.raises(PolicyViolationError):
        desk.activities.close_gate(close_step(batch, "approved"))


@pytest.mark.parametrize("case", IDLE)
def test_refused_no_that_breaks_a_rule_is_none(desk: Desk, case: str) -> None:
    """Who may not decide, or came too late, stops nothing."""
    batch = with_open_gate(desk)
    assert not desk.activities.record_attempt(IDLE[case](desk, batch)).counted
    for signer in (LEE, KIM):
        desk.activities.record_attempt(attempt(batch, signer))
    assert (_stands(desk, batch).rejected_by, _stands(desk, batch).satisfied) == ("", True)


def test_no_before_the_gate_was_open_is_none(desk: Desk) -> None:
    """What was said to a gate that was not there is not about it."""
    batch = planned_batch(desk.database)
    assert refusal(desk, _no(batch))
    desk.activities.open_gate(open_step(batch))
    assert _stands(desk, batch).rejected_by == ""


def test_no_after_the_gate_was_closed_is_none(desk: Desk) -> None:
    """Too late: how it closed is how it stands, also in the answer."""
    batch = with_open_gate(desk)
    for signer in (LEE, KIM):
        desk.activities.record_attempt(attempt(batch, signer))
    desk.activities.close_gate(close_step(batch, "approved"))
    answer = desk.activities.record_attempt(_no(batch, ANA))
    assert not answer.counted
    assert answer.standing is not None
    assert (answer.standing.rejected_by, _stands(desk, batch).rejected_by) == ("", "")


def test_no_to_a_hold_under_a_used_nonce_settles_it_with_the_next_decision(desk: Desk) -> None:
    """A decision that would help to clear the hold finds the no on record."""
    batch = held_batch(desk, HOLD_DIGEST)
    yes = on_hold(batch, LEE, "clear")
    assert desk.activities.record_attempt(yes).counted
    no = _with_the_nonce_of(yes, on_hold(batch, LEE, "refuse"))
    assert refusal(desk, no) == "nonce_already_used"
    assert settled(desk, batch) == []
    desk.activities.record_attempt(on_hold(batch, ANA, "clear"))
    assert settled(desk, batch) == ["refuse"]
