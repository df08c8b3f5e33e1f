"""Files that change under the reader's hands, or are no files at all: nothing else is ever read."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.failures import InvalidRequestError, ServiceUnavailableError
from activities.intake.source import Inbox, OpenedSource
from tests.hostile.strings import LONE, hostile_strings
from tests.unit.intake.room import Room, csv_text, people

SECRET = "not-for-you"


def _refusal(room: Room, uri: str) -> str:
    with pytest.raises(InvalidRequestError) as raised, room.inbox.open(uri):
        pass
    return raised.value.message


def test_no_name_of_a_stranger_opens_anything(room: Room) -> None:
    """Every string as a name ends as a problem of the field, on one line, without the name."""
    (room.folder / "secret").write_text(SECRET)
    for text in (
        *hostile_strings(),
        *LONE,
        "%2e%2e/secret",
        "..%2fsecret",
        "./people.csv",
        "people.csv/",
        "x" * 256,
    ):
        for uri in (f"inbox://{text}", f"inbox:///{text}", text):
            said = _refusal(room, uri)
            assert said.startswith("source.uri: "), ascii(text)
            assert said.isascii()
            assert said.isprintable()


@pytest.mark.parametrize(
    "uri",
    ["file:///etc/passwd", "FILE:///etc/passwd", "inbox:people.csv", "inbox:/people.csv", "INBOX://people.csv",
     "inbox://localhost/people.csv", "inbox://./people.csv", "s3://bucket/people.csv", "s3://other-bucket/key",
     "http://169.254.169.254/latest", "//people.csv", "people.csv", "/etc/passwd", " inbox://people.csv"],
)  # fmt: skip
def test_no_other_place_is_readable(room: Room, uri: str) -> None:
    """One spelling leads to one folder; other schemes, hosts and buckets lead nowhere."""
    room.put(csv_text(*people(1)))
    assert _refusal(room, uri).startswith("source.uri: ")


def test_a_link_put_in_place_of_a_file_after_it_was_hashed_is_not_followed(room: Room) -> None:
    """Between two openings a file may become a link: each opening refuses links anew."""
    uri = room.put(csv_text(*people(2)))
    with room.inbox.open(uri) as source:
        source.sha256_of_all()
    (room.folder / "secret").write_text(SECRET)
    path = room.folder / "inbox" / "people.csv"
    path.unlink()
    path.symlink_to(room.folder / "secret")
    assert _refusal(room, uri) == "source.uri: the file cannot be read"


def test_an_inbox_that_became_a_link_leads_nowhere_new(room: Room) -> None:
    """A file that is being read stays the one that was opened, whatever its name means by then."""
    first, second = csv_text(*people(2)), csv_text(*people(2, first=50))
    with room.inbox.open(room.put(first)) as source:
        assert source.readline(10) == first.encode()[:10]
        path = room.folder / "inbox" / "people.csv"
        path.replace(room.folder / "inbox" / "moved")
        path.write_text(second)
        assert source.read(1_000) == first.encode()[10:]
        digest = source.sha256_so_far()
    with room.inbox.open("inbox://moved") as source:
        assert source.sha256_of_all() == digest


def test_sockets_devices_and_folders_are_no_sources(room: Room) -> None:
    """What is no plain file is refused at once, and nothing waits for it."""
    inbox = room.folder / "inbox"
    inbox.mkdir(exist_ok=True)
    (inbox / "folder").mkdir()
    os.mkfifo(inbox / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(inbox)
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        for name in ("folder", "pipe", "socket"):
            assert _refusal(room, f"inbox://{name}").startswith("source.uri: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_no_source(room: Room) -> None:
    """A device has no end, and reading one may do something."""
    inbox = room.folder / "inbox"
    inbox.mkdir(exist_ok=True)
    try:
        os.mknod(inbox / "zero", 0o20600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this machine makes no devices")
    assert _refusal(room, "inbox://zero").startswith("source.uri: ")


def test_a_file_that_grows_while_it_is_read_is_read_to_a_bound(room: Room) -> None:
    """A file that somebody writes to for ever keeps no worker for ever."""
    uri = room.put(b"x" * 100 + b"\n")
    path = room.folder / "inbox" / "people.csv"
    inbox = Inbox(room.folder / "inbox", bytes_max=200)

    def follow(read: Callable[[OpenedSource], bytes]) -> None:
        with inbox.open(uri) as source, path.open("ab", buffering=0) as growing:
            while read(source):
                growing.write(b"x" * 100 + b"\n")

    for read in (lambda source: source.read(50), lambda source: source.readline(1_000)):
        path.write_bytes(b"x" * 100 + b"\n")
        with pytest.raises(InvalidRequestError, match="larger than 200 bytes"):
            follow(read)
        assert path.stat().st_size < 2_000


def test_an_inbox_that_is_a_file_is_an_outage(room: Room) -> None:
    """What is wrong with the folder is not the request's fault."""
    (room.folder / "inbox").rmdir()
    (room.folder / "inbox").write_text("x")
    with pytest.raises(ServiceUnavailableError, match="inbox"), room.inbox.open("inbox://people.csv"):
        pass
