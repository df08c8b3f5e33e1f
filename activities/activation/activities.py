"""Waves: ready wallets become active, exactly once each and only where custody signed their addresses.

Nothing here makes, sees or destroys a key; going back freezes, and a frozen wallet keeps its wave.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from temporalio import activity

from activities import merkle
from activities.activation.announcements import Announcer, enqueue, event_id
from activities.activation.attested_wallets import Run, attested_addresses, ordinal_range
from activities.activation.wave_order import require_next_wave
from activities.activation.waves import (
    close_wave,
    count_wave,
    failed_share_max,
    freeze,
    frozen_count,
    insert_wave,
    is_opened,
    open_wave_of,
    require_same_wave,
    wave_problems,
    wave_values,
)
from activities.canonical import canonical_strings
from activities.contracts.activation import (
    Activation,
    AnnouncedWave,
    DeliveredWaiting,
    DeliverWaiting,
    WaveHealth,
    WaveStep,
)
from activities.contracts.shapes import BatchStep, SliceResult, SliceStep, Undone, batch_chain
from activities.failures import IntegrityError
from activities.store import audit, slices
from activities.store.database import Database, hold_fence
from activities.store.locks import lock, lock_slice
from activities.trust.mounted import mounted_trust
from activities.trust.trust_file import Trust

WAVE_ACTIVATED: Final = "wave.activated"
WALLETS_FROZEN: Final = "wallets.frozen"
"""Topics of the outbox, and the types that receivers see."""

_ACTIVATE: Final = text(
    """
    UPDATE wallets w SET state = 'active', wave = :wave, activated_at = clock_timestamp()
    WHERE w.batch_no = :batch_no AND w.tranche = :tranche AND w.state = 'ready'
      AND w.ordinal BETWEEN :first AND :last
      AND NOT EXISTS (SELECT FROM withholdings h WHERE h.batch_no = w.batch_no AND h.ordinal = w.ordinal)
    RETURNING w.ordinal, w.chain, w.address
    """
)


class ActivationActivities(Activation):
    """Activates waves under the batch's fence."""

    def __init__(
        self, *, database: Database, trust_path: Path, deployment: str, announcer: Announcer
    ) -> None:
        self._database = database
        self._trust_path = trust_path
        self._deployment = deployment
        self._announcer = announcer

    @activity.defn
    def open_wave(self, step: WaveStep) -> Undone:
        """Records that the wave opens, where the plan, the waves before it and its gate let it.

        Raises: PolicyViolationError, ConflictError when it was opened over another range.
        """
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock(connection, f"waves/{step.batch_id}")
            if not is_opened(connection, batch_no, step.wave):
                require_next_wave(connection, batch_no, step)
            opened = insert_wave(connection, batch_no, step)
            require_same_wave(connection, batch_no, step)
            if opened:
                chain = batch_chain(step.batch_id)
                audit.append(connection, chain, kind="wave.opened", facts=wave_values(step))
        return Undone(counts={"opened": int(opened)})

    @activity.defn
    def activate_slice(self, step: SliceStep) -> SliceResult:
        """Activates the slice's ready wallets that are not withheld; its root is over the addresses.

        Raises: IntegrityError when an address is not the one custody signed, PolicyViolationError when
            the wave is not open or the audit chain not the batch's.
        """
        stage = f"wave/{step.wave}"
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            if done := slices.recorded(connection, batch_no=batch_no, stage=stage, step=step):
                return done
            chain = slices.require_own_chain(step)
            audit.append(connection, chain, kind="slice.intent", facts=_facts(stage, step))
        attest_keys = self._trust().attest_keys
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock_slice(connection, stage, step)
            if done := slices.recorded(connection, batch_no=batch_no, stage=stage, step=step):
                return done
            wave = open_wave_of(connection, batch_no, step)
            run = _run(batch_no, step)
            signed = attested_addresses(connection, run, deployment=self._deployment, attest_keys=attest_keys)
            result = _activate(connection, run, wave=step.wave, signed=signed)
            _record(connection, batch_no, step, result)
            _queue_announcement(connection, step.batch_id, wave)
        return result

    @activity.defn
    def announce_wave(self, step: WaveStep) -> AnnouncedWave:
        """Delivers the wave's announcement.

        Raises: ServiceUnavailableError while the object store or the webhook receiver is away.
        """
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            active = count_wave(connection, batch_no, step).active
        announced = self._announcer.deliver(batch_id=step.batch_id, event=_wave_event(step))
        return AnnouncedWave(active=active, announced=int(announced))

    @activity.defn
    def check_wave(self, step: WaveStep) -> WaveHealth:
        """Closes the wave by what the database says it did. Retry: the first outcome stands."""
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            require_same_wave(connection, batch_no, step)
            count = count_wave(connection, batch_no, step)
            share = failed_share_max(connection, batch_no)
            problems = wave_problems(count, failed_share_max=share)
            outcome = "failed" if problems else "passed"
            if close_wave(connection, batch_no, step.wave, outcome=outcome):
                facts = {
                    "wave": step.wave,
                    "outcome": outcome,
                    "active": count.active,
                    "expected": count.expected,
                }
                audit.append(connection, batch_chain(step.batch_id), kind="wave.closed", facts=facts)
        return WaveHealth(healthy=not problems, reasons=problems)

    @activity.defn
    def undo_activation(self, step: BatchStep) -> Undone:
        """Freezes the batch's active wallets and says so; what cannot be told now stays in the outbox.

        Retry: gives how many are frozen, though nothing is left to freeze.
        """
        event = event_id(step.batch_id, "frozen")
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            counts = freeze(connection, batch_no)
            if any(counts.values()):
                audit.append(connection, batch_chain(step.batch_id), kind="undo.activation", facts=counts)
            if counts["frozen"]:
                facts = {"batch_id": step.batch_id, "wallets": counts["frozen"]}
                enqueue(connection, batch_no=batch_no, event=event, topic=WALLETS_FROZEN, facts=facts)
            frozen = frozen_count(connection, batch_no)
        # A receiver that is away must not keep the rest of a batch from being undone.
        self._announcer.try_to_deliver(batch_id=step.batch_id, event=event)
        return Undone(counts={**counts, "frozen": frozen})

    @activity.defn
    def deliver_waiting(self, step: DeliverWaiting) -> DeliveredWaiting:
        """Delivers what stands in the outbox since a while; what cannot be told now stays there."""
        return DeliveredWaiting(delivered=self._announcer.deliver_waiting(limit=step.limit))

    def _trust(self) -> Trust:
        """Read anew each time, so that a rotated attest key counts at once."""
        return mounted_trust(self._trust_path)


