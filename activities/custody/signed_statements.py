"""The raw statements on record about a gate, until the gate ended: what custody counts from.

Believes neither the gate, the digest nor the verdict that a row carries: a statement's own text says what it
is about, and a no that was recorded as refused is judged like any other.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, or_, select

from activities.failures import PolicyViolationError
from activities.store.tables import adjudications, attempts, gates
from activities.trust.judging import Attempt

HOLD: Final = "hold"
"""The gate of held subjects: its end is the settling of the hold, not a row among the gates."""

_DIGEST_SAID: Final = r'"digest"\s*:\s*"([0-9a-f]{64})"'
"""Finds the digest a statement's text names; inside a string of the text its quotes would be escaped."""


def signed_statements(
    connection: Connection, *, batch_no: int, gate: str, digests: Sequence[str], now: datetime
) -> dict[str, list[Attempt]]:
    """Gives the statements by the digest they are about, as they came.

    What came after a gate had ended is too late to count, for it or against it. A row dated ahead of `now`
    is never for anything.

    Raises: PolicyViolationError when a gate ended otherwise than approved.
    """
    ends = _ends(connection, batch_no=batch_no, gate=gate, digests=digests)
    said = func.substring(attempts.c.statement, _DIGEST_SAID)
    found = connection.execute(
        select(
            said.label("said"),
            attempts.c.digest,
            attempts.c.counted,
            attempts.c.statement,
            attempts.c.signature,
            attempts.c.received_at,
        )
        .where(
            attempts.c.batch_no == batch_no,
            attempts.c.statement.is_not(None),
            or_(said.in_(digests), attempts.c.digest.in_([bytes.fromhex(digest) for digest in digests])),
        )
        .order_by(attempts.c.received_at, attempts.c.attempt_key)
    )
    signed: dict[str, list[Attempt]] = {}
    for row in found:
        about = row.said if row.said in digests else bytes(row.digest).hex()
        if row.received_at > ends.get(about, row.received_at):
            continue
        attempt = Attempt(
            statement=row.statement,
            signature=row.signature or "",
            counted_at=min(row.received_at, now),
            refused=not row.counted or row.received_at > now,
        )
        signed.setdefault(about, []).append(attempt)
    return signed


def _ends(connection: Connection, *, batch_no: int, gate: str, digests: Sequence[str]) -> dict[str, datetime]:
    """When each gate closed or expired, or its hold was settled; one that is still open has no end yet.

    The database dates an opening, a closing and a settling; an expiry is whatever whoever opened the gate
    wrote, so it ends nothing before that.
    """
    raw = [bytes.fromhex(digest) for digest in digests]
    if gate == HOLD:
        settled = connection.execute(
            select(adjudications.c.hold_digest, adjudications.c.decided_at).where(
                adjudications.c.batch_no == batch_no, adjudications.c.hold_digest.in_(raw)
            )
        )
        return {bytes(row.hold_digest).hex(): row.decided_at for row in settled}
    opened = connection.execute(
        select(gates).where(gates.c.batch_no == batch_no, gates.c.gate == gate, gates.c.digest.in_(raw))
    ).all()
    if any(row.outcome not in {None, "approved"} for row in opened):
        raise PolicyViolationError("custody makes no key for this batch: a gate ended otherwise", gate)
    return {
        bytes(row.digest).hex(): min(
            moment for moment in (row.closed_at, max(row.expires_at, row.opened_at)) if moment
        )
        for row in opened
    }
