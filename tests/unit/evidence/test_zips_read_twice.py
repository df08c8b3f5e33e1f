"""Zips that hide something from our readers and show it to others: both verifiers refuse them."""

import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from activities.evidence import container, layout
from activities.evidence.report import Status
from activities.evidence.verify import verify_bundle
from activities.evidence.writer import BundleWriter
from infra.auditor import verify_bundle as second
from tests.bundle_table import table_of

TOLD = layout.APPROVALS
TEXT = b'{"a":1}\n'


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A member as header and directory show it; nothing says how the two belong together."""

    name: bytes
    raw: bytes
    crc: int
    size: int
    flags: int = 0
    method: int = 8
    local_flags: int = 0
    local_method: int = 8
    local_numbers: tuple[int, int, int] | None = None
    local_extra: bytes = b""
    extra: bytes = b""
    comment: bytes = b""
    disk: int = 0
    kind: int = 0


def deflated(content: bytes) -> bytes:
    """A whole stream."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


def header(entry: Entry) -> bytes:
    """The member with the header before it."""
    numbers = entry.local_numbers or (entry.crc, len(entry.raw), entry.size)
    lengths = (len(entry.name), len(entry.local_extra))
    head = (b"PK\3\4", 20, entry.local_flags, entry.local_method, 0, 33, *numbers, *lengths)
    return struct.pack("<4s5H3L2H", *head) + entry.name + entry.local_extra + entry.raw


def listed(entry: Entry, place: int) -> bytes:
    """The member's entry in the directory."""
    sizes = (entry.crc, len(entry.raw), entry.size, len(entry.name), len(entry.extra), len(entry.comment))
    head = (b"PK\1\2", 20, 20, entry.flags, entry.method, 0, 33, *sizes, entry.disk, 0, entry.kind << 16)
    return struct.pack("<4s6H3L5H2L", *head, place) + entry.name + entry.extra + entry.comment


def zipped(entries: list[Entry], *, disk: int = 0) -> bytes:
    """A zip of them."""
    body, directory = b"", b""
    for entry in entries:
        directory += listed(entry, len(body))
        body += header(entry)
    count = len(entries)
    end = struct.pack("<4s4H2LH", b"PK\5\6", disk, 0, count, count, len(directory), len(body), 0)
    return body + directory + end


def entries(change: Callable[[Entry], Entry]) -> list[Entry]:
    """The members of a bundle with right names and table, one of them changed."""
    parts = {name: TEXT for name in layout.MEMBERS[:-1] if name not in layout.OPTIONAL}
    parts[layout.BUNDLE] = table_of(parts)
    made = (
        Entry(name=name.encode(), raw=deflated(content), crc=zlib.crc32(content), size=len(content))
        for name, content in parts.items()
    )
    return [change(one) if one.name == TOLD.encode() else one for one in made]


def failed(path: Path) -> tuple[list[str], list[str]]:
    """The checks that failed, of each verifier."""
    report = verify_bundle(path, None)
    first = [check.name for check in report.checks if check.status is Status.FAILED]
    return first, second.verify(path, None).failed


NO_END = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
UNENDED = NO_END.compress(TEXT) + NO_END.flush(zlib.Z_SYNC_FLUSH)
OTHER_NAME = struct.pack("<2HBL", 0x7075, 13, 1, zlib.crc32(TOLD.encode())) + b"evil.txt"

