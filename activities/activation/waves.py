"""The rows of waves: opened over one range, counted, closed once, undone at most once.

Judges by counts alone; which wallets become active is decided elsewhere.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from activities.activation.attested_wallets import Run, ordinal_range
from activities.contracts.activation import WaveStep
from activities.contracts.shapes import SliceStep
from activities.failures import ConflictError, PolicyViolationError
from activities.policy.shape import load_policy
from activities.store.tables import plans, waves

_COUNT: Final = text(
    """
    SELECT count(*) FILTER (WHERE w.state = 'active' AND w.wave = :wave) AS active,
           count(*) FILTER (WHERE w.state IN ('derived', 'ready', 'active') AND h.ordinal IS NULL)
               AS expected,
           count(*) FILTER (WHERE w.state = 'active' AND h.ordinal IS NOT NULL) AS withheld_active
    FROM wallets w
    LEFT JOIN withholdings h ON h.batch_no = w.batch_no AND h.ordinal = w.ordinal
    WHERE w.batch_no = :batch_no AND w.tranche = :tranche AND w.ordinal BETWEEN :first AND :last
    """
)

_FROZEN: Final = text("SELECT count(*) FROM wallets WHERE batch_no = :batch_no AND state = 'frozen'")
_FREEZE: Final = text("UPDATE wallets SET state = 'frozen' WHERE batch_no = :batch_no AND state = 'active'")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveCount:
    """Wallets of a wave: active in it, expected to be, and active although they are withheld."""

    active: int = 0
    expected: int = 0
    withheld_active: int = 0


def wave_problems(count: WaveCount, *, failed_share_max: float) -> list[str]:
    """Says what is wrong with a wave; nothing when the next one may follow.

    `failed_share_max` is the share (0 to 1) of a wave's wallets that may fail to become active.
    """
    problems = []
    failed = count.expected - count.active
    if failed > failed_share_max * count.expected:
        problems.append(f"{failed} of {count.expected} wallets of the wave are not active")
    if count.withheld_active:
        problems.append(f"{count.withheld_active} wallets are active although they are withheld")
    return problems


def wave_values(step: WaveStep) -> dict[str, int]:
    """What is recorded of a wave when it opens."""
    return {
        "wave": step.wave,
        "tranche": step.tranche,
        "first_position": step.offset,
        "length": step.length,
        "percent": step.percent,
    }


def insert_wave(connection: Connection, batch_no: int, step: WaveStep) -> bool:
    """Opens the wave; False when it was open already."""
    opened = connection.execute(
        insert(waves)
        .values(batch_no=batch_no, **wave_values(step))
        .on_conflict_do_nothing()
        .returning(waves.c.wave)
    )
    return opened.first() is not None


def is_opened(connection: Connection, batch_no: int, wave: int) -> bool:
    """Tells whether the wave was opened before, over whatever range."""
    return _wave(connection, batch_no, wave) is not None


def require_same_wave(connection: Connection, batch_no: int, step: WaveStep) -> None:
    """Makes sure the wave stands as the step says.

    Raises: ConflictError.
    """
    row = _wave(connection, batch_no, step.wave)
    values = wave_values(step)
    if row is None or {name: getattr(row, name) for name in values} != values:
        raise ConflictError("the wave was opened otherwise or not at all", step.wave)


def open_wave_of(connection: Connection, batch_no: int, step: SliceStep) -> Row[Any]:
    """Gives the open wave that a slice belongs to.

    Raises: PolicyViolationError when it is not open or the slice lies outside of it.
    """
    wave = _wave(connection, batch_no, step.wave)
    if wave is None or wave.outcome is not None or wave.tranche != step.tranche:
        raise PolicyViolationError("the wave is not open", step.wave)
    end = wave.first_position + wave.length
    if step.offset < wave.first_position or step.offset + step.length > end:
        raise PolicyViolationError("the slice lies outside of its wave", step.wave)
    return wave


def count_wave(connection: Connection, batch_no: int, step: WaveStep) -> WaveCount:
    """Counts the wave's wallets as the database has them now."""
    run = Run(
        batch_no=batch_no,
        batch_id=step.batch_id,
        tranche=step.tranche,
        offset=step.offset,
        length=step.length,
    )
    ordinals = ordinal_range(connection, run)
    if ordinals is None:
        return WaveCount()
    bounds = {"first": ordinals.first, "last": ordinals.last, "tranche": step.tranche}
    row = connection.execute(_COUNT, {"batch_no": batch_no, "wave": step.wave, **bounds}).one()
    return WaveCount(active=row.active, expected=row.expected, withheld_active=row.withheld_active)


def failed_share_max(connection: Connection, batch_no: int) -> float:
    """Gives the share of a wave's wallets that the batch's own policy lets fail."""
    policy_text = connection.execute(
        select(plans.c.policy_text).where(plans.c.batch_no == batch_no)
    ).scalar_one()
    return load_policy(policy_text).health.failed_share_max


def close_wave(connection: Connection, batch_no: int, wave: int, *, outcome: str) -> bool:
    """Records how the wave ended; False when that was recorded before."""
    closed = connection.execute(
        update(waves)
        .where(waves.c.batch_no == batch_no, waves.c.wave == wave, waves.c.outcome.is_(None))
        .values(outcome=outcome, closed_at=func.clock_timestamp())
    )
    return closed.rowcount == 1


def freeze(connection: Connection, batch_no: int) -> dict[str, int]:
    """Freezes every active wallet and marks every wave undone; gives how many of each."""
    frozen = connection.execute(_FREEZE, {"batch_no": batch_no})
    undone = connection.execute(
        update(waves)
        .where(waves.c.batch_no == batch_no, waves.c.outcome.is_distinct_from("undone"))
        .values(outcome="undone", closed_at=func.clock_timestamp())
    )
    return {"frozen": frozen.rowcount, "waves": undone.rowcount}


def frozen_count(connection: Connection, batch_no: int) -> int:
    """Counts the batch's frozen wallets, whichever call froze them."""
    return int(connection.execute(_FROZEN, {"batch_no": batch_no}).scalar_one())


def _wave(connection: Connection, batch_no: int, wave: int) -> Row[Any] | None:
    return connection.execute(
        select(waves).where(waves.c.batch_no == batch_no, waves.c.wave == wave)
    ).one_or_none()
