"""A process as a stopped worker's: it holds a batch's fence, and stops itself in the middle of a COPY.

Run as `python -m tests.runbooks.stopped_copy BATCH` with the worker's URL in DATABASE_URL.
"""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from activities.store.database import Database, copy_rows, hold_fence

COLUMNS = ("batch_no", "ordinal", "subject_id", "sealed", "leaf")
TYPES = ("int8", "int4", "text", "bytea", "bytea")
ROWS = 10_000


def rows(batch_no: int) -> Iterator[tuple[Any, ...]]:
    """More rows than are sent at once; before the last one the process stops."""
    for ordinal in range(ROWS, 2 * ROWS):
        yield batch_no, ordinal, f"late-{ordinal}", b"sealed", b"leaf"
    os.kill(os.getpid(), signal.SIGSTOP)


def main() -> None:
    """Writes until it is stopped."""
    with Database(os.environ["DATABASE_URL"]).transaction() as connection:
        batch_no = hold_fence(connection, batch_id=sys.argv[1], fence=1)
        copy_rows(connection, table="subjects", columns=COLUMNS, types=TYPES, rows=rows(batch_no))


if __name__ == "__main__":
    main()
