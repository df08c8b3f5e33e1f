"""Intake: the source file is inspected as a stream, then stored slice by slice."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from temporalio import activity

from activities.contracts.shapes import BatchStep, Document, Undone


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectSource:
    """The request whose source is to be read; nothing is claimed or stored yet."""

    request: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedSource:
    """What the source holds; `rejects` lists bad rows where the request lets them be left out."""

    row_count: int
    bad_row_count: int
    rejects: Document | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSubjects:
    """How many subjects are stored, in how many slices."""

    subject_count: int
    slice_count: int


class Intake(ABC):
    """Reads sources; stores subjects with their personal data encrypted."""

    @activity.defn
    @abstractmethod
    def inspect_source(self, step: InspectSource) -> InspectedSource:
        """Checks the request against the known jurisdictions and chains, and every row of the source.

        Raises: InvalidRequestError naming field or line, column and reason, never a value.
        """

    @activity.defn
    @abstractmethod
    def store_subjects(self, step: BatchStep) -> StoredSubjects:
        """Stores the good rows in order, one transaction per slice.

        Raises: InvalidRequestError when the source changed since it was inspected.
        Retry: goes on after the last committed slice.
        """

    @activity.defn
    @abstractmethod
    def undo_intake(self, step: BatchStep) -> Undone:
        """Removes the subjects of a batch that was never planned; a planned one keeps its sealed rows.

        Retry: nothing is left to remove.
        """
