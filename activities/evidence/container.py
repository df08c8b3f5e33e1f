"""The outer shape of a bundle's zip: members end to end, one short directory, and nothing else in the file.

Looked at before a zip library is: a directory of millions of entries costs the library gigabytes, and members
that share their bytes or bytes between them would be covered by no digest.
"""

import struct
import zipfile
from typing import Any, BinaryIO, Final

from activities.evidence.layout import MEMBERS
from activities.evidence.report import require

DIRECTORY_BYTES_MAX: Final = 64 * 1024
"""Bytes; the format's directory has under twenty entries of some hundred bytes."""

_ENTRY: Final = struct.Struct("<4s5H3L2H")
_LOCAL_MARK: Final = b"PK\x03\x04"
_END: Final = struct.Struct("<4s4H2LH")
_END_MARK: Final = b"PK\x05\x06"
_LARGE_POINTER: Final = struct.Struct("<4sLQL")
_LARGE_POINTER_MARK: Final = b"PK\x06\x07"
_LARGE_END: Final = struct.Struct("<4sQ2H2L4Q")
_LARGE_END_MARK: Final = b"PK\x06\x06"
"""The 64-bit end records stand before the plain one where a file is too large for its numbers."""


def require_short_directory(file: BinaryIO) -> None:
    """Fails unless the zip ends with a directory of few entries, right before its end records."""
    end = file.seek(0, 2) - _END.size
    mark, _, _, _, count, length, offset, comment = _record(file, end, _END)
    require(mark == _END_MARK and not comment, "the bundle is not a zip, or carries a comment")
    pointer = end - _LARGE_POINTER.size
    if pointer >= 0 and _record(file, pointer, _LARGE_POINTER)[0] == _LARGE_POINTER_MARK:
        end = pointer - _LARGE_END.size
        mark, *_, count, length, offset = _record(file, end, _LARGE_END)
        require(mark == _LARGE_END_MARK, "the bundle is not a zip")
    fits = count <= len(MEMBERS) and length <= DIRECTORY_BYTES_MAX
    require(fits, "the zip's directory is longer than the format's")
    require(offset + length == end, "the zip's directory does not stand right before its end")


def require_end_to_end(file: BinaryIO, entries: list[zipfile.ZipInfo], *, directory: int) -> None:
    """Fails unless the members follow one another from the first byte to the directory, in its order."""
    place = 0
    for entry in entries:
        require(entry.header_offset == place, "the members do not follow one another")
        mark, *_, name, extra = _record(file, place, _ENTRY)
        require(mark == _LOCAL_MARK, "the members do not follow one another")
        place += _ENTRY.size + name + extra + entry.compress_size
    require(place == directory, "the members do not follow one another")


def _record(file: BinaryIO, place: int, form: struct.Struct) -> tuple[Any, ...]:
    require(place >= 0, "the bundle is not a zip")
    file.seek(place)
    content = file.read(form.size)
    require(len(content) == form.size, "the bundle is not a zip")
    return form.unpack(content)
