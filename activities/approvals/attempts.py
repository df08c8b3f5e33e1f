"""Signed messages as they came: ruled on, and written down with the reason and the answer, once each.

Rows are final; what cannot be stored as text is stored with a replacement character, never left out.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from activities.approvals.gates import HOLD, BatchCase, OpenHold, open_gates, open_hold
from activities.canonical import sha256_hex
from activities.contracts.approvals import GateStanding, RecordAttempt, RecordedAttempt, RecordRefusal
from activities.contracts.shapes import batch_chain
from activities.failures import InvalidRequestError
from activities.store import audit
from activities.store.tables import attempts
from activities.trust.judging import Judgement, judge_attempt
from activities.trust.reasons import SENTENCES, Reason
from activities.trust.statements import Statement, parse_statement
from activities.trust.trust_file import Trust

WRONG_MESSAGE: Final = "wrong_message"
"""The reason of a good statement that came in a message it does not belong in."""

_WRONG_MESSAGE: Final = "The statement's gate and decision belong in another message."
_NOT_A_WORD: Final = re.compile(r"[^A-Za-z0-9_./@:-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What becomes of one attempt: the judgement, the code and sentence told, and the hold it is about."""

    counted: bool
    code: str
    sentence: str
    judgement: Judgement
    hold: OpenHold | None = None

    @property
    def statement(self) -> Statement | None:
        """The statement, where the text was one."""
        return self.judgement.statement


def rule_on(
    connection: Connection, case: BatchCase, step: RecordAttempt, *, trust: Trust, now: datetime
) -> Ruling:
    """Judges a signed message against what is open now."""
    said = _readable(step.statement)
    hold = open_hold(connection, case, said.digest) if said and said.gate == HOLD else None
    opened = open_gates(connection, case, now) + ((hold.gate,) if hold else ())
    judged = judge_attempt(
        step.statement,
        step.signature,
        trust=trust,
        context=replace(case.context, gates=opened),
        now=now,
        seen_nonces=_seen(connection, said),
    )
    # A no counts in whatever message it comes: custody would stand by it anyway, so nobody is told otherwise.
    if judged.counted and said and said.favourable and step.message != message_for(said):
        return Ruling(counted=False, code=WRONG_MESSAGE, sentence=_WRONG_MESSAGE, judgement=judged)
    return Ruling(
        counted=judged.counted,
        code=judged.reason.value,
        sentence=judged.sentence,
        judgement=judged,
        hold=hold,
    )


def replayed(ruling: Ruling) -> Ruling:
    """The same attempt when another one with its nonce counted a moment before."""
    code = Reason.NONCE_ALREADY_USED
    return Ruling(counted=False, code=code.value, sentence=SENTENCES[code], judgement=ruling.judgement)


def message_for(statement: Statement) -> str:
    """The one message a statement belongs in."""
    if statement.gate == HOLD:
        return "adjudicate"
    if not statement.favourable:
        return "reject"
    return {"resume": "resume", "rollback": "abort"}.get(statement.gate.partition("/")[0], "approve")


def recorded_answer(connection: Connection, attempt_key: str) -> RecordedAttempt | None:
    """What the sender of this attempt was told, or None when it is new."""
    answer = connection.execute(
        select(attempts.c.answer).where(attempts.c.attempt_key == attempt_key)
    ).scalar_one_or_none()
    if answer is None:
        return None
    told = answer.get("standing")
    return RecordedAttempt(**{**answer, "standing": GateStanding(**told) if told else None})


def write_attempt(
    connection: Connection,
    case: BatchCase,
    step: RecordAttempt,
    *,
    ruling: Ruling,
    answer: RecordedAttempt,
    now: datetime,
) -> None:
    """Writes the attempt with its answer, and its audit entry."""
    said = ruling.statement
    connection.execute(
        insert(attempts).values(
            attempt_key=step.attempt_key,
            batch_no=case.batch_no,
            message=as_word(step.message),
            gate=said.gate if said else None,
            digest=bytes.fromhex(said.digest) if said else None,
            statement=storable(step.statement),
            signature=storable(step.signature),
            counted=ruling.counted,
            reason_code=ruling.code,
            reason=ruling.sentence,
            approver=ruling.judgement.person,
            key_fingerprint=ruling.judgement.key_fingerprint,
            decision=said.decision if said else None,
            nonce=said.nonce if said else None,
            answer=asdict(answer),
            received_at=now,
        )
    )
    facts = {
        "gate": said.gate if said else "",
        "digest": said.digest if said else "",
        "decision": said.decision if said else "",
        "approver": ruling.judgement.person or "",
        "key_fingerprint": ruling.judgement.key_fingerprint or "",
        "statement_sha256": sha256_hex(step.statement.encode("utf-8", "replace")),
        "signature_sha256": sha256_hex(step.signature.encode("utf-8", "replace")),
        **_arrival(as_word(step.message), now),
    }
    _audit(connection, case.batch_id, step.attempt_key, ruling.code, counted=ruling.counted, facts=facts)


def write_refusal(connection: Connection, case: BatchCase, step: RecordRefusal) -> bool:
    """Writes a message without a statement; False when it is on record already."""
    answer = RecordedAttempt(counted=step.counted, reason_code=step.reason_code, reason=step.reason)
    written = connection.execute(
        insert(attempts)
        .values(
            attempt_key=step.attempt_key,
            batch_no=case.batch_no,
            message=as_word(step.message),
            counted=step.counted,
            reason_code=as_word(step.reason_code),
            reason=storable(step.reason),
            answer={**asdict(answer), "reason": storable(step.reason)},
        )
        .on_conflict_do_nothing(index_elements=["attempt_key"])
        .returning(attempts.c.message, attempts.c.received_at)
    )
    row = written.first()
    if row is None:
        return False
    code, facts = as_word(step.reason_code), _arrival(row.message, row.received_at)
    _audit(connection, case.batch_id, step.attempt_key, code, counted=step.counted, facts=facts)
    return True


def as_word(name: str) -> str:
    """A name that a stranger chose, made safe to show and short."""
    return _NOT_A_WORD.sub("_", name)[:64]


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold; no text that counts has any of it."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def _arrival(message: str, at: datetime) -> dict[str, str]:
    """In which message an attempt came, and when by the store's clock, to the microsecond."""
    return {"message": message, "received_at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}


def _audit(
    connection: Connection,
    batch_id: str,
    attempt_key: str,
    code: str,
    *,
    counted: bool,
    facts: Mapping[str, Any],
) -> None:
    kind = "attempt.counted" if counted else "attempt.refused"
    known = {"attempt_key": attempt_key, "reason_code": code}
    audit.append(connection, batch_chain(batch_id), kind=kind, facts={**known, **facts})


def _readable(text: str) -> Statement | None:
    try:
        return parse_statement(text)
    except InvalidRequestError:
        return None


def _seen(connection: Connection, said: Statement | None) -> frozenset[str]:
    """The statement's own nonce, if a decision with it has counted anywhere."""
    if said is None:
        return frozenset()
    found = connection.execute(
        select(attempts.c.nonce).where(attempts.c.nonce == said.nonce, attempts.c.counted)
    )
    return frozenset(found.scalars())
