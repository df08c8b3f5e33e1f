"""Committed slices: what a slice call did once, found again when the call runs twice."""

import re
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from activities.contracts.shapes import SliceResult, SliceStep, batch_chain
from activities.failures import PolicyViolationError
from activities.store.tables import slices

_SHARD: Final = re.compile(r"[a-z0-9-]+/[0-9]+", re.ASCII)


def require_own_chain(step: SliceStep) -> str:
    """Gives the audit chain a slice's records go to: one of its batch's shards.

    Whoever reaches the queue names the chain; another batch's, whose head is signed, must not grow by it.

    Raises: PolicyViolationError.
    """
    own, _, shard = step.audit_chain.partition(f"{batch_chain(step.batch_id)}/")
    if own or not _SHARD.fullmatch(shard):
        raise PolicyViolationError("the audit chain is not one of the batch's shards", step.slice_index)
    return step.audit_chain


def recorded(connection: Connection, *, batch_no: int, stage: str, step: SliceStep) -> SliceResult | None:
    """Gives what the slice already did in this stage, or None."""
    row = connection.execute(
        select(slices.c.row_count, slices.c.counts, slices.c.root).where(
            slices.c.batch_no == batch_no,
            slices.c.stage == stage,
            slices.c.tranche == step.tranche,
            slices.c.slice_index == step.slice_index,
        )
    ).one_or_none()
    if row is None:
        return None
    return SliceResult(row_count=row.row_count, root=bytes(row.root).hex(), counts=dict(row.counts))


def record(
    connection: Connection,
    *,
    batch_no: int,
    stage: str,
    step: SliceStep,
    result: SliceResult,
    **extra: Any,
) -> None:
    """Records the slice in the transaction of its effect; `extra` sets signature or source_cursor."""
    connection.execute(
        insert(slices).values(
            batch_no=batch_no,
            stage=stage,
            tranche=step.tranche,
            slice_index=step.slice_index,
            first_position=step.offset,
            length=step.length,
            row_count=result.row_count,
            counts=result.counts,
            root=bytes.fromhex(result.root),
            **extra,
        )
    )


def roots(connection: Connection, *, batch_no: int, stage: str, tranche: int = 0) -> list[bytes]:
    """Gives the roots of a stage's slices in order."""
    rows = connection.execute(
        select(slices.c.root)
        .where(slices.c.batch_no == batch_no, slices.c.stage == stage, slices.c.tranche == tranche)
        .order_by(slices.c.slice_index)
    )
    return [bytes(row.root) for row in rows]
