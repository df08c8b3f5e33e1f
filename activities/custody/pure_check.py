"""Third opinion on single addresses: BIP-32 and EIP-55 written out over a curve in pure Python.

Slow and plain on purpose. It shares no code with either derivation path: no libsecp256k1, no key library, no
checksum library.
"""

import hmac
from typing import Final

from Crypto.Hash import keccak
from ecdsa import SECP256k1

_HARDENED: Final = 1 << 31
_ORDER: Final = int(SECP256k1.order)
_CHECKSUM_FROM: Final = 8
"""Hash digits from this value on make a letter upper case (EIP-55)."""


class PureBranch:
    """The EVM addresses m/44'/60'/account'/0/index of one seed."""

    def __init__(self, seed: bytes, *, account: int) -> None:
        digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
        self._secret, self._chain_code = int.from_bytes(digest[:32], "big"), digest[32:]
        for step in (_HARDENED + 44, _HARDENED + 60, _HARDENED + account, 0):
            self._secret, self._chain_code = self._child(step)
        self._point = _compressed(self._secret)

    def __repr__(self) -> str:
        return "PureBranch()"

    def address(self, index: int) -> str:
        """Gives the checksummed address of one index."""
        digest = self._digest(self._point, index)
        x, y = _affine((self._secret + int.from_bytes(digest[:32], "big")) % _ORDER)
        return _checksummed(_keccak(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:].hex())

    def _child(self, step: int) -> tuple[int, bytes]:
        hardened = step >= _HARDENED
        data = b"\0" + self._secret.to_bytes(32, "big") if hardened else _compressed(self._secret)
        digest = self._digest(data, step)
        return (self._secret + int.from_bytes(digest[:32], "big")) % _ORDER, digest[32:]

    def _digest(self, data: bytes, step: int) -> bytes:
        return hmac.digest(self._chain_code, data + step.to_bytes(4, "big"), "sha512")


def _affine(scalar: int) -> tuple[int, int]:
    point = SECP256k1.generator * scalar
    return int(point.x()), int(point.y())


def _compressed(scalar: int) -> bytes:
    x, y = _affine(scalar)
    return bytes([2 + y % 2]) + x.to_bytes(32, "big")


def _checksummed(digits: str) -> str:
    """Writes an address's hexadecimal digits with their EIP-55 checksum."""
    marks = _keccak(digits.encode("ascii")).hex()
    pairs = zip(digits, marks, strict=False)
    return "0x" + "".join(d.upper() if int(mark, 16) >= _CHECKSUM_FROM else d for d, mark in pairs)


def _keccak(content: bytes) -> bytes:
    return bytes(keccak.new(digest_bits=256, data=content).digest())