def _run(batch_no: int, step: SliceStep) -> Run:
    return Run(
        batch_no=batch_no,
        batch_id=step.batch_id,
        tranche=step.tranche,
        offset=step.offset,
        length=step.length,
    )


def _activate(
    connection: Connection, run: Run, *, wave: int, signed: Mapping[tuple[int, str], str]
) -> SliceResult:
    changed: list[Row[Any]] = []
    if ordinals := ordinal_range(connection, run):
        bounds = {"first": ordinals.first, "last": ordinals.last, "tranche": run.tranche}
        rows = connection.execute(_ACTIVATE, {"wave": wave, "batch_no": run.batch_no, **bounds})
        changed = sorted(rows.all(), key=lambda row: (row.ordinal, row.chain))
    if any(signed.get((row.ordinal, row.chain)) != row.address for row in changed):
        raise IntegrityError("an address is not one that custody signed", wave)
    leaves = (
        canonical_strings({"ordinal": row.ordinal, "chain": row.chain, "address": row.address})
        for row in changed
    )
    root = merkle.root(leaves).hex()
    return SliceResult(row_count=len(changed), root=root, counts={"active": len(changed)})


def _facts(stage: str, step: SliceStep) -> dict[str, Any]:
    return {
        "stage": stage,
        "tranche": step.tranche,
        "slice_index": step.slice_index,
        "first_position": step.offset,
        "length": step.length,
    }


def _record(connection: Connection, batch_no: int, step: SliceStep, result: SliceResult) -> None:
    stage = f"wave/{step.wave}"
    slices.record(connection, batch_no=batch_no, stage=stage, step=step, result=result)
    outcome = {"row_count": result.row_count, "root": result.root, "counts": result.counts}
    audit.append(connection, step.audit_chain, kind="slice.outcome", facts=_facts(stage, step) | outcome)


def _wave_event(step: WaveStep) -> str:
    return event_id(step.batch_id, f"wave/{step.wave}")


def _queue_announcement(connection: Connection, batch_id: str, wave: Row[Any]) -> None:
    """One announcement a wave, written with its first slice; it tells of no tranche and no subject."""
    enqueue(
        connection,
        batch_no=wave.batch_no,
        event=event_id(batch_id, f"wave/{wave.wave}"),
        topic=WAVE_ACTIVATED,
        facts={"batch_id": batch_id, "wave": wave.wave, "percent": wave.percent},
    )
