"""Which subjects of a run may have keys: those whose verdicts are what the evidence was signed over."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from activities import merkle
from activities.contracts.shapes import MAIN_TRANCHE, SLICE_SIZE, SliceStep
from activities.custody.authority import SCREEN, Authority, require, require_signed_holds, settled_holds
from activities.digests import VERDICT_ALGORITHMS, verdict_leaf
from activities.failures import PolicyViolationError
from activities.store.tables import slices, verdicts


def require_true_counts(connection: Connection, authority: Authority, *, tranche: int) -> None:
    """Requires that the counts people signed are those of the verdicts and decisions beneath them.

    Raises: PolicyViolationError.
    """
    decided = Counter(row.decision for row in settled_holds(connection, authority.batch_no, tranche))
    expected = {"cleared": decided["clear"], "refused": decided["refuse"]}
    if tranche == MAIN_TRANCHE:
        rows = connection.execute(
            select(verdicts.c.verdict, func.count().label("subjects"))
            .where(verdicts.c.batch_no == authority.batch_no)
            .group_by(verdicts.c.verdict)
        )
        found = Counter({row.verdict: row.subjects for row in rows})
        expected["clear"] = found["clear"]
        expected["held"] = found["held"] - decided.total()
        expected["refused"] += found["refused"]
    require(dict(authority.counts) == expected, "its evidence counts other subjects than it holds")


def entitled_ordinals(connection: Connection, authority: Authority, step: SliceStep) -> list[int]:
    """Gives the ordinals of a run that are clear, or were cleared by people, in order.

    Raises: PolicyViolationError when a verdict is not the one in the signed evidence, or a hold was
        cleared by fewer persons than must sign.
    """
    cleared = {
        row.ordinal: bytes(row.hold_digest).hex()
        for row in settled_holds(connection, authority.batch_no, step.tranche)
        if row.decision == "clear"
    }
    if step.tranche != MAIN_TRANCHE:
        ordinals = _late_run(sorted(cleared), step)
        held_for = _held_for(connection, authority, ordinals)
    else:
        found = _proven_verdicts(connection, authority, step)
        held_for = {row.ordinal: bytes(row.hold_digest).hex() for row in found if row.verdict == "held"}
        clear = [row.ordinal for row in found if row.verdict == "clear"]
        ordinals = sorted([*clear, *(ordinal for ordinal in held_for if ordinal in cleared)])
    settled = {ordinal: cleared[ordinal] for ordinal in ordinals if ordinal in cleared}
    same = all(held_for.get(ordinal) == digest for ordinal, digest in settled.items())
    require(same, "a cleared hold is not the one that was signed")
    if settled:
        require_signed_holds(connection, authority, list(settled.values()))
    return ordinals


def _late_run(cleared: list[int], step: SliceStep) -> list[int]:
    """The whole slice of the cleared holds, by rank."""
    run = cleared[step.offset : step.offset + SLICE_SIZE] if step.offset >= 0 else []
    if step.offset != step.slice_index * SLICE_SIZE or not run or step.length != len(run):
        raise PolicyViolationError("custody derives whole slices of cleared holds only", step.slice_index)
    return run


def _held_for(connection: Connection, authority: Authority, ordinals: Sequence[int]) -> dict[int, str]:
    rows = connection.execute(
        select(verdicts.c.ordinal, verdicts.c.hold_digest).where(
            verdicts.c.batch_no == authority.batch_no,
            verdicts.c.ordinal.in_(ordinals),
            verdicts.c.verdict == "held",
        )
    )
    return {row.ordinal: bytes(row.hold_digest).hex() for row in rows}


def _proven_verdicts(connection: Connection, authority: Authority, step: SliceStep) -> Sequence[Any]:
    """The slice's verdicts, once their root is the one that the evidence was composed of."""
    screened = connection.execute(
        select(slices.c.root, slices.c.first_position, slices.c.length).where(
            slices.c.batch_no == authority.batch_no,
            slices.c.stage == SCREEN,
            slices.c.tranche == MAIN_TRANCHE,
            slices.c.slice_index == step.slice_index,
        )
    ).one_or_none()
    asked = (step.offset, step.length)
    whole = screened is not None and (screened.first_position, screened.length) == asked
    if screened is None or not whole or step.offset != step.slice_index * SLICE_SIZE:
        raise PolicyViolationError("custody derives whole screened slices only", step.slice_index)
    found = connection.execute(
        select(verdicts.c.ordinal, verdicts.c.verdict, verdicts.c.score, verdicts.c.hold_digest)
        .where(
            verdicts.c.batch_no == authority.batch_no,
            verdicts.c.ordinal.between(step.offset, step.offset + step.length - 1),
        )
        .order_by(verdicts.c.ordinal)
    ).all()
    if all(_root(found, algorithm) != bytes(screened.root) for algorithm in VERDICT_ALGORITHMS):
        raise PolicyViolationError("a slice's verdicts are not the ones that were sealed", step.slice_index)
    if any(row.verdict == "clear" and row.score >= authority.hold_score for row in found):
        raise PolicyViolationError("a clear verdict stands at a score that must be held", step.slice_index)
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
