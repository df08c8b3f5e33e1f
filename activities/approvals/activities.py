"""Gates and the signed statements sent to them: every attempt is committed before anyone is answered.

Who counts is judged by `activities.trust` against the trust file as it is at that moment; gates count from
the database alone, and a decision settles its hold in the transaction that counts it.
"""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError as ConstraintError
from temporalio import activity

from activities.activation.announcements import Announcer, enqueue, event_id
from activities.approvals.attempts import (
    Ruling,
    recorded_answer,
    replayed,
    rule_on,
    write_attempt,
    write_refusal,
)
from activities.approvals.gates import (
    ROLLBACK,
    BatchCase,
    OpenHold,
    batch_case,
    moment,
    open_gates,
    open_hold_count,
    pause_gates,
    require_not_ended,
    require_planned_gate,
    rollback_digest,
    standing,
    stored_expiry,
    stored_gate,
)
from activities.contracts.approvals import (
    Approvals,
    CloseGate,
    GateStanding,
    JudgeGate,
    OpenedGate,
    OpenGate,
    RecordAttempt,
    RecordedAttempt,
    RecordRefusal,
    RemindGate,
    StandingOrders,
)
from activities.contracts.shapes import BatchStep, Undone, batch_chain
from activities.failures import PolicyViolationError, ServiceUnavailableError
from activities.store import audit
from activities.store.database import Database, hold_fence
from activities.store.locks import lock_gates
from activities.store.tables import adjudications, gates
from activities.trust.judging import Attempt
from activities.trust.mounted import mounted_trust
from activities.trust.trust_file import Trust

GATE_WAITING: Final = "gate.waiting"
"""Topic of reminders in the outbox."""

_NONCE_INDEX: Final = "attempts_nonce_counts_once"


