"""Opens a bundle that a stranger made: fixed names, bounded sizes, one spelling; memory stays flat.

Every member is first hashed against the table; parts are only then read for what they say.
"""

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from pydantic import BaseModel, ValidationError

from activities.canonical import canonical
from activities.edges import strict_json
from activities.evidence.container import (
    require_end_to_end,
    require_plain,
    require_short_directory,
    unpacked,
)
from activities.evidence.layout import (
    BUNDLE,
    DOCUMENT_BYTES_MAX,
    KEPT_BYTES_MAX,
    LINE_BYTES_MAX,
    MEMBER_BYTES_MAX,
    MEMBERS,
    OPTIONAL,
    ROWS_MAX,
    STREAMED,
    UNPACK_FLOOR,
    UNPACK_RATIO_MAX,
)
from activities.evidence.report import CheckFailedError, require
from activities.evidence.rows import BundleTable
from activities.failures import InvalidRequestError

Row = TypeVar("Row", bound=BaseModel)


class BundleReader:
    """The members of one bundle; every fault is a CheckFailedError with a fixed sentence."""

    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        try:
            self._zip = _zip_in(self._file)
        except CheckFailedError:
            self._file.close()
            raise
        self._entries = {entry.filename: entry for entry in self._zip.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def has(self, name: str) -> bool:
        """Whether an optional member is there."""
        return name in self._entries

    def require_layout(self) -> str:
        """Fails unless the zip holds exactly the layout's names, each once, in order, within the limits."""
        names = [entry.filename for entry in self._zip.infolist()]
        require(all(name in MEMBERS for name in names), "the zip holds a member the format does not know")
        require(len(set(names)) == len(names), "the zip holds a member twice")
        missing = [name for name in MEMBERS if name not in names and name not in OPTIONAL]
        require(not missing, f"the zip lacks {', '.join(missing)}")
        require(names == [name for name in MEMBERS if name in names], "the members are not in their order")
        require(not self._zip.comment, "the zip carries a comment")
        for entry in self._zip.infolist():
            _require_bounded(entry)
        require_end_to_end(self._file, self._zip.infolist(), directory=self._zip.start_dir)
        return f"{len(names)} members with known names and bounded sizes"

    def require_table(self, table: BundleTable) -> str:
        """Fails unless the table lists every other member with its digest and size."""
        listed = [member.name for member in table.members]
        others = [name for name in self._entries if name != BUNDLE]
        require(listed == others, "the table does not list exactly the other members in their order")
        for member in table.members:
            digest, size = self._digest(member.name)
            fits = (digest, size) == (member.sha256, member.size)
            require(fits, f"{member.name} differs from its digest in the table")
        return f"{len(listed)} members have the digests and sizes of the table"

    def content(self, name: str) -> bytes:
        """A small member's bytes."""
        require(name in self._entries, f"{name} is not in the bundle")
        require(self._entries[name].file_size <= DOCUMENT_BYTES_MAX, f"{name} is larger than allowed")
        return b"".join(self._parts(name))

    def text(self, name: str) -> str:
        """A small member's text."""
        return _utf8(self.content(name), name)

    def document(self, name: str) -> Any:
        """A canonical JSON document."""
        content = self.content(name)
        return canonical_value(_utf8(content, name), what=name)

    def rows(self, name: str, shape: type[Row]) -> list[Row]:
        """All rows of a member that is kept in memory."""
        found = []
        for row in self.stream(name, shape):
            found.append(row)
            require(len(found) <= ROWS_MAX, f"{name} holds more rows than allowed")
        return found

    def stream(self, name: str, shape: type[Row]) -> Iterator[Row]:
        """The rows of a member, one by one; each line must be its own canonical JSON."""
        for line in self.lines(name):
            yield parsed(shape, canonical_value(_utf8(line, name), what=name), what=name)

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a member without their line feeds."""
        require(name in self._entries, f"{name} is not in the bundle")
        rest = b""
        for part in self._parts(name):
            *whole, rest = (rest + part).split(b"\n")
            require(len(rest) <= LINE_BYTES_MAX, f"{name} holds a line longer than allowed")
            yield from whole
        require(not rest, f"{name} does not end with a line feed")

    def stream_of(self, name: str) -> Any:
        """A member as a readable binary file."""
        return self._zip.open(name)

    def _digest(self, name: str) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        for part in self._parts(name):
            digest.update(part)
            size += len(part)
        return digest.hexdigest(), size

    def _parts(self, name: str) -> Iterator[bytes]:
        try:
            yield from unpacked(self._file, self._entries[name])
        except CheckFailedError:
            raise
        except Exception:  # noqa: BLE001 - zlib's and the file's own errors, on damaged bytes
            raise CheckFailedError(f"{name} cannot be unpacked") from None


def parsed(shape: type[Row], value: Any, *, what: str) -> Row:
    """A JSON value as a shape; what is wrong with it is not repeated."""
    try:
        return shape.model_validate(value)
    except ValidationError:
        raise CheckFailedError(f"{what} does not have the published shape") from None


def canonical_value(text: str, *, what: str) -> Any:
    """The value of a JSON text that is spelt canonically: nobody can read it in two ways."""
    try:
        value = strict_json(text, what=what, bytes_max=DOCUMENT_BYTES_MAX)
        spelt = canonical(value)
    except InvalidRequestError:
        raise CheckFailedError(f"{what} is not strict JSON") from None
    require(spelt == text.encode(), f"{what} is not canonical JSON")
    return value


def loose_json(text: str) -> dict[str, Any] | None:
    """The object in a text, or None: for texts that were only quoted as evidence."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _opened(path: Path) -> BinaryIO:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        raise CheckFailedError("the bundle cannot be read") from None
    require(regular, "the bundle is not a file")
    try:
        return path.open("rb")
    except OSError:
        raise CheckFailedError("the bundle cannot be read") from None


def _zip_in(file: BinaryIO) -> zipfile.ZipFile:
    try:
        require_short_directory(file)
        return zipfile.ZipFile(file)
    except CheckFailedError:
        raise
    except OSError:
        raise CheckFailedError("the bundle cannot be read") from None
    except Exception:  # noqa: BLE001 - zipfile raises a dozen types on damaged bytes
        raise CheckFailedError("the bundle is not a zip") from None


def _require_bounded(entry: zipfile.ZipInfo) -> None:
    require_plain(entry)
    most = MEMBER_BYTES_MAX if entry.filename in STREAMED else KEPT_BYTES_MAX
    require(entry.file_size <= most, f"{entry.filename} is larger than allowed")
    allowed = max(UNPACK_FLOOR, entry.compress_size * UNPACK_RATIO_MAX)
    require(entry.file_size <= allowed, f"{entry.filename} would unpack to more than its packed size allows")


def _utf8(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckFailedError(f"{name} is not UTF-8") from None
