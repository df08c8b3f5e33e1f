"""Which subjects of a run may have keys: those whose verdicts are what the evidence was signed over."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from activities import merkle
from activities.contracts.shapes import MAIN_TRANCHE, SLICE_SIZE, SliceStep
from activities.custody.authority import SCREEN, settled_holds
from activities.digests import VERDICT_ALGORITHMS, verdict_leaf
from activities.failures import PolicyViolationError
from activities.store.tables import slices, verdicts


def entitled_ordinals(connection: Connection, *, batch_no: int, step: SliceStep) -> list[int]:
    """Gives the ordinals of a run that are clear, or were cleared by people, in order.

    Raises: PolicyViolationError when a verdict is not the one in the signed evidence.
    """
    cleared = [
        row.ordinal for row in settled_holds(connection, batch_no, step.tranche) if row.decision == "clear"
    ]
    if step.tranche != MAIN_TRANCHE:
        return cleared[step.offset : step.offset + step.length]
    found = _proven_verdicts(connection, batch_no, step)
    clear = {row.ordinal for row in found if row.verdict == "clear"}
    held = {row.ordinal for row in found if row.verdict == "held"}
    return sorted(clear | held.intersection(cleared))


def _proven_verdicts(connection: Connection, batch_no: int, step: SliceStep) -> Sequence[Any]:
    """The slice's verdicts, once their root is the one that the evidence was composed of."""
    screened = connection.execute(
        select(slices.c.root, slices.c.first_position, slices.c.length).where(
            slices.c.batch_no == batch_no,
            slices.c.stage == SCREEN,
            slices.c.tranche == MAIN_TRANCHE,
            slices.c.slice_index == step.offset // SLICE_SIZE,
        )
    ).one_or_none()
    if screened is None or (screened.first_position, screened.length) != (step.offset, step.length):
        raise PolicyViolationError("custody derives whole screened slices only", step.slice_index)
    found = connection.execute(
        select(verdicts.c.ordinal, verdicts.c.verdict, verdicts.c.score, verdicts.c.hold_digest)
        .where(
            verdicts.c.batch_no == batch_no,
            verdicts.c.ordinal.between(step.offset, step.offset + step.length - 1),
        )
        .order_by(verdicts.c.ordinal)
    ).all()
    if all(_root(found, algorithm) != bytes(screened.root) for algorithm in VERDICT_ALGORITHMS):
        raise PolicyViolationError("a slice's verdicts are not the ones that were sealed", step.slice_index)
    return found


def _root(found: Sequence[Any], algorithm: str) -> bytes:
    return merkle.root(
        verdict_leaf(
            ordinal=row.ordinal,
            verdict=row.verdict,
            score=row.score,
            hold_digest=bytes(row.hold_digest).hex() if row.hold_digest else "",
            algorithm=algorithm,
        )
        for row in found
    )
