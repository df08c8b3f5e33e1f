"""Intake's activities: inspecting a source, storing its subjects, undoing that.

Reads sources only through `Sources`; personal data goes into the store sealed and nowhere else.
"""

from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Connection, cast, delete, exists, select
from sqlalchemy.dialects.postgresql import JSONB
from temporalio import activity

from activities.clients.object_store import ObjectStore
from activities.contracts.intake import InspectedSource, InspectSource, Intake, StoredSubjects
from activities.contracts.request import BatchRequest, parse_request
from activities.contracts.shapes import BatchStep, Undone, batch_chain
from activities.failures import IntegrityError, InvalidRequestError
from activities.intake.inspection import Inspection
from activities.intake.signer import verified_signer
from activities.intake.source import Sources
from activities.intake.storing import StoredSoFar, SubjectWriter, stored_so_far
from activities.personal_data import BatchDataKey, SubjectVault, keep_wrapped_key, wrapped_key
from activities.policy.folder import read_policy
from activities.store import audit
from activities.store.database import Database, hold_fence
from activities.store.locks import lock
from activities.store.tables import audit_entries, plans, subjects
from activities.trust.mounted import mounted_trust

CUSTODY_OFFERED = ("custodial",)
"""Custody modes this version provisions."""

UNDONE = "undo.intake"
"""The record of the undoing: one a batch."""


class IntakeActivities(Intake):
    """Reads sources; stores subjects with their personal data encrypted."""

    def __init__(
        self,
        *,
        database: Database,
        vault: SubjectVault,
        object_store: ObjectStore,
        sources: Sources,
        policies: Path,
        trust: Path,
    ) -> None:
        self._database = database
        self._vault = vault
        self._objects = object_store
        self._sources = sources
        self._policies = policies
        self._trust = trust

    @activity.defn
    def inspect_source(self, step: InspectSource) -> InspectedSource:
        """Checks the request against what is known and offered, then every row of the source.

        Raises: InvalidRequestError naming field or line, column and reason, never a value.
        Retry: reads again; the rejects document is replaced by the same.
        """
        request = parse_request(step.request)
        read_policy(self._policies, request.jurisdiction)
        _require_offered(request)
        verified_signer(step.request, request, mounted_trust(self._trust))
        return Inspection(sources=self._sources, objects=self._objects, request=request, today=_today()).run()

    @activity.defn
    def store_subjects(self, step: BatchStep) -> StoredSubjects:
        """Stores the good rows in order, one transaction per slice.

        Raises: InvalidRequestError when the source changed since it was inspected.
        Retry: goes on after the last committed slice.
        """
        with self._database.transaction() as connection:
            so_far = stored_so_far(connection, step)
        key = self._data_key(step, so_far)
        writer = SubjectWriter(self._database, step=step, key=key, so_far=so_far)
        with self._sources.open(so_far.request.source.uri) as source:
            writer.write(source, today=_today())
        return StoredSubjects(subject_count=writer.count, slice_count=writer.done)

    @activity.defn
    def undo_intake(self, step: BatchStep) -> Undone:
        """Removes the subjects of a batch that was never planned; a planned one keeps its sealed rows.

        What slices once did stays on record. Retry: nothing is left to remove, and nothing more is recorded.
        """
        chain = batch_chain(step.batch_id)
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock(connection, f"undo/{step.batch_id}")
            planned = connection.execute(select(plans.c.batch_no).where(plans.c.batch_no == batch_no))
            removed = 0
            if planned.one_or_none() is None:
                removed = connection.execute(delete(subjects).where(subjects.c.batch_no == batch_no)).rowcount
            counts = {"subjects_removed": removed}
            if removed or not _is_recorded(connection, chain):
                audit.append(connection, chain, kind=UNDONE, facts={"counts": counts})
        return Undone(counts=counts)

    def _data_key(self, step: BatchStep, so_far: StoredSoFar) -> BatchDataKey:
        """Gives the batch's data key, made by whichever attempt stores one first."""
        with self._database.transaction() as connection:
            stored = wrapped_key(connection, so_far.batch_no)
        if stored is None:
            _, fresh = self._vault.new_key(tenant=so_far.request.tenant, batch_id=step.batch_id)
            with self._database.transaction() as connection:
                hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
                keep_wrapped_key(connection, batch_no=so_far.batch_no, wrapped=fresh)
                stored = wrapped_key(connection, so_far.batch_no)
        if stored is None:
            raise IntegrityError("a batch's data key is not where it was stored", step.batch_id)
        return stored.opened_by(self._vault)


def _is_recorded(connection: Connection, chain: str) -> bool:
    """Whether the undoing is on record, though its caller never heard of it."""
    undone = cast(audit_entries.c.body, JSONB).contains({"kind": UNDONE})
    found = connection.execute(select(exists().where(audit_entries.c.chain == chain, undone)))
    return bool(found.scalar_one())


def _require_offered(request: BatchRequest) -> None:
    if request.custody not in CUSTODY_OFFERED:
        raise InvalidRequestError("custody: not offered yet")


def _today() -> date:
    return datetime.now(tz=UTC).date()
