"""Opens the source file that a request names: a plain file directly inside the inbox.

No other local path is readable: no folder, no link, no device. Problems name the field, never the path.
"""

import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from activities.failures import InvalidRequestError, ServiceUnavailableError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

SOURCE_BYTES_MAX: Final = 8 * 1024**3
"""Bytes: ten million rows of some 800 bytes, more than any column limit lets a usual row have."""

_INBOX: Final = "inbox://"
_NAME_BYTES_MAX: Final = 255
BLOCK: Final = 1024 * 1024
"""Bytes read at once: large enough that hashing and system calls don't show in the rate."""


class OpenedSource:
    """A source being read: `offset` counts the bytes taken so far, read-ahead left out."""

    def __init__(self, stream: "io.BufferedReader[Any]", *, bytes_max: int = SOURCE_BYTES_MAX) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._digest = hashlib.sha256()
        self.offset = 0

    def peek(self, count: int) -> bytes:
        """Gives at most `count` of the next bytes without taking them."""
        return self._stream.peek(count)[:count]

    def readline(self, count: int) -> bytes:
        """Takes a line with its end, or `count` bytes of it; nothing at the end."""
        line = self._stream.readline(count)
        self._take(line)
        return line

    def read(self, count: int) -> bytes:
        """Takes at most `count` bytes, and at most one block; nothing at the end."""
        block = self._stream.read(min(count, BLOCK))
        self._take(block)
        return block

    def _take(self, content: bytes) -> None:
        self._digest.update(content)
        self.offset += len(content)
        # The size was looked at when the file was opened; it may have grown since, and go on growing.
        if self.offset > self._bytes_max:
            raise _too_large(self._bytes_max)

    def sha256_so_far(self) -> str:
        """The SHA-256 (hex) of the bytes taken so far."""
        return self._digest.hexdigest()

    def sha256_of_all(self) -> str:
        """Reads whatever is left and gives the file's SHA-256 (hex)."""
        while self.read(BLOCK):
            pass
        return self.sha256_so_far()


class Sources(Protocol):
    """Where sources are opened; each opening starts at the first byte."""

    def open(self, uri: str) -> "AbstractContextManager[OpenedSource]":
        """Opens a source.

        Raises: InvalidRequestError naming `source.uri`; ServiceUnavailableError.
        """


class Inbox:
    """The one folder that `inbox://name` reads from."""

    def __init__(self, folder: Path, *, bytes_max: int = SOURCE_BYTES_MAX) -> None:
        self._folder = folder
        self._bytes_max = bytes_max

    @contextmanager
    def open(self, uri: str) -> Iterator[OpenedSource]:
        """Opens the plain file of that name."""
        handle = self._open_handle(_file_name(uri))
        try:
            self._require_plain(os.fstat(handle))
        except InvalidRequestError:
            os.close(handle)
            raise
        stream = io.BufferedReader(io.FileIO(handle, "rb"), BLOCK)
        with stream:
            try:
                yield OpenedSource(stream, bytes_max=self._bytes_max)
            except OSError:
                raise ServiceUnavailableError("inbox") from None

    def _open_handle(self, name: str) -> int:
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            raise ServiceUnavailableError("inbox") from None
        try:
            # Relative to the open folder and without following a link, no name can lead elsewhere;
            # without blocking, a pipe cannot hold the worker.
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            problem = "no file of that name is in the inbox"
        except OSError:
            problem = "the file cannot be read"
        finally:
            os.close(folder)
        raise InvalidRequestError(f"source.uri: {problem}")

    def _require_plain(self, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode):
            raise InvalidRequestError("source.uri: not a plain file")
        require_size(facts.st_size, bytes_max=self._bytes_max)


class Places:
    """The inbox, and the buckets where the deployment reads from some."""

    def __init__(self, inbox: Inbox, buckets: Sources | None) -> None:
        self._inbox = inbox
        self._buckets = buckets

    def open(self, uri: str) -> "AbstractContextManager[OpenedSource]":
        """Opens a source where its scheme says; without buckets, the inbox says so."""
        place = self._inbox if self._buckets is None or uri.startswith(_INBOX) else self._buckets
        return place.open(uri)


def require_size(size: int, *, bytes_max: int) -> None:
    """Refuses what is empty and what is larger than any source may be.

    Raises: InvalidRequestError.
    """
    if size == 0:
        raise InvalidRequestError("source.uri: the file is empty")
    if size > bytes_max:
        raise _too_large(bytes_max)


def _too_large(bytes_max: int) -> InvalidRequestError:
    return InvalidRequestError(f"source.uri: the file is larger than {bytes_max} bytes")


def _file_name(uri: str) -> str:
    """The name in the inbox; a path into or out of it is refused whatever it leads to."""
    if not uri.startswith(_INBOX):
        raise InvalidRequestError("source.uri: s3 is not configured")
    name = uri.removeprefix(_INBOX)
    if name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise InvalidRequestError("source.uri: names a place outside the inbox or a hidden file")
    if not 0 < len(name.encode()) <= _NAME_BYTES_MAX:
        raise InvalidRequestError("source.uri: the name has the wrong length")
    return name
