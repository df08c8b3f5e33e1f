"""The restricted part of a bundle: rows, salts, verdict details, readable by the auditors' keys alone.

An age file whose content is gzip of JSON lines, one per subject in order of ordinal. Plain text exists in
memory only, a few lines at a time; it is never written to a disk.
"""

import base64
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import pyrage
from pydantic import BaseModel, ConfigDict, StringConstraints

from activities.canonical import canonical
from activities.evidence.layout import LINE_BYTES_MAX
from activities.evidence.reader import canonical_value, parsed
from activities.evidence.report import CheckFailedError, require
from activities.evidence.rows import Digest, Ordinal
from activities.failures import InvalidRequestError
from activities.trust.trust_file import Trust

AUDITOR_ROLE: Final = "auditor"
"""Persons with this role in the trust file can open restricted parts."""

_AGE_KEY_TYPES: Final = frozenset({"ssh-ed25519", "ssh-rsa"})
"""The SSH keys that age encrypts to; FIDO and ECDSA keys cannot decrypt."""

_PART_BYTES: Final = 2**16


class RestrictedRow(BaseModel):
    """One subject: its row and salt (null once erased), leaves, score, and what screening compared.

    A clear verdict has no detail: there was nothing to compare.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    ordinal: Ordinal
    row: dict[str, Any] | None
    salt: str | None
    leaf: Digest
    verdict: str | None
    score: Annotated[str, StringConstraints(pattern=r"^\d\.\d\d$")] | None
    verdict_leaf: Digest | None
    hold_digest: Digest | None
    verdict_detail: dict[str, Any] | None
    withholding_detail: dict[str, Any] | None


def recipients(trust: Trust, roles: Iterable[str], *, tenant: str) -> list[Any]:
    """The keys, as far as age can use them, of everybody with one of the roles who serves the tenant."""
    wanted = frozenset(roles)
    lines = (
        f"{key.key_type} {base64.b64encode(key.public_key).decode()}"
        for person in trust.persons.values()
        if person.revoked_at is None and person.serves_tenant(tenant) and wanted & person.roles
        for key in person.keys
        if key.key_type in _AGE_KEY_TYPES
    )
    return [pyrage.ssh.Recipient.from_str(line) for line in lines]


def load_identity(path: Path) -> Any:
    """An auditor's key for `verify`: an SSH private key without passphrase, or an age identity file.

    Raises: InvalidRequestError when it is neither.
    """
    try:
        content = path.read_bytes()
        if b"AGE-SECRET-KEY-" in content:
            lines = content.decode("ascii").split()
            return pyrage.x25519.Identity.from_str(
                next(line for line in lines if line.startswith("AGE-SECRET-KEY-"))
            )
        return pyrage.ssh.Identity.from_buffer(content)
    except (OSError, ValueError, pyrage.IdentityError):
        pass
    raise InvalidRequestError("the identity is neither an SSH private key without passphrase nor an age key")


def encrypted(lines: Iterable[bytes], keys: Sequence[Any], target: Any) -> None:
    """Writes lines as an age file to a stream, in one pass."""
    encrypted_parts(_packed(lines), keys, target)


def encrypted_parts(parts: Iterator[bytes], keys: Sequence[Any], target: Any) -> None:
    """Writes parts of bytes as an age file to a stream, in one pass."""
    pyrage.encrypt_io(PartsReader(parts), target, list(keys))


def read_rows(source: Any, identity: Any, take: Callable[[RestrictedRow], None]) -> None:
    """Decrypts an age file and hands each row on.

    Raises: CheckFailedError when it does not open or is not of the published form.
    """
    sink = _RowSink(take)
    try:
        pyrage.decrypt_io(source, sink, [identity])
    except (pyrage.DecryptError, OSError):
        raise CheckFailedError("restricted.age does not open with this identity") from None
    sink.end()


class PartsReader:
    """Parts of bytes as a readable stream."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most as many as asked for; none at the end."""
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return b""
            self._rest = part
        taken, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return taken


def _packed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as a gzip stream without a name or a time in it."""
    packer = zlib.compressobj(level=6, wbits=16 + zlib.MAX_WBITS)
    for line in lines:
        yield packer.compress(line + b"\n")
    yield packer.flush()


class _RowSink:
    """A writable stream that unpacks what it is given and parses it line by line."""

    def __init__(self, take: Callable[[RestrictedRow], None]) -> None:
        self._take = take
        self._unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._rest = b""

    def write(self, content: bytes) -> int:
        """Takes the next part; unpacked bounded part by bounded part."""
        waiting = bytes(content)
        while waiting:
            self._split(self._unpacked(waiting))
            waiting = self._unpacker.unconsumed_tail
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def end(self) -> None:
        """Fails unless the stream is complete."""
        require(self._unpacker.eof and not self._rest, "restricted.age is cut off")

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            return self._unpacker.decompress(packed, _PART_BYTES)
        except zlib.error:
            raise CheckFailedError("restricted.age does not hold a gzip stream") from None

    def _split(self, part: bytes) -> None:
        require(not self._unpacker.unused_data, "restricted.age holds more than one stream")
        *lines, self._rest = (self._rest + part).split(b"\n")
        require(len(self._rest) <= LINE_BYTES_MAX, "restricted.age holds a line longer than allowed")
        for line in lines:
            self._take(_row(line))


def restricted_line(row: dict[str, Any]) -> bytes:
    """One subject as a line."""
    return canonical(row)


def _row(line: bytes) -> RestrictedRow:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckFailedError("restricted.age is not UTF-8") from None
    value = canonical_value(text, what="restricted.age")
    return parsed(RestrictedRow, value, what="restricted.age")
