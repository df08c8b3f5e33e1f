"""Zips that a stranger made to be read in two ways, or for ever: both verifiers refuse them."""

import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.evidence import layout
from activities.evidence.report import Status
from activities.evidence.verify import verify_bundle
from activities.evidence.writer import BundleWriter
from infra.auditor import verify_bundle as second

NEEDED = [name for name in layout.MEMBERS if name not in layout.OPTIONAL]
END = struct.Struct("<4s4H2LH")
LARGE_END = struct.Struct("<4sQ2H2L4Q")
LARGE_POINTER = struct.Struct("<4sLQL")

Change = Callable[[bytes], bytes]


def bundle_bytes(folder: Path) -> bytes:
    """A bundle as our writer makes one: the right names in their order, and no sense in them."""
    path = folder / "made.zip"
    with BundleWriter(path) as writer:
        for name in NEEDED[:-1]:
            writer.document(name, {})
        writer.close({"v": 1})
    return path.read_bytes()


def at_container(path: Path) -> tuple[str, str]:
    """How the first check of each verifier ended."""
    first, other = verify_bundle(path, None), second.verify(path, None)
    assert first.checks[0].name == other.checks[0][0] == "container"
    return str(first.checks[0].status), str(other.checks[0][1])


def end_of(content: bytes) -> tuple[int, int, int]:
    """Number of entries, size and place of the directory."""
    _, _, _, _, count, size, place, _ = END.unpack(content[-END.size :])
    return count, size, place


def with_end(content: bytes, *, count: int, size: int, place: int) -> bytes:
    """The same zip with another end record."""
    return content[: -END.size] + END.pack(b"PK\5\6", 0, 0, count, count, size, place, 0)


def large(content: bytes, *, count: int, size: int, place: int) -> bytes:
    """The same zip with 64-bit end records before its end record."""
    record = LARGE_END.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, place)
    pointer = LARGE_POINTER.pack(b"PK\6\7", 0, len(content) - END.size, 1)
    return content[: -END.size] + record + pointer + content[-END.size :]


def prefixed(content: bytes) -> bytes:
    """Something before the first member, with every place in the directory set right."""
    count, size, place = end_of(content)
    directory = bytearray(content[place : place + size])
    at = 0
    while at < len(directory):
        name, extra, comment = struct.unpack_from("<3H", directory, at + 28)
        (offset,) = struct.unpack_from("<L", directory, at + 42)
        struct.pack_into("<L", directory, at + 42, offset + 7)
        at += 46 + name + extra + comment
    body = b"MZ stub" + content[:place] + bytes(directory) + content[place + size :]
    return with_end(body, count=count, size=size, place=place + 7)


def between(content: bytes) -> bytes:
    """Something between the last member and the directory."""
    count, size, place = end_of(content)
    return with_end(content[:place] + b"hidden" + content[place:], count=count, size=size, place=place + 6)


def overlapping(content: bytes) -> bytes:
    """Two members whose entries name the same bytes."""
    _, size, place = end_of(content)
    directory = bytearray(content[place : place + size])
    first = 46 + sum(struct.unpack_from("<3H", directory, 28))
    struct.pack_into("<L", directory, first + 42, 0)
    return content[:place] + bytes(directory) + content[place + size :]


def swapped(content: bytes) -> bytes:
    """Entries of two neighbours that name each other's bytes."""
    _, size, place = end_of(content)
    directory = bytearray(content[place : place + size])
    first = 46 + sum(struct.unpack_from("<3H", directory, 28))
    second_offset = struct.unpack_from("<L", directory, first + 42)[0]
    struct.pack_into("<L", directory, first + 42, 0)
    struct.pack_into("<L", directory, 42, second_offset)
    return content[:place] + bytes(directory) + content[place + size :]


def swollen(content: bytes) -> bytes:
    """Members that claim to unpack to sixty gibibytes each."""
    _, size, place = end_of(content)
    directory = bytearray(content[place : place + size])
    at = 0
    while at < len(directory):
        struct.pack_into("<L", directory, at + 24, 0xFFFFFFF0)
        at += 46 + sum(struct.unpack_from("<3H", directory, at + 28))
    return content[:place] + bytes(directory) + content[place + size :]


CHANGES: dict[str, Change] = {
    "trailing bytes": lambda content: content + b"x",
    "a prefix whose places are set right": prefixed,
    "a prefix": lambda content: b"#!/bin/sh\n" + content,
    "a gap before the directory": between,
    "overlapping members": overlapping,
    "members in each other's place": swapped,
    "a member without its mark": lambda content: content.replace(b"PK\3\4", b"PK\3\5", 1),
    "huge declared sizes": swollen,
    "a comment length and no comment": lambda content: content[:-2] + b"\x05\x00",
    "an end within a comment": lambda content: content[:-2] + b"\x16\x00" + content[-END.size :],
    "a 64-bit end of another place": lambda content: large(content, count=13, size=100, place=0),
    "a 64-bit end of many entries": lambda content: large(content, count=2**40, size=100, place=0),
    "a 64-bit end of no end": lambda content: large(content, count=13, size=2**63, place=2**63),
    "no entries": lambda content: with_end(content[-END.size :], count=0, size=0, place=0),
    "an end and nothing else": lambda content: content[-END.size :],
    "half an end": lambda content: content[-END.size // 2 :],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_zip_of_another_outer_shape_is_refused(tmp_path: Path, change: Change) -> None:
    """No two readers can see different members, and no byte of the file is covered by nothing."""
    good = bundle_bytes(tmp_path)
    path = tmp_path / "changed.zip"
    path.write_bytes(change(good))
    assert path.read_bytes() != good
    assert at_container(path) == ("failed", "failed")


def test_our_own_and_a_true_64_bit_end_are_taken(tmp_path: Path) -> None:
    """What the writer makes passes the container, and so does the form it takes beyond four gibibytes."""
    good = bundle_bytes(tmp_path)
    count, size, place = end_of(good)
    path = tmp_path / "good.zip"
    for content in (good, large(good, count=count, size=size, place=place)):
        path.write_bytes(content)
        with zipfile.ZipFile(path) as there:
            assert there.namelist() == NEEDED
        assert at_container(path) == (Status.OK, "ok")


def test_a_directory_of_a_million_entries_is_not_read(tmp_path: Path) -> None:
    """Its length is looked at first: neither time nor memory goes into a list of members."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 16) + b""
    count = 1_000_000
    directory = entry * count
    path = tmp_path / "many.zip"
    path.write_bytes(directory + END.pack(b"PK\5\6", 0, 0, 0, 0, len(directory), 0, 0))
    del directory
    tracemalloc.start()
    began = time.monotonic()
    try:
        assert at_container(path) == ("failed", "failed")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 1


def test_a_zip_in_a_zip_is_never_opened(tmp_path: Path) -> None:
    """A member that is itself a bomb is bytes with a digest, and no more."""
    good = bundle_bytes(tmp_path)
    nested = tmp_path / "nested.zip"
    with zipfile.ZipFile(nested, "w", zipfile.ZIP_DEFLATED) as outer:
        for name in NEEDED:
            outer.writestr(name, good)
    report = verify_bundle(nested, None)
    assert [check.name for check in report.checks if check.status is Status.FAILED] == ["members"]
    assert second.verify(nested, None).failed == ["members"]
