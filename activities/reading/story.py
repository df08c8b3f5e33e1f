"""One subject's story out of the store: where it stands and what was done, with times.

Screening is told as clear, in review or not eligible, whatever was found and by which list.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, and_, collate, exists, func, select

from activities.contracts.reading import SubjectAccount
from activities.contracts.shapes import LATE_TRANCHE
from activities.evidence.public_part import instant
from activities.failures import InvalidRequestError
from activities.store import tables as t

CLEAR: Final = "clear"
IN_REVIEW: Final = "in_review"
NOT_ELIGIBLE: Final = "not_eligible"

_Step = tuple[datetime, str]


def subject_account(connection: Connection, *, batch_no: int, subject_id: str) -> SubjectAccount:
    """Gives the account of one subject.

    Raises: InvalidRequestError when the batch has no such subject.
    """
    own = t.subjects.c
    ordinal = connection.execute(
        select(own.ordinal).where(own.batch_no == batch_no, own.subject_id == subject_id)
    ).scalar_one_or_none()
    if ordinal is None:
        raise InvalidRequestError("subject_id: the batch has no such subject")
    wallets = _wallets(connection, batch_no, ordinal)
    steps = sorted(_steps(connection, batch_no, ordinal, wallets))
    return SubjectAccount(
        subject_id=subject_id,
        ordinal=ordinal,
        screening=_screening(connection, batch_no, ordinal),
        wallets=[{"chain": row.chain, "address": row.address, "state": row.state} for row in wallets],
        steps=[f"{instant(moment)} {sentence}" for moment, sentence in steps],
    )


def _screening(connection: Connection, batch_no: int, ordinal: int) -> str:
    """A subject not screened yet, held, or hit by a later list is in review: from outside they look alike."""
    own, decided, withheld = t.verdicts.c, t.adjudications.c, t.withholdings.c
    same = and_(decided.batch_no == own.batch_no, decided.ordinal == own.ordinal)
    row = connection.execute(
        select(
            own.verdict,
            decided.decision,
            exists()
            .where(withheld.batch_no == own.batch_no, withheld.ordinal == own.ordinal)
            .label("withheld"),
        )
        .join(t.adjudications, same, isouter=True)
        .where(own.batch_no == batch_no, own.ordinal == ordinal)
    ).one_or_none()
    if row is None:
        return IN_REVIEW
    if row.verdict == "refused" or row.decision in {"refuse", "cancelled"}:
        return NOT_ELIGIBLE
    cleared = CLEAR in {row.verdict, row.decision}
    return CLEAR if cleared and not row.withheld else IN_REVIEW


def _wallets(connection: Connection, batch_no: int, ordinal: int) -> list[Row[Any]]:
    own = t.wallets.c
    found: Select[Any] = (
        select(own.chain, own.address, own.state, own.tranche, own.wave, own.activated_at)
        .where(own.batch_no == batch_no, own.ordinal == ordinal)
        .order_by(collate(own.chain, "C"))
    )
    return list(connection.execute(found))


def _steps(connection: Connection, batch_no: int, ordinal: int, wallets: list[Row[Any]]) -> Iterator[_Step]:
    batch = connection.execute(
        select(t.batches.c.claimed_at, t.batches.c.ended_at, t.batches.c.outcome, t.plans.c.planned_at)
        .join(t.plans, t.plans.c.batch_no == t.batches.c.batch_no, isouter=True)
        .where(t.batches.c.batch_no == batch_no)
    ).one()
    yield batch.claimed_at, "The batch was requested."
    if batch.planned_at:
        yield batch.planned_at, "The batch was planned and its policy asked."
    if batch.ended_at:
        yield batch.ended_at, f"The batch ended: {batch.outcome}."
    yield from _slice_steps(connection, batch_no, ordinal, wallets)
    activated = {row.wave: row.activated_at for row in wallets if row.wave}
    for wave, moment in activated.items():
        yield moment, f"Its wallets became active in wave {wave}."


def _slice_steps(
    connection: Connection, batch_no: int, ordinal: int, wallets: list[Row[Any]]
) -> Iterator[_Step]:
    taken_in = _slice_done(connection, batch_no, "intake", position=ordinal)
    if taken_in:
        yield taken_in, f"The subject was taken in as number {ordinal}."
    screened = _slice_done(connection, batch_no, "screen", position=ordinal)
    if screened:
        yield screened, "The subject was screened."
    if wallets:
        tranche = wallets[0].tranche
        position = _late_rank(connection, batch_no, ordinal) if tranche == LATE_TRANCHE else ordinal
        derived = _slice_done(connection, batch_no, "derive", position=position, tranche=tranche)
        if derived:
            yield derived, "Its addresses were derived."


def _slice_done(
    connection: Connection, batch_no: int, stage: str, *, position: int, tranche: int = 0
) -> datetime | None:
    own = t.slices.c
    moment: datetime | None = connection.execute(
        select(own.done_at).where(
            own.batch_no == batch_no,
            own.stage == stage,
            own.tranche == tranche,
            own.first_position <= position,
            own.first_position + own.length > position,
        )
    ).scalar_one_or_none()
    return moment


def _late_rank(connection: Connection, batch_no: int, ordinal: int) -> int:
    """In the late tranche a position is the rank among the cleared holds."""
    own = t.adjudications.c
    before = select(func.count()).where(
        own.batch_no == batch_no,
        own.tranche == LATE_TRANCHE,
        own.decision == "clear",
        own.ordinal < ordinal,
    )
    return int(connection.execute(before).scalar_one())
