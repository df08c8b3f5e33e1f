import hashlib
import os
from pathlib import Path

import pytest

from activities.failures import InvalidRequestError, ServiceUnavailableError
from activities.intake.source import Inbox
from tests.unit.intake.room import Room


def _refusal(inbox: Inbox, uri: str) -> str:
    with pytest.raises(InvalidRequestError) as raised, inbox.open(uri):
        pass
    return raised.value.message


def test_a_file_in_the_inbox_is_read_with_its_digest(room: Room) -> None:
    """A source gives the file's bytes, and the digest of all of them however little was read."""
    content = b"first\nsecond\n" * 200_000
    with room.inbox.open(room.put(content)) as source:
        assert source.readline(100) == b"first\n"
        assert source.sha256_so_far() == hashlib.sha256(b"first\n").hexdigest()
        assert source.offset == 6
        assert source.sha256_of_all() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "..",
        ".",
        "/etc/passwd",
        "a/b",
        "sub/../../secret",
        ".hidden",
        "a\\b",
        "a\x00b",
        "a\nb",
        "\ud800",
    ],
)
def test_a_name_that_leads_out_of_the_inbox_is_refused(room: Room, name: str) -> None:
    """No path is readable but a plain name directly in the inbox."""
    (room.folder / "secret").write_text("not for you")
    reason = "source.uri: names a place outside the inbox or a hidden file"
    assert _refusal(room.inbox, f"inbox://{name}") == reason


@pytest.mark.parametrize("name", ["%2e%2e%2fsecret", "..%2fsecret"])
def test_an_escaped_path_is_only_a_name(room: Room, name: str) -> None:
    """Names are taken as they are: escapes lead nowhere."""
    (room.folder / "secret").write_text("not for you")
    assert _refusal(room.inbox, f"inbox://{name}").startswith("source.uri: ")


def test_a_link_out_of_the_inbox_is_not_followed(room: Room) -> None:
    """A symbolic link is refused wherever it leads."""
    (room.folder / "secret").write_text("not for you")
    (room.folder / "inbox" / "link.csv").symlink_to(room.folder / "secret")
    assert _refusal(room.inbox, "inbox://link.csv") == "source.uri: the file cannot be read"


def test_a_folder_or_pipe_is_not_read(room: Room) -> None:
    """Only a plain file is a source; a pipe cannot hold the worker."""
    (room.folder / "inbox" / "folder").mkdir()
    os.mkfifo(room.folder / "inbox" / "pipe")
    assert _refusal(room.inbox, "inbox://folder") == "source.uri: not a plain file"
    assert _refusal(room.inbox, "inbox://pipe") == "source.uri: not a plain file"


def test_a_missing_empty_or_oversized_file_is_refused(room: Room) -> None:
    """Each refusal names the field and the reason, never the name."""
    missing = _refusal(room.inbox, "inbox://jane-doe.csv")
    assert missing == "source.uri: no file of that name is in the inbox"
    assert _refusal(room.inbox, room.put(b"")) == "source.uri: the file is empty"
    small = Inbox(room.folder / "inbox", bytes_max=3)
    assert _refusal(small, room.put(b"four")) == "source.uri: the file is larger than 3 bytes"


def test_a_name_too_long_for_any_file_is_refused(room: Room) -> None:
    """Over-long names end as a problem of the field."""
    assert _refusal(room.inbox, f"inbox://{'a' * 256}") == "source.uri: the name has the wrong length"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(room: Room) -> None:
    """A file the worker may not read is the request's problem, not a crash."""
    uri = room.put(b"content")
    (room.folder / "inbox" / "people.csv").chmod(0)
    assert _refusal(room.inbox, uri) == "source.uri: the file cannot be read"


def test_a_bucket_is_refused_while_none_is_configured(room: Room) -> None:
    """s3 sources say clearly that they are not offered here."""
    assert _refusal(room.inbox, "s3://bucket/key") == "source.uri: s3 is not configured"


def test_a_missing_inbox_folder_is_an_outage(tmp_path: Path) -> None:
    """Without its folder the inbox is away, which a retry can mend."""
    with pytest.raises(ServiceUnavailableError, match="inbox"), Inbox(tmp_path / "gone").open("inbox://a"):
        pass
