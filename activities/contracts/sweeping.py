"""Batches whose workflow is gone: found by the record, taken over for undoing."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.contracts.approvals import GateStanding
from activities.contracts.compliance import PlannedBatch
from activities.contracts.screening import SealedEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class FindAbandoned:
    """How many to give at most."""

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAbandoned:
    """Ids of batches whose workflow was closed under them, and of unfinished ones Temporal does not know."""

    batch_ids: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOver:
    """The batch to take over; `is_own` where its own workflow asks, which has forgotten something."""

    batch_id: str
    is_own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedWave:
    """A wave that was opened; `percent` as planned."""

    wave: int
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """All that the record knows of a batch without its workflow; `evidence` by tranche."""

    fence: int
    request: dict[str, Any]
    subject_count: int = 0
    plan: PlannedBatch | None = None
    evidence: dict[str, SealedEvidence] = field(default_factory=dict)
    open_gates: list[GateStanding] = field(default_factory=list)
    waves: list[OpenedWave] = field(default_factory=list)
    recorded_result: dict[str, Any] | None = None


class Sweeping(ABC):
    """Finds what a terminated workflow left behind; changes nothing."""

    @activity.defn
    @abstractmethod
    async def find_abandoned(self, step: FindAbandoned) -> FoundAbandoned:
        """Gives batches without a recorded end, an attested one or a bundle, whose workflow is not open."""

    @activity.defn
    @abstractmethod
    async def take_over(self, step: TakeOver) -> TakenOver:
        """Gives what undoing a batch needs.

        Raises: InvalidRequestError for an unknown batch, ConflictError while its workflow is at work.
        """
