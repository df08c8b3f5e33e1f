"""KYC screening: lists are pinned by digest, slices get verdicts, the verdicts become evidence."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from temporalio import activity

from activities.contracts.shapes import (
    BatchStep,
    Document,
    SliceResult,
    SliceStep,
    TrancheStep,
    Undone,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedLists:
    """List id to digest (hex) of every list the policy makes mandatory."""

    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEvidence:
    """The evidence over the verdicts of one tranche.

    `counts` holds clear, held and refused for the main tranche, cleared and refused for the late one.
    """

    evidence_digest: str
    verdict_root: str
    counts: dict[str, int] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyListChanges:
    """Before which wave (counted from 1) of which tranche list changes are applied."""

    batch_id: str
    fence: int
    tranche: int
    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListChanges:
    """What list changes since the verdicts did before a wave: lists now in force, wallets withheld."""

    digests: dict[str, str] = field(default_factory=dict)
    withheld: int = 0


class Screening(ABC):
    """Compares subjects with lists; a list that cannot be read is never read as clear."""

    @activity.defn
    @abstractmethod
    def pin_lists(self, step: BatchStep) -> PinnedLists:
        """Reads the mandatory lists, archives their bytes, and pins their digests to the batch.

        Raises: ServiceUnavailableError naming the list while it is missing, stale, truncated or malformed.
        Retry: the pinned digests are returned.
        """

    @activity.defn
    @abstractmethod
    def screen_slice(self, step: SliceStep) -> SliceResult:
        """Gives every subject of the slice a verdict: counts by clear, held and refused.

        Retry: the recorded result of a committed slice is returned.
        """

    @activity.defn
    @abstractmethod
    def seal_evidence(self, step: TrancheStep) -> SealedEvidence:
        """Composes the verdict root and stores the evidence. Retry: the stored evidence is returned."""

    @activity.defn
    @abstractmethod
    def apply_list_changes(self, step: ApplyListChanges) -> ListChanges:
        """Screens not yet active subjects against list entries new since their verdict; hits are withheld.

        Retry: changes already applied are not applied again.
        """

    @activity.defn
    @abstractmethod
    def undo_screening(self, step: BatchStep) -> Undone:
        """Closes what screening left open: open holds of the batch are cancelled."""
