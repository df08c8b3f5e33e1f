"""All problems of a source: the first few for the error's text, every one for the rejects document.

They go to a nameless temporary file, so that memory stays flat; they hold no values of the rows.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from activities.clients.object_store import ObjectStore
from activities.contracts.shapes import Document
from activities.failures import InvalidRequestError, ServiceUnavailableError
from activities.intake.rows import RowProblem

SHOWN_MAX: Final = 20
"""Problems named in an error's text; the document has them all."""

BAD_ROWS_MAX: Final = 1_000_000
"""Bad rows after which reading stops: such a file is not the one that was meant, and disks are finite."""

_BLOCK: Final = 1024 * 1024


class ProblemLog:
    """Collects problems in the order they are found; a context manager, since it holds a file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="walletworks-rejects-")  # noqa: SIM115 - closed by __exit__
        self._text = io.TextIOWrapper(self._file, encoding="utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(("line", "column", "reason"))
        self.shown: list[str] = []
        self.count = 0
        self.bad_rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()

    def add_row(self, problems: Iterable[RowProblem]) -> None:
        """Takes note of one bad row."""
        self.bad_rows += 1
        for problem in problems:
            self.count += 1
            self._write(problem)
            if len(self.shown) < SHOWN_MAX:
                self.shown.append(str(problem))

    def _write(self, problem: RowProblem) -> None:
        try:
            self._writer.writerow(problem)
        except OSError:
            raise ServiceUnavailableError("temporary folder") from None

    @property
    def is_full(self) -> bool:
        """Whether so many rows are bad that reading on makes no sense."""
        return self.bad_rows >= BAD_ROWS_MAX

    def store(self, objects: ObjectStore, key: str) -> Document:
        """Puts every problem into the object store as CSV.

        Raises: ServiceUnavailableError.
        """
        self._text.flush()
        self._file.seek(0)
        return objects.put(key, self._blocks(), rows=self.count)

    def refusal(self, rejects: Document, *, stopped: str = "") -> InvalidRequestError:
        """The error that names the first problems and where all of them are listed."""
        problems = list(self.shown)
        if self.count > len(problems):
            problems.append(f"and {self.count - len(problems)} more")
        if stopped:
            problems.append(stopped)
        return InvalidRequestError("source: has bad rows", [*problems, f"all are listed in {rejects.uri}"])

    def _blocks(self) -> Iterator[bytes]:
        while block := self._file.read(_BLOCK):
            yield block
