"""A small inbox for intake's tests, and rows that are good unless something is changed."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from activities.clients.object_store import FolderStore
from activities.contracts.request import parse_request
from activities.intake.inspection import Inspection
from activities.intake.rows import BadRow, Row, read_rows
from activities.intake.source import Inbox

TODAY = date(2026, 3, 1)

HEADER = "subject_id,subject_kind,full_name,date_of_birth,country"
ROW = {
    "subject_id": "s-1",
    "subject_kind": "person",
    "full_name": "Ana Pérez",
    "date_of_birth": "1980-02-29",
    "country": "DE",
}


def csv_row(**changes: str) -> str:
    """A good row as CSV under `HEADER`, with some values replaced; every value is quoted."""
    values = {**ROW, **changes}
    return ",".join('"' + value.replace('"', '""') + '"' for value in values.values())


def csv_text(*rows: str, header: str = HEADER) -> str:
    """A header and rows."""
    return "\n".join((header, *rows)) + "\n"


def json_row(**changes: Any) -> str:
    """A good row as one JSON line, with some values replaced."""
    return json.dumps({**ROW, **changes})


def people(count: int, *, first: int = 0) -> list[str]:
    """Good CSV rows with ids of their own."""
    return [csv_row(subject_id=f"s-{number}") for number in range(first, first + count)]


@dataclass(frozen=True, kw_only=True)
class Room:
    """A folder with an inbox and an object store."""

    folder: Path

    @property
    def inbox(self) -> Inbox:
        """The inbox of the folder."""
        return Inbox(self.folder / "inbox")

    @property
    def objects(self) -> FolderStore:
        """The object store of the folder."""
        return FolderStore(self.folder / "objects")

    def put(self, content: str | bytes, name: str = "people.csv") -> str:
        """Writes a file into the inbox and gives its URI."""
        raw = content.encode() if isinstance(content, str) else content
        path = self.folder / "inbox" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(raw)
        return f"inbox://{name}"

    def read(self, content: str | bytes, *, after: int = 0) -> list[Row | BadRow]:
        """Reads a file's rows."""
        return [row for row, _ in self.read_with_offsets(content, after=after)]

    def read_with_offsets(self, content: str | bytes, *, after: int = 0) -> list[tuple[Row | BadRow, int]]:
        """Reads a file's rows, each with the source's offset behind it."""
        with self.inbox.open(self.put(content)) as source:
            return [(row, source.offset) for row in read_rows(source, today=TODAY, after=after)]

    def problems(self, content: str | bytes) -> list[str]:
        """Reads a file and gives all problems as text."""
        bad = [row for row in self.read(content) if isinstance(row, BadRow)]
        return [str(problem) for row in bad for problem in row.problems]

    def inspection(self, content: str | bytes, **changes: Any) -> Inspection:
        """An inspection of a file with that content, by its true digest unless something is changed."""
        raw = content.encode() if isinstance(content, str) else content
        source = {"uri": self.put(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        request = parse_request(request_for(**{"source": source, **changes}))
        return Inspection(sources=self.inbox, objects=self.objects, request=request, today=TODAY)

    def within(self, name: str) -> "Room":
        """A room in a folder below."""
        below = self.folder / name
        below.mkdir()
        return replace(self, folder=below)


def request_for(source: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A request as a product team sends it."""
    usual = {
        "batch_id": "spring-airdrop",
        "tenant": "acme",
        "requested_by": "ops@acme.example",
        "purpose": "user_import",
        "custody": "custodial",
        "jurisdiction": "SG",
        "chains": ["ethereum"],
        "source": source,
    }
    return {**usual, **changes}
