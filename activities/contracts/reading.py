"""What the command line asks of the provisioning worker: tables and accounts, by link, on the record."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.contracts.shapes import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBatch:
    """Which batch is read, by whom, and why; both go into the audit log."""

    batch_id: str
    reader: str
    reason: str
    subject_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectAccount:
    """Why a subject stands where it stands, without personal data and without tipping anybody off."""

    subject_id: str
    ordinal: int
    screening: str
    wallets: list[dict[str, Any]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


class Reading(ABC):
    """Answers readers; personal data leaves only encrypted to the keys of those who may see it."""

    @activity.defn
    @abstractmethod
    def publish_wallets(self, step: ReadBatch) -> Document:
        """Writes the wallet table (subject_id, chain, address, state) to the object store."""

    @activity.defn
    @abstractmethod
    def publish_holds(self, step: ReadBatch) -> Document:
        """Writes the open holds with what was compared, encrypted (age) to every adjudicator's SSH key."""

    @activity.defn
    @abstractmethod
    def explain_subject(self, step: ReadBatch) -> SubjectAccount:
        """Tells the story of one subject.

        Raises: InvalidRequestError when the batch has no such subject.
        """

    @activity.defn
    @abstractmethod
    def find_bundle(self, step: ReadBatch) -> Document:
        """Finds the evidence bundle, for as long as the object store keeps it.

        Raises: InvalidRequestError when the batch has none.
        """
