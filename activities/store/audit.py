"""The audit log: append-only, hash-chained, one chain per writer.

An entry's hash is SHA-256 over: the previous hash (32 bytes, zeros at the start), the sequence number
(8 bytes, big-endian, from 1), `recorded_at` (RFC 3339 UTC with microseconds), a line feed, and the body
(RFC 8785 canonical JSON); the database computes it. Bodies carry ids, counts and roots, no personal data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from activities.canonical import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """Where a chain stands: the last sequence number and hash."""

    seq: int
    hash: bytes


def append(connection: Connection, chain: str, *, kind: str, facts: Mapping[str, Any]) -> AuditHead:
    """Appends one entry in the caller's transaction and gives the chain's new head."""
    body = canonical({"kind": kind, **facts}).decode()
    row = connection.execute(
        text("SELECT seq, hash FROM audit_append(:chain, :body)"), {"chain": chain, "body": body}
    ).one()
    return AuditHead(seq=row.seq, hash=bytes(row.hash))


def head(connection: Connection, chain: str) -> AuditHead:
    """Gives where a chain stands; sequence 0 and zeros when nothing was appended yet."""
    row = connection.execute(
        text("SELECT seq, head FROM audit_heads WHERE chain = :chain"), {"chain": chain}
    ).one_or_none()
    if row is None:
        return AuditHead(seq=0, hash=bytes(32))
    return AuditHead(seq=row.seq, hash=bytes(row.head))
