import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.clients.object_store import FolderStore, object_store
from activities.failures import IntegrityError, InvalidRequestError, ServiceUnavailableError


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store whose folder does not exist yet."""
    return FolderStore(tmp_path / "objects")


def test_a_document_is_found_again_by_key_and_by_uri(store: FolderStore) -> None:
    """What is put is got, with its true size and digest."""
    content = b"plan" * 1000
    document = store.put("batches/b-1/plan.json", content, rows=3)
    assert (document.size, document.rows) == (4000, 3)
    assert document.sha256 == hashlib.sha256(content).hexdigest()
    assert document.uri == store.uri("batches/b-1/plan.json")
    assert store.get(document.uri) == store.get("batches/b-1/plan.json") == content
    assert Path(document.uri.removeprefix("file://")).read_bytes() == content


def test_a_stream_is_stored_as_it_comes(store: FolderStore) -> None:
    """A document may come in parts and be read in parts."""
    document = store.put("lists/l/d/archive", (bytes([number]) * 10 for number in range(5)))
    with store.open(document.uri) as stream:
        assert stream.read(15) == b"\x00" * 10 + b"\x01" * 5
    assert document.size == 50


def test_a_folder_with_spaces_has_uris_that_work(tmp_path: Path) -> None:
    """URIs are escaped and understood again."""
    store = FolderStore(tmp_path / "my objects #1")
    document = store.put("a", b"x")
    assert " " not in document.uri
    assert store.get(document.uri) == b"x"
    assert object_store((tmp_path / "my objects #1").as_uri()).get("a") == b"x"


def test_putting_again_replaces_the_whole_document(store: FolderStore) -> None:
    """The later content stands alone."""
    store.put("a/b", b"a long first content")
    store.put("a/b", b"second")
    assert store.get("a/b") == b"second"


def test_a_document_that_breaks_off_leaves_the_old_one(store: FolderStore, tmp_path: Path) -> None:
    """A half-written document is never seen and leaves nothing behind."""

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError

    store.put("a/b", b"old")
    with pytest.raises(ServiceUnavailableError, match="object store"):
        store.put("a/b", broken())
    assert store.get("a/b") == b"old"
    assert [path.name for path in (tmp_path / "objects" / "a").iterdir()] == ["b"]


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../out", "a/../../out", "a//b", "a/", ".hidden", "a/.put-x", "ä", "a\nb", "a" * 513],
)
def test_a_key_that_could_lead_out_is_refused(store: FolderStore, key: str) -> None:
    """Keys are plain names joined by slashes and nothing else."""
    for use in (lambda: store.put(key, b"x"), lambda: store.get(key), lambda: store.uri(key)):
        with pytest.raises(InvalidRequestError, match="the object key is not valid"):
            use()


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "s3://bucket/key", "file://host/objects/a"])
def test_a_uri_of_another_place_is_refused(store: FolderStore, uri: str) -> None:
    """Only this store's own URIs are read."""
    with pytest.raises(InvalidRequestError, match="not of this object store"):
        store.get(uri)


def test_a_uri_that_climbs_out_is_refused(store: FolderStore) -> None:
    """A URI is taken apart into a key, and keys cannot climb."""
    with pytest.raises(InvalidRequestError):
        store.get(store.uri("a") + "/../../out")


def test_a_link_inside_the_folder_leads_nowhere(store: FolderStore, tmp_path: Path) -> None:
    """A link that somebody placed in the folder is neither read nor written through."""
    (tmp_path / "objects").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_bytes(b"secret")
    (tmp_path / "objects" / "link").symlink_to(tmp_path / "out")
    for use in (lambda: store.get("link/secret"), lambda: store.put("link/new", b"x")):
        with pytest.raises(IntegrityError, match="leads out"):
            use()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["secret"]


def test_a_missing_document_is_told_from_an_outage(store: FolderStore, tmp_path: Path) -> None:
    """A document that is gone is not waited for; a folder that cannot be written is."""
    with pytest.raises(IntegrityError, match="a document is missing"):
        store.get("batches/none")
    (tmp_path / "objects").write_text("no folder")
    with pytest.raises(ServiceUnavailableError, match="object store"):
        store.put("a/b", b"x")


@pytest.mark.parametrize("uri", ["s3://bucket", "/plain/path", "file:relative", "http://host/x"])
def test_another_scheme_is_refused_when_the_store_is_chosen(uri: str) -> None:
    """Only folders are offered today."""
    with pytest.raises(InvalidRequestError, match=r"the object store must be a file:// folder"):
        object_store(uri)
