"""The bytes of a list's files: read with a bound, and made to one digest."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from activities.screening.lists.entries import ListUnreadableError

FILE_BYTES_MAX: Final = 128 * 1024 * 1024
"""Bytes of one list file: five times the largest list in use (the EU's XML, some 25 MB)."""

PROVENANCE: Final = "provenance.json"


def read_files(list_id: str, folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The bytes of the named files, and of the provenance sidecar where there is one.

    Raises:
        ListUnreadableError: a named file is missing, unreadable, empty or too large.
    """
    files = {name: _read_file(list_id, folder / name) for name in names}
    if (folder / PROVENANCE).exists():
        files[PROVENANCE] = _read_file(list_id, folder / PROVENANCE)
    return files


def _read_file(list_id: str, path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ListUnreadableError(list_id, "a file is missing")
        with path.open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
    except OSError:
        raise ListUnreadableError(list_id, "a file cannot be read") from None
    if not content:
        raise ListUnreadableError(list_id, "a file is empty")
    if len(content) > FILE_BYTES_MAX:
        raise ListUnreadableError(list_id, "a file is larger than any list may be")
    return content


def files_digest(files: Mapping[str, bytes], order: tuple[str, ...]) -> str:
    """The hex SHA-256 of the files' bytes one after the other, as `cat` would give them."""
    whole = hashlib.sha256()
    for name in order:
        whole.update(files[name])
    return whole.hexdigest()
