"""The life of a batch's row: claimed once for ever, fenced, ended once."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.contracts.shapes import BatchStep, Undone


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimBatch:
    """The validated request as received, and the run that claims its id."""

    request: dict[str, Any]
    claimed_by_run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedBatch:
    """The fence to work under, or the recorded result when the batch has already ended.

    `left_for` is the cause for which a run before has begun to undo the batch; empty while nobody has.
    """

    batch_id: str
    fence: int
    recorded_result: dict[str, Any] | None = None
    left_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledBatch:
    """The recorded result of a batch that has ended; None while nothing of it has."""

    recorded_result: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseFence:
    """Shut out every effect scheduled under `fence`; `reason` is a fixed word for the audit log."""

    batch_id: str
    fence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedFence:
    """The fence that undoing works under, or the recorded result when the batch has already ended.

    `left_for` is the cause for which the fence was raised first: it stays the batch's.
    """

    fence: int
    recorded_result: dict[str, Any] | None = None
    left_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishBatch:
    """The result that ends a batch, written once."""

    batch_id: str
    fence: int
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedBatch:
    """What is on record as the batch's result when another run had ended it before; else None."""

    recorded_result: dict[str, Any] | None = None


class BatchRegister(ABC):
    """Writes the rows that say that a batch exists, under which fence, and how it ended."""

    @activity.defn
    @abstractmethod
    def recall_batch(self, step: ClaimBatch) -> RecalledBatch:
        """Gives the recorded result of the same request; claims nothing.

        Raises: ConflictError when the id was claimed with other content.
        """

    @activity.defn
    @abstractmethod
    def claim_batch(self, step: ClaimBatch) -> ClaimedBatch:
        """Claims the batch id for ever.

        Raises: ConflictError when the id was claimed with other content or by another unfinished run.
        Retry: the same run gets the same answer.
        """

    @activity.defn
    @abstractmethod
    def raise_fence(self, step: RaiseFence) -> RaisedFence:
        """Raises the fence by one, after every effect in flight has committed or failed.

        Retry: a fence that already stands higher is returned as it is: whoever raised it undoes already.
        """

    @activity.defn
    @abstractmethod
    def finish_batch(self, step: FinishBatch) -> FinishedBatch:
        """Records the end of the batch and chains its audit head to the tenant's.

        Retry: the first end stands, and is given where it is another one.
        """

    @activity.defn
    @abstractmethod
    def close_shards(self, step: BatchStep) -> Undone:
        """Chains the heads of all shard chains not yet chained to the batch's audit chain."""
