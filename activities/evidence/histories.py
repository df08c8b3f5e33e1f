"""What the bundle takes from the workflow engine: event types and payload digests, no payloads."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEvent:
    """One event: its type's name, and the SHA-256 (hex) of each payload's data in order."""

    workflow_id: str
    run_id: str
    event_id: int
    event_type: str
    payload_digests: tuple[str, ...] = ()


class Histories(Protocol):
    """Where the histories of a batch's workflows are read: the batch's own and its shards'."""

    def events(self, batch_id: str) -> AsyncIterator[HistoryEvent]:
        """Every event so far, run by run in any order of runs, each run's events from 1 up.

        Raises: ServiceUnavailableError.
        """
