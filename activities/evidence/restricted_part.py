"""Reads the restricted part out of the store: opens each subject's sealed fields, a few at a time.

What it gives is plain personal data: it goes straight into the age encryption and nowhere else.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, select

from activities.evidence.public_part import BatchRow, stream
from activities.evidence.restricted import restricted_line
from activities.personal_data import ROW_GROUP, VERDICT_GROUP, BatchDataKey, SubjectVault
from activities.store import tables as t


def restricted_lines(
    connection: Connection, batch: BatchRow, *, vault: SubjectVault, key: BatchDataKey
) -> Iterator[bytes]:
    """One line per subject, in order; an erased one keeps its leaves."""
    for row in stream(connection, _subjects(batch)):
        yield restricted_line(_line(row, vault, key))


def _subjects(batch: BatchRow) -> Select[Any]:
    own, verdicts, withheld = t.subjects.c, t.verdicts.c, t.withholdings.c
    same_verdict = and_(verdicts.batch_no == own.batch_no, verdicts.ordinal == own.ordinal)
    same_withheld = and_(withheld.batch_no == own.batch_no, withheld.ordinal == own.ordinal)
    joined = t.subjects.outerjoin(t.verdicts, same_verdict).outerjoin(t.withholdings, same_withheld)
    return (
        select(
            own.ordinal,
            own.salt,
            own.sealed,
            own.leaf,
            verdicts.verdict,
            verdicts.score,
            verdicts.leaf.label("verdict_leaf"),
            verdicts.hold_digest,
            verdicts.sealed_detail.label("verdict_detail"),
            withheld.sealed_detail.label("withholding_detail"),
        )
        .select_from(joined)
        .where(own.batch_no == batch.batch_no)
        .order_by(own.ordinal)
    )


def _line(row: Row[Any], vault: SubjectVault, key: BatchDataKey) -> dict[str, Any]:
    return {
        "ordinal": row.ordinal,
        "row": _opened(row, row.sealed, ROW_GROUP, vault, key),
        "salt": _hex(row.salt),
        "leaf": bytes(row.leaf).hex(),
        "verdict": row.verdict,
        "score": None if row.score is None else f"{row.score:.2f}",
        "verdict_leaf": _hex(row.verdict_leaf),
        "hold_digest": _hex(row.hold_digest),
        "verdict_detail": _opened(row, row.verdict_detail, VERDICT_GROUP, vault, key),
        "withholding_detail": _opened(row, row.withholding_detail, VERDICT_GROUP, vault, key),
    }


def _opened(
    row: Row[Any], sealed: bytes | None, group: str, vault: SubjectVault, key: BatchDataKey
) -> dict[str, Any] | None:
    if sealed is None or row.salt is None:
        return None
    return vault.open(key, salt=bytes(row.salt), ordinal=row.ordinal, group=group, sealed=bytes(sealed))


def _hex(content: bytes | None) -> str | None:
    return None if content is None else bytes(content).hex()
