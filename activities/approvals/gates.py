"""What gates stand on: the batch and its policy, what is open, and the statements that counted.

Counts only from the raw texts in the database, each judged again; writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, func, or_, select, text

from activities.contracts.approvals import GateStanding
from activities.failures import InvalidRequestError, PolicyViolationError, StaleFenceError
from activities.policy.shape import load_policy
from activities.store.tables import attempts, batches, gates, plans
from activities.trust.gates import GateRule
from activities.trust.judging import Attempt, Gate, GateContext, Requester, tally
from activities.trust.request_signing import request_text
from activities.trust.signatures import REQUEST_NAMESPACE, VerifiedSignature, verify_signature
from activities.trust.statements import instant_text
from activities.trust.trust_file import Trust

HOLD: Final = "hold"
"""The gate of held subjects: one decision per hold digest, without a row among the gates."""

ROLLBACK: Final = "rollback"
"""The gate of an abort, open from the plan on."""

PAUSE: Final = "pause"
"""The one message that counts without a statement."""

_OPEN_HOLD: Final = text(
    """
    SELECT v.ordinal FROM verdicts v
    WHERE v.batch_no = :batch_no AND v.verdict = 'held' AND v.hold_digest = :digest
      AND NOT EXISTS (SELECT FROM adjudications a WHERE a.batch_no = v.batch_no AND a.ordinal = v.ordinal)
    """
)

_OPEN_HOLDS: Final = text(
    """
    SELECT count(*) FROM verdicts v
    WHERE v.batch_no = :batch_no AND v.verdict = 'held'
      AND NOT EXISTS (SELECT FROM adjudications a WHERE a.batch_no = v.batch_no AND a.ordinal = v.ordinal)
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCase:
    """What statements about a batch are judged against; `context` names no gate yet.

    `rules` are those of the plan by kind of gate, none before there is one.
    """

    batch_no: int
    batch_id: str
    has_ended: bool
    context: GateContext
    rules: Mapping[str, GateRule]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """A hold that nobody has settled yet."""

    ordinal: int
    gate: Gate


def batch_case(connection: Connection, batch_id: str) -> BatchCase:
    """Gives what is known of the batch; before it is planned no gate can be open.

    Raises: InvalidRequestError when there is no such batch.
    """
    row = connection.execute(
        select(
            batches.c.batch_no,
            batches.c.tenant,
            batches.c.requested_by,
            batches.c.request,
            batches.c.outcome,
            plans.c.policy_text,
            plans.c.decision,
        )
        .join(plans, plans.c.batch_no == batches.c.batch_no, isouter=True)
        .where(batches.c.batch_id == batch_id)
    ).one_or_none()
    if row is None:
        raise InvalidRequestError("no batch of this id is on record")
    context = GateContext(
        tenant=row.tenant,
        batch_id=batch_id,
        requester=_requester(row),
        validity_max=_validity_max(row.policy_text),
        gates=(),
    )
    planned = (row.decision or {}).get("gates", {})
    return BatchCase(
        batch_no=row.batch_no,
        batch_id=batch_id,
        has_ended=row.outcome is not None,
        context=context,
        rules={kind: GateRule(seats=terms["roles"]) for kind, terms in planned.items()},
    )


def require_not_ended(case: BatchCase) -> None:
    """Does nothing while the batch goes on.

    Raises: StaleFenceError once it has ended: a closed record takes no more messages.
    """
    if case.has_ended:
        raise StaleFenceError("the batch has ended and its record is closed")


def require_planned_gate(case: BatchCase, gate: str, roles: Mapping[str, int]) -> None:
    """Requires that a gate asks for exactly whom the plan asks for: whoever reaches the queue can open one.

    Raises: PolicyViolationError.
    """
    rule = case.rules.get(gate.partition("/")[0])
    if gate == HOLD or rule is None or rule.seats != roles:
        raise PolicyViolationError("the plan has no such gate")


def moment(connection: Connection) -> datetime:
    """Reads the database's clock: the one reading a transaction judges by."""
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def open_gates(connection: Connection, case: BatchCase, now: datetime) -> tuple[Gate, ...]:
    """Gives the gates that are neither closed nor past their expiry."""
    rows = connection.execute(
        select(gates).where(
            gates.c.batch_no == case.batch_no, gates.c.outcome.is_(None), gates.c.expires_at > now
        )
    )
    return tuple(_gate(row) for row in rows)


def open_hold(connection: Connection, case: BatchCase, digest: str) -> OpenHold | None:
    """Gives the unsettled hold of a digest."""
    rule = case.rules.get(HOLD)
    if rule is None:
        return None
    ordinal = connection.execute(
        _OPEN_HOLD, {"batch_no": case.batch_no, "digest": bytes.fromhex(digest)}
    ).scalar_one_or_none()
    if ordinal is None:
        return None
    return OpenHold(ordinal=ordinal, gate=Gate(name=HOLD, digest=digest, rule=rule))