class ApprovalsActivities(Approvals):
    """Counts decisions, one transaction per message, one at a time per batch."""

    def __init__(
        self, *, database: Database, trust_path: Path, deployment: str, announcer: Announcer
    ) -> None:
        self._database = database
        self._trust_path = trust_path
        self._deployment = deployment
        self._announcer = announcer

    @activity.defn
    def open_gate(self, step: OpenGate) -> OpenedGate:
        """Opens a gate over a digest; a second opening finds the first with its terms and expiry.

        Raises: PolicyViolationError when it asks for others than the plan does.
        """
        trust = self._trust()
        with self._database.transaction() as connection:
            hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            case = batch_case(connection, step.batch_id)
            require_planned_gate(case, step.gate, step.terms.roles)
            lock_gates(connection, step.batch_id)
            _insert_gate(connection, case, step)
            stands = _stand(connection, case, step.gate, step.digest, trust)
            expires_at = stored_expiry(connection, case, step.gate, step.digest)
            return OpenedGate(**asdict(stands), expires_at=expires_at)

    @activity.defn
    def record_attempt(self, step: RecordAttempt) -> RecordedAttempt:
        """Judges a signed message now, and commits it with what its sender is told.

        Raises: InvalidRequestError when the batch is not on record, StaleFenceError once it has ended,
            ServiceUnavailableError.
        """
        trust = self._trust()
        with self._database.transaction() as connection:
            lock_gates(connection, step.batch_id)
            case = batch_case(connection, step.batch_id)
            if told := recorded_answer(connection, step.attempt_key):
                return told
            require_not_ended(case)
            now = moment(connection)
            ruling = rule_on(connection, case, step, trust=trust, now=now)
            if ruling.counted:
                try:
                    with connection.begin_nested():
                        return _count(connection, case, step, ruling=ruling, trust=trust, now=now)
                except ConstraintError as error:
                    if not _is_nonce_replay(error):
                        raise
                    # Another batch's transaction counted the same nonce after ours had looked.
                    ruling = replayed(ruling)
            answer = _refusal(ruling, _stand_of(connection, case, step, ruling=ruling, trust=trust, now=now))
            write_attempt(connection, case, step, ruling=ruling, answer=answer, now=now)
        return answer

    @activity.defn
    def record_refusal(self, step: RecordRefusal) -> Undone:
        """Commits a message that carried no statement to judge. Retry: it is on record once."""
        with self._database.transaction() as connection:
            lock_gates(connection, step.batch_id)
            case = batch_case(connection, step.batch_id)
            require_not_ended(case)
            written = write_refusal(connection, case, step)
        return Undone(counts={"recorded": int(written)})

    @activity.defn
    def judge_gate(self, step: JudgeGate) -> GateStanding:
        """Counts a gate again; one that was never opened is not satisfied."""
        trust = self._trust()
        with self._database.transaction() as connection:
            case = batch_case(connection, step.batch_id)
            return _stand(connection, case, step.gate, step.digest, trust)

    @activity.defn
    def remind_gate(self, step: RemindGate) -> Undone:
        """Announces that a gate still waits; what cannot be told now stays in the outbox."""
        event = event_id(step.batch_id, f"remind/{step.gate}/{step.digest}/{step.level}")
        trust = self._trust()
        with self._database.transaction() as connection:
            case = batch_case(connection, step.batch_id)
            now = _stand(connection, case, step.gate, step.digest, trust)
            facts = {
                "batch_id": step.batch_id,
                "gate": step.gate,
                "digest": step.digest,
                "level": step.level,
                "still_needed": now.still_needed,
            }
            queued = enqueue(connection, batch_no=case.batch_no, event=event, topic=GATE_WAITING, facts=facts)
        announced = self._announcer.try_to_deliver(batch_id=step.batch_id, event=event)
        return Undone(counts={"queued": int(queued), "announced": int(announced)})

    @activity.defn
    def close_gate(self, step: CloseGate) -> GateStanding:
        """Records how a gate ended; one that was never opened has no end to record.

        Raises: PolicyViolationError when it is to end approved and does not stand so.
        """
        trust = self._trust()
        with self._database.transaction() as connection:
            hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            case = batch_case(connection, step.batch_id)
            lock_gates(connection, step.batch_id)
            now = _stand(connection, case, step.gate, step.digest, trust)
            if _set_outcome(connection, case, step):
                if step.outcome == "approved" and not now.satisfied:
                    raise PolicyViolationError("the gate does not stand approved", step.gate)
                facts = {"gate": step.gate, "digest": step.digest, "outcome": step.outcome}
                audit.append(connection, batch_chain(step.batch_id), kind="gate.closed", facts=facts)
        return now

    @activity.defn
    def recall_orders(self, step: BatchStep) -> StandingOrders:
        """Gives how the abort stands, how many pauses there were, whether the last one lasts, and open holds.

        Raises: StaleFenceError.
        """
        trust = self._trust()
        with self._database.transaction() as connection:
            hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            case = batch_case(connection, step.batch_id)
            pauses = pause_gates(connection, case)
            rollback = rollback_digest(connection, case)
            stands = None if rollback is None else _stand(connection, case, ROLLBACK, rollback, trust)
            holds = open_hold_count(connection, case.batch_no)
        return StandingOrders(rollback=stands, pauses=len(pauses), paused=any(pauses), open_holds=holds)

    def _trust(self) -> Trust:
        """Read anew for every judgement, so that a revocation counts at once."""
        trust = mounted_trust(self._trust_path)
        if trust.deployment != self._deployment:
            raise ServiceUnavailableError("trust file")
        return trust


def _stand(connection: Connection, case: BatchCase, name: str, digest: str, trust: Trust) -> GateStanding:
    gate = stored_gate(connection, case, name, digest)
    if gate is None:
        return GateStanding(gate=name, digest=digest, satisfied=False)
    return standing(connection, case, gate, trust=trust, now=moment(connection))


def _insert_gate(connection: Connection, case: BatchCase, step: OpenGate) -> None:
    opened = connection.execute(
        insert(gates)
        .values(
            batch_no=case.batch_no,
            gate=step.gate,
            digest=bytes.fromhex(step.digest),
            terms=asdict(step.terms),
            expires_at=datetime.fromisoformat(step.expires_at),
        )
        .on_conflict_do_nothing()
        .returning(gates.c.gate)
    )
    if opened.first() is not None:
        facts = {
            "gate": step.gate,
            "digest": step.digest,
            "roles": step.terms.roles,
            "expires_at": step.expires_at,
        }
        audit.append(connection, batch_chain(case.batch_id), kind="gate.opened", facts=facts)


