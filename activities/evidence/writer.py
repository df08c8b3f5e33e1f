"""Writes a bundle's zip: one pass, memory flat, the same bytes for the same content.

The table of members is written last; nothing is read back.
"""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from activities.canonical import canonical
from activities.evidence.layout import BUNDLE

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can say; a bundle's own time stands in its table."""

_PART_BYTES: Final = 2**18
"""Lines are gathered to parts of this size before they are packed."""


class BundleWriter:
    """A zip in the making; members are written one after the other."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._table: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def parts(self, name: str, parts: Iterable[bytes]) -> None:
        """Writes one member from its parts."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(_entry(name), "w", force_zip64=True) as member:
            for part in parts:
                member.write(part)
                digest.update(part)
                size += len(part)
        self._table.append({"name": name, "sha256": digest.hexdigest(), "size": size})

    def document(self, name: str, value: Any) -> None:
        """Writes one canonical JSON document."""
        self.parts(name, [canonical(value)])

    def lines(self, name: str, rows: Iterable[bytes]) -> None:
        """Writes canonical JSON objects, one a line."""
        self.parts(name, _gathered(rows))

    def close(self, facts: dict[str, Any]) -> None:
        """Writes the table with the bundle's own facts and ends the zip."""
        table = {**facts, "members": self._table}
        with self._zip.open(_entry(BUNDLE), "w", force_zip64=True) as member:
            member.write(canonical(table))
        self._zip.close()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    entry.create_system = 3
    return entry


def _gathered(rows: Iterable[bytes]) -> Iterable[bytes]:
    part = bytearray()
    for row in rows:
        part += row
        part += b"\n"
        if len(part) >= _PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part)
