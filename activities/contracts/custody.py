"""The custody queue: seeds are made and sealed, addresses derived twice, possession and heads signed.

Access to the queue is no authority: every method verifies the signed approvals and the verdicts itself.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from temporalio import activity

from activities.contracts.shapes import BatchStep, SliceResult, SliceStep, TrancheStep, Undone


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedKeyring:
    """The public handle of a sealed seed."""

    keyring_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRange:
    """How many addresses the second path derived again, and how many a pure-Python curve did."""

    checked: int
    sampled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedHead:
    """The batch's audit head as signed by the attest key: sequence number, hash (hex), signature (base64)."""

    seq: int
    head: str
    signature: str


class Custody(ABC):
    """The only process that opens seeds and writes addresses."""

    @activity.defn
    @abstractmethod
    def open_keyring(self, step: TrancheStep) -> OpenedKeyring:
        """Makes, seals and reads back the batch's seed, once.

        Raises: PolicyViolationError when approvals or verdicts do not carry the evidence.
        Retry: the sealed keyring is found.
        """

    @activity.defn
    @abstractmethod
    def derive_slice(self, step: SliceStep) -> SliceResult:
        """Stores the slice's addresses with possession signatures and signs the slice's root.

        Retry: the recorded result of a committed slice is returned.
        """

    @activity.defn
    @abstractmethod
    def verify_range(self, step: SliceStep) -> VerifiedRange:
        """Derives the range again in a fresh process by the second path; agreeing wallets become ready.

        Raises: IntegrityError on any difference, which pages a person.
        """

    @activity.defn
    @abstractmethod
    def attest_head(self, step: BatchStep) -> AttestedHead:
        """Signs the head of the batch's audit chain. Retry: the same head gets the same attestation."""

    @activity.defn
    @abstractmethod
    def undo_derivation(self, step: BatchStep) -> Undone:
        """Revokes wallets that are not active, and burns the batch's accounts when none is active.

        Retry: the same number of revoked ones.
        """
