"""KYC screening: lists pinned by digest, a verdict per subject, and the evidence over the verdicts.

Names leave here only sealed. A list that may not be believed is waited for, never read as clear.
"""

from pathlib import Path

from temporalio import activity

from activities.clients.object_store import ObjectStore
from activities.contracts.screening import (
    ApplyListChanges,
    ListChanges,
    PinnedLists,
    Screening,
    SealedEvidence,
)
from activities.contracts.shapes import (
    BatchStep,
    SliceResult,
    SliceStep,
    TrancheStep,
    Undone,
    batch_chain,
)
from activities.personal_data import SubjectVault
from activities.screening.editions import Editions
from activities.screening.evidence import cancel_open_holds, put_document, sealed_evidence
from activities.screening.list_changes import ListChangeApplier
from activities.screening.pinning import pin, pinned_lists, read_newest, screening_rules
from activities.screening.slices import SliceScreener
from activities.store import audit
from activities.store.database import Database, hold_fence
from activities.store.locks import lock_gates


class ScreeningActivities(Screening):
    """Screens batches under their fence; prepared lists are shared by all calls of the process."""

    def __init__(
        self, *, database: Database, vault: SubjectVault, object_store: ObjectStore, lists_folder: Path
    ) -> None:
        self._database = database
        self._objects = object_store
        self._editions = Editions(lists_folder=lists_folder, object_store=object_store)
        self._screener = SliceScreener(database=database, vault=vault, editions=self._editions)
        self._changes = ListChangeApplier(database=database, vault=vault, editions=self._editions)

    @activity.defn
    def pin_lists(self, step: BatchStep) -> PinnedLists:
        """Pins the editions in the lists' folder, archived, to the batch."""
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            if pinned := pinned_lists(connection, batch_no):
                return PinnedLists(digests=pinned)
            rules = screening_rules(connection, batch_no)
        editions = read_newest(self._database, self._editions, rules)
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            digests = pin(connection, step.batch_id, batch_no, editions=editions, archive=self._editions)
        return PinnedLists(digests=digests)

    @activity.defn
    def screen_slice(self, step: SliceStep) -> SliceResult:
        """Gives every subject of the slice a verdict against the pinned lists."""
        return self._screener.screen(step)

    @activity.defn
    def seal_evidence(self, step: TrancheStep) -> SealedEvidence:
        """Seals what screening found and people decided so far, and writes it out as a document.

        Raises: IntegrityError while a slice of the batch has no verdicts.
        """
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock_gates(connection, step.batch_id)
            sealed = sealed_evidence(connection, step, batch_no)
        return put_document(self._objects, step, sealed)

    @activity.defn
    def apply_list_changes(self, step: ApplyListChanges) -> ListChanges:
        """Screens who is not active yet against what is new on the lists; hits are withheld from activation.

        Raises: ServiceUnavailableError naming a list that may not be believed.
        """
        return self._changes.apply(step)

    @activity.defn
    def undo_screening(self, step: BatchStep) -> Undone:
        """Cancels every hold that nobody has settled. Retry: none is open any more."""
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            lock_gates(connection, step.batch_id)
            cancelled = cancel_open_holds(connection, batch_no)
            if cancelled:
                facts = {"cancelled": cancelled}
                audit.append(connection, batch_chain(step.batch_id), kind="undo.screening", facts=facts)
        return Undone(counts={"cancelled": cancelled})
