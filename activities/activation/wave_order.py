"""Whether a wave may open: the next one of the plan, after the last has passed, through its own gate.

Asked of the database alone, because whoever reaches the task queue can schedule an opening.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from activities.contracts.activation import WaveStep
from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE
from activities.failures import PolicyViolationError
from activities.store.tables import evidence, gates, plans, waves


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rollout:
    """What the plan says of waves, and the waves opened before."""

    subject_count: int
    percents: Sequence[int]
    approve_from_wave: int
    opened: Sequence[Row[Any]]


def require_next_wave(connection: Connection, batch_no: int, step: WaveStep) -> None:
    """Makes sure that this wave is the one that comes next.

    Raises: PolicyViolationError.
    """
    rollout = _rollout(connection, batch_no)
    opened = rollout.opened
    if step.wave != len(opened) + 1 or any(wave.outcome != "passed" for wave in opened):
        raise PolicyViolationError("the waves before it have not passed", step.wave)
    if (step.tranche, step.offset, step.length, step.percent) != _next_range(connection, batch_no, rollout):
        raise PolicyViolationError("the wave is not the one that the plan has next", step.wave)
    if 0 < rollout.approve_from_wave <= step.wave:
        _require_gate(connection, batch_no, step)


def next_main_range(start: int, *, count: int, percents: Sequence[int]) -> tuple[int, int] | None:
    """Gives length and percent of the wave that begins at `start`; None when everybody is in a wave.

    Shares are cumulative and rounded up; one that adds nobody makes no wave.
    """
    for percent in percents:
        end = -(-count * percent // 100)
        if end > start:
            return end - start, percent
    return None


def _rollout(connection: Connection, batch_no: int) -> _Rollout:
    plan = connection.execute(
        select(plans.c.subject_count, plans.c.decision).where(plans.c.batch_no == batch_no)
    ).one_or_none()
    if plan is None:
        raise PolicyViolationError("the batch has no plan to open a wave by")
    opened = connection.execute(select(waves).where(waves.c.batch_no == batch_no).order_by(waves.c.wave))
    return _Rollout(
        subject_count=plan.subject_count,
        percents=plan.decision["waves_percent"],
        approve_from_wave=plan.decision["approve_from_wave"],
        opened=opened.all(),
    )


def _next_range(connection: Connection, batch_no: int, rollout: _Rollout) -> tuple[int, int, int, int] | None:
    """Tranche, first position, length and percent of what comes next; None when nothing does."""
    if any(wave.tranche == LATE_TRANCHE for wave in rollout.opened):
        return None
    start = sum(wave.length for wave in rollout.opened)
    main = next_main_range(start, count=rollout.subject_count, percents=rollout.percents)
    if main is not None:
        return (MAIN_TRANCHE, start, *main)
    late = _evidence(connection, batch_no, LATE_TRANCHE)
    return None if late is None else (LATE_TRANCHE, 0, late.counts.get("cleared", 0), 100)


def _require_gate(connection: Connection, batch_no: int, step: WaveStep) -> None:
    """Approved is what closing a gate writes only after it has judged the signed statements again."""
    sealed = _evidence(connection, batch_no, step.tranche)
    approved = (
        sealed is not None
        and connection.execute(
            select(gates.c.gate).where(
                gates.c.batch_no == batch_no,
                gates.c.gate == f"wave/{step.wave}",
                gates.c.digest == sealed.evidence_digest,
                gates.c.outcome == "approved",
            )
        ).one_or_none()
    )
    if not approved:
        raise PolicyViolationError("the wave's gate is not approved", step.wave)


def _evidence(connection: Connection, batch_no: int, tranche: int) -> Row[Any] | None:
    return connection.execute(
        select(evidence).where(evidence.c.batch_no == batch_no, evidence.c.tranche == tranche)
    ).one_or_none()