def _set_outcome(connection: Connection, case: BatchCase, step: CloseGate) -> bool:
    closed = connection.execute(
        update(gates)
        .where(
            gates.c.batch_no == case.batch_no,
            gates.c.gate == step.gate,
            gates.c.digest == bytes.fromhex(step.digest),
            gates.c.outcome.is_(None),
        )
        .values(outcome=step.outcome, closed_at=func.clock_timestamp())
    )
    return closed.rowcount == 1


def _count(
    connection: Connection,
    case: BatchCase,
    step: RecordAttempt,
    *,
    ruling: Ruling,
    trust: Trust,
    now: datetime,
) -> RecordedAttempt:
    """Writes a decision that counts, with what it does to its gate or hold."""
    said = ruling.judgement.statement
    assert said is not None, "a decision that counts was read"  # noqa: S101 - an invariant of judging
    gate = ruling.hold.gate if ruling.hold else stored_gate(connection, case, said.gate, said.digest)
    assert gate is not None, "a decision counts only at an open gate"  # noqa: S101 - an invariant of judging
    coming = [Attempt(statement=step.statement, signature=step.signature, counted_at=now)]
    stands = standing(connection, case, gate, trust=trust, now=now, coming=coming)
    if ruling.hold:
        _settle(connection, case, ruling.hold, stands)
    answer = RecordedAttempt(
        counted=True,
        reason_code=ruling.code,
        reason=ruling.sentence,
        gate=said.gate,
        approver=ruling.judgement.person or "",
        decision=said.decision,
        standing=stands,
        open_holds=open_hold_count(connection, case.batch_no),
    )
    write_attempt(connection, case, step, ruling=ruling, answer=answer, now=now)
    return answer


def _settle(connection: Connection, case: BatchCase, hold: OpenHold, stands: GateStanding) -> None:
    """One decision against is final; decisions for it settle the hold when they fill the gate."""
    if not (stands.rejected_by or stands.satisfied):
        return
    decision = "refuse" if stands.rejected_by else "clear"
    connection.execute(
        insert(adjudications).values(
            batch_no=case.batch_no,
            ordinal=hold.ordinal,
            hold_digest=bytes.fromhex(hold.gate.digest),
            decision=decision,
        )
    )
    facts = {"ordinal": hold.ordinal, "hold_digest": hold.gate.digest, "decision": decision}
    audit.append(connection, batch_chain(case.batch_id), kind="hold.settled", facts=facts)


def _stand_of(
    connection: Connection,
    case: BatchCase,
    step: RecordAttempt,
    *,
    ruling: Ruling,
    trust: Trust,
    now: datetime,
) -> GateStanding | None:
    """How the gate of a refused decision stands: news to a run that was reset and has forgotten it."""
    said = ruling.judgement.statement
    gate = stored_gate(connection, case, said.gate, said.digest) if said else None
    if gate is None:
        return None
    refused = Attempt(statement=step.statement, signature=step.signature, counted_at=now, refused=True)
    coming = [refused] if gate in open_gates(connection, case, now) else []
    return standing(connection, case, gate, trust=trust, now=now, coming=coming)


def _refusal(ruling: Ruling, stands: GateStanding | None) -> RecordedAttempt:
    said = ruling.judgement.statement
    return RecordedAttempt(
        counted=False,
        reason_code=ruling.code,
        reason=ruling.sentence,
        gate=said.gate if said else "",
        approver=ruling.judgement.person or "",
        decision=said.decision if said else "",
        standing=stands,
    )


def _is_nonce_replay(error: ConstraintError) -> bool:
    diagnosis = getattr(error.orig, "diag", None)
    return getattr(diagnosis, "constraint_name", None) == _NONCE_INDEX
