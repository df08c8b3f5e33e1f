"""Reads a whole source and says what is wrong with it, before anything is claimed or stored.

Stores no subject and knows no database.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from activities.clients.object_store import ObjectStore
from activities.contracts.intake import InspectedSource
from activities.contracts.request import BatchRequest
from activities.contracts.shapes import Document
from activities.failures import InvalidRequestError
from activities.intake.duplicates import REPEATED_IDS_MAX, SeenIds, repeated_rows
from activities.intake.problem_log import BAD_ROWS_MAX, ProblemLog
from activities.intake.rows import BadRow, Row, RowProblem, read_rows
from activities.intake.source import Sources

BATCH_SUBJECTS_MAX: Final = 10_000_000
"""Subjects in one batch; reading stops at the first row over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """One reading of one request's source; `today` is the last possible date of birth."""

    sources: Sources
    objects: ObjectStore
    request: BatchRequest
    today: date

    def run(self) -> InspectedSource:
        """Gives the counts, or refuses with every problem listed in a document.

        Raises: InvalidRequestError, ServiceUnavailableError.
        """
        self._require_digest()
        with ProblemLog() as log:
            good, suspects = self._first_look(log)
            good -= self._second_look(log, suspects)
            if not good and not log.bad_rows:
                raise InvalidRequestError("source: has no rows")
            if not log.bad_rows:
                return InspectedSource(row_count=good, bad_row_count=0)
            rejects = self._store_rejects(log)
            stopped = _why_stopped(log, suspects)
            if stopped or not good or self.request.on_bad_rows == "refuse":
                raise log.refusal(rejects, stopped=stopped)
            return InspectedSource(row_count=good + log.bad_rows, bad_row_count=log.bad_rows, rejects=rejects)

    def _require_digest(self) -> None:
        """First of all: problems of another file than the one meant would only confuse."""
        with self.sources.open(self.request.source.uri) as source:
            if source.sha256_of_all() != self.request.source.sha256:
                raise InvalidRequestError("source.sha256: the file has another digest")

    def _first_look(self, log: ProblemLog) -> tuple[int, set[int]]:
        """Counts good rows, logs bad ones, and gives the ids to compare in a second look."""
        good, seen = 0, SeenIds()
        for row in self._rows():
            if isinstance(row, BadRow):
                log.add_row(row.problems)
                if log.is_full:
                    break
                continue
            good += 1
            if good > BATCH_SUBJECTS_MAX:
                raise InvalidRequestError(f"source: has more than {BATCH_SUBJECTS_MAX} rows")
            seen.add(row.values["subject_id"])
        return good, seen.suspects()

    def _second_look(self, log: ProblemLog, suspects: set[int]) -> int:
        """Logs rows whose subject id an earlier row has, and counts them."""
        if not suspects or log.is_full:
            return 0
        repeated = 0
        good_rows = (row for row in self._rows() if isinstance(row, Row))
        for line, first_line in repeated_rows(good_rows, suspects):
            repeated += 1
            log.add_row([RowProblem(line, "subject_id", f"the same as in line {first_line}")])
            if log.is_full:
                break
        return repeated

    def _rows(self) -> Iterator[Row | BadRow]:
        with self.sources.open(self.request.source.uri) as source:
            yield from read_rows(source, today=self.today)

    def _store_rejects(self, log: ProblemLog) -> Document:
        key = f"rejects/{self.request.source.sha256[:16]}/{self.request.batch_id}.csv"
        return log.store(self.objects, key)


def _why_stopped(log: ProblemLog, suspects: set[int]) -> str:
    if log.is_full:
        return f"reading stopped after {BAD_ROWS_MAX} bad rows"
    if len(suspects) >= REPEATED_IDS_MAX:
        return f"more than {REPEATED_IDS_MAX} ids are repeated: not all are listed"
    return ""
