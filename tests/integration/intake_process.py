"""A process that stores subjects until its source has given so many bytes, then stands still to be killed.

Run by the tests of intake; the arguments come as one JSON object.
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activities.contracts.shapes import BatchStep
from activities.intake.source import Inbox, OpenedSource
from activities.store.database import Database
from tests.integration.intake_room import IntakeRoom


class StallingSource(OpenedSource):
    """A source that stands still once so many bytes were taken."""

    stall_after = 0

    def readline(self, count: int) -> bytes:
        """Takes a line, or says that it stands still and does so."""
        if self.offset >= self.stall_after:
            sys.stdout.write("stalled\n")
            sys.stdout.flush()
            signal.pause()
        return super().readline(count)


class StallingInbox(Inbox):
    """An inbox whose files stand still after so many bytes."""

    def __init__(self, folder: Path, *, stall_after: int) -> None:
        super().__init__(folder)
        self._stall_after = stall_after

    @contextmanager
    def open(self, uri: str) -> Iterator[OpenedSource]:
        """Opens a file whose reads are small, standing still in the middle."""
        with super().open(uri) as source:
            stalling = StallingSource(source._stream)
            stalling.stall_after = self._stall_after
            yield stalling


def main() -> None:
    """Stores the subjects of the batch that the arguments name."""
    given = json.loads(sys.argv[1])
    folder = Path(given["folder"])
    room = IntakeRoom(
        folder=folder,
        database=Database(given["database_url"]),
        key_service=given["key_service"],
        token_file=Path(given["token_file"]),
    )
    sources = StallingInbox(folder / "inbox", stall_after=given["stall_after"])
    room.intake(sources).store_subjects(BatchStep(batch_id=given["batch_id"], fence=given["fence"]))


if __name__ == "__main__":
    main()