CHANGES: dict[str, Callable[[Entry], Entry]] = {
    "bytes after the packed end": lambda one: replace(one, raw=one.raw + b"hidden"),
    "more packed than is stated": lambda one: replace(one, raw=deflated(TEXT + b'{"b":2}\n')),
    "less packed than is stated": lambda one: replace(one, size=one.size + 1),
    "no packed end": lambda one: replace(one, raw=UNENDED),
    "another checksum": lambda one: replace(one, crc=one.crc ^ 1),
    "a field of its own in the header": lambda one: replace(one, local_extra=b"\x99\x99\x04\x00hide"),
    "a field of its own in the directory": lambda one: replace(one, extra=b"\x99\x99\x04\x00hide"),
    "another name by a field": lambda one: replace(one, extra=OTHER_NAME, local_extra=OTHER_NAME),
    "a size by a field that needs none": lambda one: replace(
        one, extra=struct.pack("<2HQ", 1, 8, one.size + 1)
    ),
    "a comment": lambda one: replace(one, comment=b"hello"),
    "a name with an end in it": lambda one: replace(one, name=one.name + b"\0.exe"),
    "other sizes in the header": lambda one: replace(one, local_numbers=(one.crc, 5, 7)),
    "other large sizes in the header": lambda one: replace(
        one,
        local_numbers=(one.crc, 2**32 - 1, 2**32 - 1),
        local_extra=struct.pack("<2H2Q", 1, 16, one.size + 1, len(one.raw)),
    ),
    "another checksum in the header": lambda one: replace(
        one, local_numbers=(one.crc ^ 1, len(one.raw), one.size)
    ),
    "another packing in the header": lambda one: replace(one, local_method=0),
    "encrypted by the header": lambda one: replace(one, local_flags=1),
    "sizes that follow, by a flag": lambda one: replace(one, flags=8, local_flags=8),
    "another alphabet by a flag": lambda one: replace(one, flags=0x800, local_flags=0x800),
    "on another disk": lambda one: replace(one, disk=7),
    "a link": lambda one: replace(one, kind=0o120777),
    "a folder": lambda one: replace(one, kind=0o040755),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_member_that_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, change: Callable[[Entry], Entry]
) -> None:
    """What any other program would unpack is what the digests are over; nothing rides along."""
    path = tmp_path / "twice.zip"
    path.write_bytes(zipped(entries(change)))
    first, other = failed(path)
    assert first == other
    assert first in (["container"], ["members"])
    with zipfile.ZipFile(path) as there:
        assert len(there.namelist()) == len(entries(change))


def test_the_same_zip_without_the_change_gets_further(tmp_path: Path) -> None:
    """So each is refused for its change: this one passes the container and all digests."""
    path = tmp_path / "once.zip"
    path.write_bytes(zipped(entries(lambda one: one)))
    with zipfile.ZipFile(path) as there:
        assert there.testzip() is None
    report, other = verify_bundle(path, None), second.verify(path, None)
    assert report.checks[1].sentence == f"{layout.REQUEST} is not canonical JSON"
    assert other.checks[1] == ("members", "failed", f"{layout.REQUEST} is not spelt canonically")


def test_a_zip_that_is_a_part_of_one_is_refused(tmp_path: Path) -> None:
    """Programs that ask for the other parts would see other members."""
    path = tmp_path / "part.zip"
    path.write_bytes(zipped(entries(lambda one: one), disk=3))
    assert failed(path) == (["container"], ["container"])


@pytest.mark.parametrize("field", range(3))
def test_two_ends_that_differ_are_refused(tmp_path: Path, field: int) -> None:
    """Some programs believe the plain end of a zip and some the 64-bit one before it."""
    content = zipped(entries(lambda one: one))
    count, size, place = struct.unpack("<H2L", content[-12:-2])
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, place)
    large += struct.pack("<4sLQL", b"PK\6\7", 0, len(content) - 22, 1)
    for plain, taken in (
        ([count, size, place], True),
        ([2**16 - 1, 2**32 - 1, 2**32 - 1], True),
        ([number - (field == at) for at, number in enumerate((count, size, place))], False),
    ):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, plain[0], *plain, 0)
        path = tmp_path / "ends.zip"
        path.write_bytes(content[:-22] + large + end)
        first, other = failed(path)
        assert ("container" not in first, "container" not in other) == (taken, taken)


def test_the_large_form_of_our_own_entries_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond two gibibytes a zip library writes sizes and places in fields; here it begins earlier."""
    limit = 200
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    monkeypatch.setattr(container, "_PLAIN_MAX", limit)
    monkeypatch.setattr(second, "PLAIN_MAX", limit)
    path = tmp_path / "large.zip"
    with BundleWriter(path) as writer:
        for name in layout.MEMBERS[:-1]:
            if name not in layout.OPTIONAL:
                writer.lines(name, [b"x" * 500])
        writer.close({"v": 1})
    with zipfile.ZipFile(path) as there:
        extras = {len(entry.extra) for entry in there.infolist()}
    assert extras == {20, 28}
    report, other = verify_bundle(path, None), second.verify(path, None)
    assert (report.checks[0].status, other.checks[0][1]) == (Status.OK, "ok")
