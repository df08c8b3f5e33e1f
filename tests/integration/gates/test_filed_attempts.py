"""Attempts as they are filed: which rows a gate counts from, and that a row's own words move nothing."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert

from activities.approvals.attempts import message_for
from activities.contracts.approvals import GateStanding, JudgeGate, RecordAttempt
from activities.store.tables import attempts
from activities.trust.statements import parse_statement
from tests.integration.gates.room import (
    KIM,
    LEE,
    STRANGER,
    Desk,
    attempt,
    open_step,
    statement,
    with_open_gate,
)
from tests.integration.seeded import PLAN_DIGEST, SeededBatch, planned_batch, told

OTHER_DIGEST = "cd" * 32


def _stands(desk: Desk, batch: SeededBatch, digest: str = PLAN_DIGEST) -> GateStanding:
    return desk.activities.judge_gate(JudgeGate(batch_id=batch.batch_id, gate="compliance", digest=digest))


def _file(desk: Desk, batch: SeededBatch, **columns: Any) -> None:
    """Writes a row past the desk, with a statement that Kim really signed for this batch's gate."""
    text = statement(batch, KIM)
    row: dict[str, Any] = {
        "attempt_key": str(uuid.uuid4()),
        "batch_no": batch.batch_no,
        "message": "approve",
        "gate": "compliance",
        "digest": bytes.fromhex(PLAN_DIGEST),
        "statement": text,
        "signature": KIM.sign(text),
        "counted": True,
        "reason_code": "counted",
        "reason": "",
        "approver": KIM.name,
    }
    with desk.database.transaction() as connection:
        connection.execute(insert(attempts).values({**row, **columns}))


FILED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "where it belongs": ({}, [KIM.name]),
    "as refused": ({"counted": False}, []),
    "under another gate": ({"gate": "issuance"}, []),
    "under another digest": ({"digest": bytes.fromhex(OTHER_DIGEST)}, []),
    "without its statement": ({"statement": None}, []),
    "without its signature": ({"signature": None}, []),
}


@pytest.mark.parametrize("case", FILED)
def test_row_counts_where_it_is_filed_and_signed(desk: Desk, case: str) -> None:
    """A statement fills a seat only where its row and its text agree; a broken row stops nobody."""
    columns, approved_by = FILED[case]
    batch = with_open_gate(desk)
    _file(desk, batch, **columns)
    assert _stands(desk, batch).approved_by == approved_by
    answer = desk.activities.record_attempt(attempt(batch, LEE))
    assert answer.standing is not None
    assert answer.standing.approved_by == [*approved_by, LEE.name]


def test_row_moved_to_another_batch_counts_at_neither(desk: Desk) -> None:
    """A batch counts its own rows, and a text of another batch is nothing to it."""
    batch, other = with_open_gate(desk), with_open_gate(desk)
    _file(desk, batch, batch_no=other.batch_no)
    assert (_stands(desk, batch).approved_by, _stands(desk, other).approved_by) == ([], [])


def test_statement_that_came_too_early_stays_refused(desk: Desk) -> None:
    """What was refused in its time does not count once its gate is open; sent again, it does."""
    batch = planned_batch(desk.database)
    step = attempt(batch, LEE)
    early = desk.activities.record_attempt(step)
    assert (early.reason_code, early.approver, early.standing) == ("gate_not_open", LEE.name, None)
    assert desk.activities.open_gate(open_step(batch)).approved_by == []
    assert _stands(desk, batch).approved_by == []
    assert desk.activities.record_attempt(replace(step, attempt_key=str(uuid.uuid4()))).counted


def test_gate_stands_over_its_own_digest_alone(desk: Desk) -> None:
    """A gate of the same name that was opened over another digest is another gate."""
    batch = with_open_gate(desk)
    for signer in (LEE, KIM):
        desk.activities.record_attempt(attempt(batch, signer))
    assert _stands(desk, batch).satisfied
    other = _stands(desk, batch, OTHER_DIGEST)
    assert (other.digest, other.satisfied, other.approved_by) == (OTHER_DIGEST, False, [])


FIELDS = ("gate", "digest", "decision", "approver", "key_fingerprint")

UNREAD: dict[str, tuple[Callable[[RecordAttempt], RecordAttempt], set[str]]] = {
    "nothing of it": (lambda step: step, set()),
    "the text": (lambda step: replace(step, statement="{}"), set(FIELDS)),
    "the signature": (lambda step: replace(step, signature="none"), {"approver", "key_fingerprint"}),
    "whose key it is": (
        lambda step: replace(step, signature=STRANGER.sign(step.statement)),
        {"approver"},
    ),
}


@pytest.mark.parametrize("case", UNREAD)
def test_log_and_answer_have_an_empty_word_for_what_could_not_be_read(desk: Desk, case: str) -> None:
    """An entry has the same fields whatever came; what an attempt does not tell is empty, no more."""
    change, empty = UNREAD[case]
    batch = with_open_gate(desk)
    answer = desk.activities.record_attempt(change(attempt(batch, LEE)))
    (entry,) = told(desk.database, batch.chain, "attempt.counted" if answer.counted else "attempt.refused")
    assert [answer.gate, answer.decision, answer.approver] == [
        entry[n] for n in ("gate", "decision", "approver")
    ]
    assert {name for name in FIELDS if entry[name] == ""} == empty
    assert all(isinstance(entry[name], str) for name in FIELDS)


BELONGS: dict[str, tuple[dict[str, str], str]] = {
    "an approval": ({}, "approve"),
    "a wave's": ({"gate": "wave/2"}, "approve"),
    "a resumption": ({"gate": "resume/1"}, "resume"),
    "an abort": ({"gate": "rollback"}, "abort"),
    "a no": ({"decision": "reject"}, "reject"),
    "a no to an abort": ({"gate": "rollback", "decision": "reject"}, "reject"),
    "a clearing": ({"gate": "hold", "decision": "clear"}, "adjudicate"),
    "a refusal of a hold": ({"gate": "hold", "decision": "refuse"}, "adjudicate"),
}


@pytest.mark.parametrize("case", BELONGS)
def test_every_statement_has_one_message_it_belongs_in(case: str) -> None:
    """The gate says it, and at all gates but a hold's a no is a rejection."""
    changes, message = BELONGS[case]
    text = statement(SeededBatch(batch_id="spring-airdrop", batch_no=1), LEE, **changes)
    assert message_for(parse_statement(text)) == message