def open_hold_count(connection: Connection, batch_no: int) -> int:
    """Counts the holds that nobody has settled yet."""
    return int(connection.execute(_OPEN_HOLDS, {"batch_no": batch_no}).scalar_one())


def pause_gates(connection: Connection, case: BatchCase) -> list[bool]:
    """Tells for each pause of the batch, the first one first, whether nobody has resumed it yet.

    The first may have come before the plan, and have no gate yet.
    """
    rows = connection.execute(
        select(gates.c.outcome)
        .where(gates.c.batch_no == case.batch_no, gates.c.gate.startswith("resume/"))
        .order_by(gates.c.opened_at)
    )
    return [row.outcome is None for row in rows] or _ungated_pauses(connection, case)


def rollback_digest(connection: Connection, case: BatchCase) -> str | None:
    """Gives the digest that an abort signs; None before there is a plan, or when nobody may abort."""
    found: bytes | None = connection.execute(
        select(gates.c.digest).where(gates.c.batch_no == case.batch_no, gates.c.gate == ROLLBACK)
    ).scalar_one_or_none()
    return None if found is None else bytes(found).hex()


def _ungated_pauses(connection: Connection, case: BatchCase) -> list[bool]:
    row = connection.execute(
        select(attempts.c.attempt_key)
        .where(attempts.c.batch_no == case.batch_no, attempts.c.message == PAUSE, attempts.c.counted)
        .limit(1)
    ).first()
    return [] if row is None else [True]


def stored_gate(connection: Connection, case: BatchCase, name: str, digest: str) -> Gate | None:
    """Gives a gate as it was opened, open or closed; a hold has no row."""
    row = connection.execute(_gate_row(case, name, digest)).one_or_none()
    return None if row is None else _gate(row)


def stored_expiry(connection: Connection, case: BatchCase, name: str, digest: str) -> str:
    """Gives until when a gate waits, RFC 3339 UTC to the second, as it was opened first."""
    return instant_text(connection.execute(_gate_row(case, name, digest)).one().expires_at)


def _gate_row(case: BatchCase, name: str, digest: str) -> Select[Any]:
    own = gates.c
    return select(gates).where(
        own.batch_no == case.batch_no, own.gate == name, own.digest == bytes.fromhex(digest)
    )


def standing(
    connection: Connection,
    case: BatchCase,
    gate: Gate,
    *,
    trust: Trust,
    now: datetime,
    coming: Sequence[Attempt] = (),
) -> GateStanding:
    """Counts a gate from its statements on record and those `coming` in this transaction."""
    said = [*_said(connection, case.batch_no, gate), *coming]
    state = tally(gate, said, trust=trust, context=case.context, now=now)
    return GateStanding(
        gate=gate.name,
        digest=gate.digest,
        satisfied=state.satisfied,
        rejected_by=next(iter(state.rejected_by), ""),
        approved_by=list(state.approved_by),
        still_needed=state.needed,
    )


def _said(connection: Connection, batch_no: int, gate: Gate) -> list[Attempt]:
    """What counted, and what was refused while the gate or hold was open: a no among it may stand.

    Custody and the auditors stand by such a no, so that nobody can hide one; it must not pass here either.
    """
    own, its = attempts.c, gates.c
    was_open = own.received_at.between(its.opened_at, func.least(its.closed_at, its.expires_at))
    rows = connection.execute(
        select(own.statement, own.signature, own.counted, own.received_at)
        .select_from(
            attempts.outerjoin(
                gates,
                and_(its.batch_no == own.batch_no, its.gate == own.gate, its.digest == own.digest),
            )
        )
        .where(
            own.batch_no == batch_no,
            own.gate == gate.name,
            own.digest == bytes.fromhex(gate.digest),
            own.statement.is_not(None),
            or_(own.counted, its.gate.is_(None), was_open),
        )
        .order_by(own.received_at, own.attempt_key)
    )
    return [
        Attempt(
            statement=row.statement,
            signature=row.signature or "",
            counted_at=row.received_at,
            refused=not row.counted,
        )
        for row in rows
    ]


def _gate(row: Row[Any]) -> Gate:
    return Gate(name=row.gate, digest=bytes(row.digest).hex(), rule=GateRule(seats=dict(row.terms["roles"])))


def _requester(row: Any) -> Requester:
    """The name in the request, and the key that signed it, whoever's it is."""
    signature = row.request.get("signature") or ""
    verified = verify_signature(request_text(row.request), signature, namespace=REQUEST_NAMESPACE)
    fingerprint = verified.fingerprint if isinstance(verified, VerifiedSignature) else None
    return Requester(name=row.requested_by, key_fingerprint=fingerprint)


def _validity_max(policy_text: str | None) -> timedelta:
    if policy_text is None:
        return timedelta(0)
    return timedelta(hours=load_policy(policy_text).approvals.validity_hours_max)
