"""The outer shape of a bundle's zip: members end to end, one short directory, and nothing else in the file.

Looked at before a zip library is: a directory of millions of entries costs the library gigabytes. Members
that share their bytes, bytes of no member, and what programs read in two ways are covered by no digest.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from activities.evidence.layout import MEMBERS
from activities.evidence.report import require

DIRECTORY_BYTES_MAX: Final = 64 * 1024
"""Bytes; the format's directory has under twenty entries of some hundred bytes."""

_ENTRY: Final = struct.Struct("<4s5H3L2H")
_ENTRY_MARK: Final = b"PK\x03\x04"
_ABSENT: Final = 2**32 - 1
"""Stands where a number is too large; its 64-bit form is elsewhere."""

_PLAIN_MAX: Final = 2**31 - 1
"""Largest number that zip libraries write plainly in a directory."""

_READ_BYTES: Final = 2**18

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
    mark, *disks, _, count, length, offset, comment = _record(file, end, _END)
    require(mark == _END_MARK and not comment, "the bundle is not a zip, or carries a comment")
    pointer = end - _LARGE_POINTER.size
    if pointer >= 0 and _record(file, pointer, _LARGE_POINTER)[0] == _LARGE_POINTER_MARK:
        end, plain = pointer - _LARGE_END.size, (count, length, offset)
        mark, _, _, _, *more_disks, _, count, length, offset = _record(file, end, _LARGE_END)
        require(mark == _LARGE_END_MARK, "the bundle is not a zip")
        disks += more_disks
        # Programs differ in which of the two ends they believe.
        absent = zip(plain, (2**16 - 1, _ABSENT, _ABSENT), (count, length, offset), strict=True)
        same = all(number in (nothing, large) for number, nothing, large in absent)
        require(same, "the zip has two ends that differ")
    fits = count <= len(MEMBERS) and length <= DIRECTORY_BYTES_MAX and not any(disks)
    require(fits, "the zip's directory is longer than the format's")
    require(offset + length == end, "the zip's directory does not stand right before its end")


def require_plain(entry: zipfile.ZipInfo) -> None:
    """Fails unless a directory's entry is a deflated file's, with nothing that a reader may leave out."""
    name = entry.filename
    require(entry.compress_type == zipfile.ZIP_DEFLATED, f"{name} is not packed by deflate")
    require(not entry.flag_bits & 0x1, f"{name} is encrypted by the zip")
    sizes = (entry.file_size, entry.compress_size)
    large = [*(sizes if max(sizes) > _PLAIN_MAX else ()), entry.header_offset]
    large = large if entry.header_offset > _PLAIN_MAX else large[:-1]
    needed = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large)
    plain = (
        entry.orig_filename == name
        and not (entry.flag_bits or entry.comment or entry.volume)
        and entry.extra in (b"", needed)
        and stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
    )
    require(plain, f"{name} carries more in the zip than a file")


def require_end_to_end(file: BinaryIO, entries: list[zipfile.ZipInfo], *, directory: int) -> None:
    """Fails unless the members follow one another from the first byte to the directory, in its order."""
    place = 0
    for entry in entries:
        require(entry.header_offset == place, "the members do not follow one another")
        mark, _, flags, method, _, _, crc, packed, size, name, extra = _record(file, place, _ENTRY)
        require(mark == _ENTRY_MARK, "the members do not follow one another")
        sizes = (entry.file_size, entry.compress_size)
        more = struct.pack("<2H2Q", 1, 16, *sizes) if (size, packed) == (_ABSENT, _ABSENT) else b""
        same = (
            (flags, method, crc) == (entry.flag_bits, entry.compress_type, entry.CRC)
            and (bool(more) or (size, packed) == sizes)
            and file.read(name + extra) == entry.filename.encode() + more
        )
        require(same, f"{entry.filename} stands in the zip otherwise than in its directory")
        place += _ENTRY.size + name + extra + entry.compress_size
    require(place == directory, "the members do not follow one another")


def unpacked(file: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's bytes, part by part; fails unless they and the packed ones end together, where stated.

    A zip library stops at the stated size and leaves unread what follows; other programs do not. Raises
    zlib.error for what is not packed at all.
    """
    *_, name, extra = _record(file, entry.header_offset, _ENTRY)
    place, left = entry.header_offset + _ENTRY.size + name + extra, entry.compress_size
    inflate, size, crc = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
    while (left or inflate.unconsumed_tail) and not inflate.eof:
        packed = inflate.unconsumed_tail
        if not packed:
            file.seek(place)
            packed = file.read(min(left, _READ_BYTES))
            place, left = place + len(packed), left - len(packed)
            require(packed, f"{entry.filename} is cut off")
        part = inflate.decompress(packed, _READ_BYTES)
        size, crc = size + len(part), zlib.crc32(part, crc)
        require(size <= entry.file_size, f"{entry.filename} unpacks to more than is stated")
        yield part
    rest = inflate.flush()
    yield rest
    whole = inflate.eof and not left and not inflate.unused_data
    require(whole, f"{entry.filename} does not end where its packed bytes do")
    stated = (size + len(rest), zlib.crc32(rest, crc)) == (entry.file_size, entry.CRC)
    require(stated, f"{entry.filename} unpacks to something else than is stated")


def _record(file: BinaryIO, place: int, form: struct.Struct) -> tuple[Any, ...]:
    require(place >= 0, "the bundle is not a zip")
    file.seek(place)
    content = file.read(form.size)
    require(len(content) == form.size, "the bundle is not a zip")
    return form.unpack(content)
