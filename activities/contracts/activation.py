"""Waves: a range of ready wallets becomes active exactly once each, is announced, soaks, and is checked."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from temporalio import activity

from activities.contracts.shapes import BatchStep, SliceResult, SliceStep, Undone


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveStep:
    """One wave (counted from 1): the positions [offset, offset + length) of a tranche."""

    batch_id: str
    fence: int
    wave: int
    tranche: int
    offset: int
    length: int
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedWave:
    """How many wallets of the wave are active, and how many announcements went out."""

    active: int
    announced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveHealth:
    """Whether the wave may be followed by the next; reasons are fixed sentences with counts."""

    healthy: bool
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverWaiting:
    """How many announcements to deliver at most."""

    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredWaiting:
    """How many of them arrived."""

    delivered: int


class Activation(ABC):
    """Makes ready wallets active; freezes, never destroys."""

    @activity.defn
    @abstractmethod
    def open_wave(self, step: WaveStep) -> Undone:
        """Records that the wave opens, if it is the one the plan has next and its gate is approved.

        Raises: PolicyViolationError. Retry: an open wave is found.
        """

    @activity.defn
    @abstractmethod
    def activate_slice(self, step: SliceStep) -> SliceResult:
        """Activates the slice's ready wallets after checking custody's signature over their addresses.

        Retry: the recorded result of a committed slice is returned.
        """

    @activity.defn
    @abstractmethod
    def announce_wave(self, step: WaveStep) -> AnnouncedWave:
        """Delivers the wave's announcement from the outbox. Retry: a delivered one keeps its id."""

    @activity.defn
    @abstractmethod
    def check_wave(self, step: WaveStep) -> WaveHealth:
        """Compares what the wave should have done with what the database says it did; closes the wave."""

    @activity.defn
    @abstractmethod
    def undo_activation(self, step: BatchStep) -> Undone:
        """Freezes the batch's active wallets; their keys are kept. Retry: the same number of frozen ones."""

    @activity.defn
    @abstractmethod
    def deliver_waiting(self, step: DeliverWaiting) -> DeliveredWaiting:
        """Delivers announcements that could not be told when they were written, batches that ended included.

        Retry: a receiver sees the same ids again.
        """
