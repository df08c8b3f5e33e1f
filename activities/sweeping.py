"""Finds batches whose workflow was terminated, and gathers from the record what undoing them needs.

Decides nothing and changes nothing; a batch that Temporal does not know at all is only told of.
"""

import asyncio
from typing import Any, Final, Literal, Protocol

from sqlalchemy import Connection, Row, select, text
from temporalio import activity

from activities.clients.object_store import ObjectStore
from activities.compliance.activities import planned_batch
from activities.contracts.approvals import GateStanding
from activities.contracts.screening import SealedEvidence
from activities.contracts.sweeping import (
    FindAbandoned,
    FoundAbandoned,
    OpenedWave,
    Sweeping,
    TakenOver,
    TakeOver,
)
from activities.evidence.layout import bundle_key
from activities.failures import ConflictError, IntegrityError, InvalidRequestError
from activities.store.database import Database
from activities.store.tables import batches, evidence, gates, plans, subjects, waves

RunState = Literal["open", "closed", "unknown"]
"""What Temporal says of the newest run under a workflow id."""

_UNFINISHED: Final = text(
    """
    SELECT b.batch_id FROM batches b
    WHERE b.outcome IS NULL
       OR b.ended_at > clock_timestamp() - interval '1 day'
          AND EXISTS (SELECT FROM plans p WHERE p.batch_no = b.batch_no)
          AND NOT EXISTS (SELECT FROM attestations a WHERE a.batch_no = b.batch_no)
    ORDER BY b.batch_no
    """
)
"""Also those that ended a moment before their head was attested."""

_ATTESTED: Final = text(
    """
    SELECT b.batch_id FROM batches b
    WHERE b.ended_at > clock_timestamp() - interval '1 day'
      AND EXISTS (SELECT FROM attestations a WHERE a.batch_no = b.batch_no)
    """
)
"""Of those that ended lately, the ones that lack nothing but their bundle perhaps."""


class Runs(Protocol):
    """The workflows of one namespace."""

    async def state(self, workflow_id: str) -> RunState:
        """Tells whether the newest run is open.

        Raises: ServiceUnavailableError.
        """


class SweepingActivities(Sweeping):
    """Compares the register with Temporal."""

    def __init__(self, *, database: Database, object_store: ObjectStore, runs: Runs) -> None:
        self._database = database
        self._objects = object_store
        self._runs = runs
        self._bundled: frozenset[str] = frozenset()
        """Whose bundle was seen: the store is asked once for each."""

    @activity.defn
    async def find_abandoned(self, step: FindAbandoned) -> FoundAbandoned:
        """Gives batches without a recorded end, an attested one or a bundle, whose workflow is not open.

        Raises: ServiceUnavailableError.
        """
        found = FoundAbandoned()
        for batch_id in await asyncio.to_thread(self._unfinished):
            state = await self._runs.state(batch_id)
            if state == "unknown":
                found.unknown.append(batch_id)
            elif state == "closed":
                found.batch_ids.append(batch_id)
            if len(found.batch_ids) == step.limit:
                break
        return found

    @activity.defn
    async def take_over(self, step: TakeOver) -> TakenOver:
        """Gives what undoing a batch needs.

        Raises: InvalidRequestError for an unknown batch, ConflictError while its workflow is at work,
            ServiceUnavailableError.
        """
        if not step.is_own and await self._runs.state(step.batch_id) == "open":
            raise ConflictError("the batch's workflow is at work: cancel it, or send it an abort")
        return await asyncio.to_thread(self._recall, step.batch_id)

    def _unfinished(self) -> list[str]:
        with self._database.transaction() as connection:
            unfinished = list(connection.execute(_UNFINISHED).scalars())
            attested = frozenset(connection.execute(_ATTESTED).scalars())
        unseen = sorted(attested - self._bundled)
        unbundled = [batch_id for batch_id in unseen if not self._has_bundle(batch_id)]
        self._bundled = attested.difference(unbundled)
        return unfinished + unbundled

    def _has_bundle(self, batch_id: str) -> bool:
        try:
            with self._objects.open(bundle_key(batch_id)):
                return True
        except IntegrityError:
            return False

    def _recall(self, batch_id: str) -> TakenOver:
        with self._database.transaction() as connection:
            row = connection.execute(select(batches).where(batches.c.batch_id == batch_id)).one_or_none()
            if row is None:
                raise InvalidRequestError("no batch of this id is on record")
            return _taken_over(connection, row)


def _taken_over(connection: Connection, batch: Row[Any]) -> TakenOver:
    own = {"batch_no": batch.batch_no}
    plan = connection.execute(select(plans.c.decision).filter_by(**own)).scalar_one_or_none()
    stored = connection.execute(
        select(subjects.c.ordinal).filter_by(**own).order_by(subjects.c.ordinal.desc()).limit(1)
    ).scalar_one_or_none()
    return TakenOver(
        fence=batch.fence,
        request=batch.request,
        subject_count=0 if stored is None else stored + 1,
        plan=planned_batch(plan) if plan else None,
        evidence={
            str(row.tranche): _sealed(row) for row in connection.execute(select(evidence).filter_by(**own))
        },
        open_gates=[
            GateStanding(gate=row.gate, digest=bytes(row.digest).hex(), satisfied=False)
            for row in connection.execute(select(gates).filter_by(**own, outcome=None))
        ],
        waves=[
            OpenedWave(wave=row.wave, percent=row.percent)
            for row in connection.execute(select(waves).filter_by(**own).order_by(waves.c.wave))
        ],
        recorded_result=batch.result,
    )


def _sealed(row: Row[Any]) -> SealedEvidence:
    return SealedEvidence(
        evidence_digest=bytes(row.evidence_digest).hex(),
        verdict_root=bytes(row.verdict_root).hex(),
        counts=dict(row.counts),
    )
