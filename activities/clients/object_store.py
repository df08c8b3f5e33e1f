"""Documents by key: plans, policies, evidence, rejects, bundles.

A local folder today; another scheme is one more class and one more line in `object_store`. Documents are
written whole or not at all. Never follows a key or link out of its root.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol
from urllib.parse import unquote, urlsplit

from activities.contracts.shapes import Document
from activities.failures import IntegrityError, InvalidRequestError, ServiceUnavailableError

_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*", re.ASCII)
_KEY_CHARS_MAX: Final = 512
"""Well under what file systems and S3 (1,024 bytes) take."""


class ObjectStore(Protocol):
    """Where documents are put and found again."""

    def put(self, key: str, content: bytes | Iterable[bytes], *, rows: int = 0) -> Document:
        """Stores the content under the key, replacing it as a whole.

        Raises: ServiceUnavailableError. Retry: the same content gives the same document.
        """

    def get(self, where: str) -> bytes:
        """Gives a document's bytes by key or URI.

        Raises: IntegrityError when there is none, ServiceUnavailableError.
        """

    def open(self, where: str) -> AbstractContextManager[BinaryIO]:
        """Opens a document for reading as a stream; errors as of `get`."""

    def uri(self, key: str) -> str:
        """The URI a document of that key has."""


class FolderStore:
    """A folder as object store; URIs are `file://` paths that a reader on the same host can open."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def uri(self, key: str) -> str:
        """The `file://` URI of a key."""
        return self._path(key).as_uri()

    def put(self, key: str, content: bytes | Iterable[bytes], *, rows: int = 0) -> Document:
        """Writes beside the place and renames, so that a reader sees the old or the new document."""
        path = self._path(key)
        self._require_inside(path)
        with _as_unavailable():
            path.parent.mkdir(parents=True, exist_ok=True)
            digest, size = _write_whole(path, content)
        return Document(uri=path.as_uri(), sha256=digest, size=size, rows=rows)

    def get(self, where: str) -> bytes:
        """Reads a whole document."""
        with self.open(where) as stream, _as_unavailable():
            return stream.read()

    @contextmanager
    def open(self, where: str) -> Iterator[BinaryIO]:
        """Opens a document by key or URI for reading as a stream."""
        path = self._path(self._key(where))
        self._require_inside(path)
        try:
            stream = path.open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise IntegrityError("a document is missing from the object store") from None
        except OSError:
            raise ServiceUnavailableError("object store") from None
        with stream:
            yield stream

    def _key(self, where: str) -> str:
        if "://" not in where:
            return where
        parts = urlsplit(where)
        path = Path(unquote(parts.path))
        if parts.scheme != "file" or parts.netloc or not path.is_relative_to(self._root):
            raise InvalidRequestError("the document is not of this object store")
        return path.relative_to(self._root).as_posix()

    def _path(self, key: str) -> Path:
        if len(key) > _KEY_CHARS_MAX or not _KEY.fullmatch(key):
            raise InvalidRequestError("the object key is not valid")
        return self._root / key

    def _require_inside(self, path: Path) -> None:
        """A key cannot name `..`, but a link placed in the folder could still lead out."""
        if not path.resolve().is_relative_to(self._root):
            raise IntegrityError("an object key leads out of the object store")


def object_store(uri: str) -> ObjectStore:
    """The object store of a URI; `file:///path` is a folder.

    Raises: InvalidRequestError for another scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise InvalidRequestError("the object store must be a file:// folder")
    return FolderStore(Path(unquote(parts.path)))


@contextmanager
def _as_unavailable() -> Iterator[None]:
    """Turns what the operating system says into ours, without the path it names."""
    try:
        yield
    except OSError:
        raise ServiceUnavailableError("object store") from None


def _write_whole(path: Path, content: bytes | Iterable[bytes]) -> tuple[str, int]:
    """Writes, syncs and renames; gives the SHA-256 (hex) and the size in bytes."""
    parts = (content,) if isinstance(content, bytes) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".put-")
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(handle, "wb") as stream:
            for part in parts:
                digest.update(part)
                size += stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
