"""The bytes of SSH signatures: armour, envelope, and the data that is signed.

Stricter than the format asks: one spelling of everything, nothing after the end, SHA-2 only.
Source: PROTOCOL.sshsig of OpenSSH; RFC 4251 section 5 (data types).
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from activities.trust.reasons import Reason, SignatureRefusedError

ARMOURED_CHARS_MAX: Final = 16_384
"""Characters; the longest accepted signature (RSA with 8,192 bits) takes under 4,000."""

_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_HASHES: Final = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


class Reader:
    """Reads SSH data types from bytes; whatever does not fit is a malformed signature."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def take(self, size: int) -> bytes:
        """The next bytes, exactly as many as asked for."""
        if size > len(self._rest):
            raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def uint32(self) -> int:
        """A number in four bytes, big-endian."""
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        """Bytes after their length."""
        return self.take(self.uint32())

    def positive(self) -> int:
        """A positive whole number in its shortest form (mpint)."""
        raw = self.string()
        shortest = bool(raw) and raw[0] < 0x80 and (raw[0] > 0 or raw[1:2] >= b"\x80")  # noqa: PLR2004 - sign bit
        if not shortest:
            raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE)
        return int.from_bytes(raw, "big")

    def end(self) -> None:
        """Nothing may follow."""
        if self._rest:
            raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What a signature file says: the key's blob, the purpose, the hash, and the signature's blob."""

    public_key: bytes
    namespace: bytes
    hash_name: bytes
    signature: bytes

    def signed_data(self, content: bytes) -> bytes:
        """The bytes that the key signed for a content."""
        hashed = _HASHES[self.hash_name](content).digest()
        parts = (self.namespace, b"", self.hash_name, hashed)
        return _MAGIC + b"".join(ssh_string(part) for part in parts)


def ssh_string(content: bytes) -> bytes:
    """Bytes behind their length in four bytes."""
    return len(content).to_bytes(4, "big") + content


def read_envelope(armoured: str) -> Envelope:
    """The envelope inside an armoured signature.

    Raises:
        SignatureRefusedError: the text is not exactly one well-formed signature.
    """
    reader = Reader(_without_armour(armoured))
    if reader.take(len(_MAGIC)) != _MAGIC or reader.uint32() != _VERSION:
        raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE)
    public_key, namespace, reserved = reader.string(), reader.string(), reader.string()
    hash_name, signature = reader.string(), reader.string()
    reader.end()
    if reserved or hash_name not in _HASHES:
        raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE)
    return Envelope(public_key=public_key, namespace=namespace, hash_name=hash_name, signature=signature)


def _without_armour(armoured: str) -> bytes:
    lines = [line.strip() for line in armoured[: ARMOURED_CHARS_MAX + 1].strip().splitlines()]
    framed = len(lines) > 2 and lines[0] == _BEGIN and lines[-1] == _END  # noqa: PLR2004 - the two frame lines
    if len(armoured) > ARMOURED_CHARS_MAX or not framed:
        raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE)
    try:
        return base64.b64decode("".join(lines[1:-1]).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise SignatureRefusedError(Reason.MALFORMED_SIGNATURE) from None
