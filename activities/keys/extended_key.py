"""BIP-32 extended keys over secp256k1: master key, children, and their text form.

Made for the few upper levels of a path, one object per step; long runs of addresses go through `child_keys`.
The representation of a private key never shows it.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Self

from activities.keys import base58
from activities.keys.derivation_path import HARDENED, DerivationPath
from activities.keys.errors import KeyMaterialError
from activities.keys.secp256k1 import (
    ORDER,
    KeySlot,
    add_to_point,
    open_slot,
    public_key,
    require_point,
    require_scalar,
)

SEED_BYTES_MIN = 16
SEED_BYTES_MAX = 64
"""Seed sizes of BIP-32, "Master key generation"."""

_VERSION_PUBLIC = bytes.fromhex("0488b21e")
_VERSION_PRIVATE = bytes.fromhex("0488ade4")
_SERIALIZED_BYTES = 78
_KEY_BYTES = 32
_DEPTH_MAX = 255
_NO_PARENT = bytes(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedKey:
    """A public key with its chain code and, unless it was taken away, its private key."""

    chain_code: bytes = field(repr=False)
    point: bytes = field(repr=False)
    secret: bytes | None = field(default=None, repr=False)
    depth: int = 0
    parent_fingerprint: bytes = field(default=_NO_PARENT, repr=False)
    child_number: int = 0

    @classmethod
    def from_seed(cls, seed: bytes | bytearray) -> Self:
        """Gives the master key of a seed of 16 to 64 bytes.

        Source: BIP-32, "Master key generation".
        """
        if not SEED_BYTES_MIN <= len(seed) <= SEED_BYTES_MAX:
            raise KeyMaterialError("a seed is not 16 to 64 bytes long")
        digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
        secret, chain_code = digest[:_KEY_BYTES], digest[_KEY_BYTES:]
        return cls(chain_code=chain_code, point=public_key(secret), secret=secret)

    @property
    def fingerprint(self) -> bytes:
        """The first four bytes of the key's identifier."""
        identifier = hashlib.new("ripemd160", hashlib.sha256(self.point).digest())
        return identifier.digest()[:4]

    def child(self, number: int) -> Self:
        """Gives one child; numbers from 2^31 are hardened and need the private key.

        Source: BIP-32, "Child key derivation (CKD) functions".
        """
        if not 0 <= number < 2 * HARDENED or self.depth >= _DEPTH_MAX:
            raise KeyMaterialError("a child number or a depth is out of range")
        tweak, chain_code = self._tweak(number)
        if self.secret is None:
            secret, point = None, add_to_point(self.point, tweak)
        else:
            secret = _sum_of_scalars(self.secret, tweak)
            point = public_key(secret)
        return type(self)(
            chain_code=chain_code,
            point=point,
            secret=secret,
            depth=self.depth + 1,
            parent_fingerprint=self.fingerprint,
            child_number=number,
        )

    def _tweak(self, number: int) -> tuple[bytes, bytes]:
        """Gives the 32 bytes added to the parent key, and the child's chain code."""
        if number < HARDENED:
            data = self.point
        elif self.secret is not None:
            data = b"\0" + self.secret
        else:
            raise KeyMaterialError("a hardened child needs the private key of its parent")
        digest = hmac.digest(self.chain_code, data + number.to_bytes(4, "big"), "sha512")
        tweak = digest[:_KEY_BYTES]
        if int.from_bytes(tweak, "big") >= ORDER:
            raise KeyMaterialError("a child index has no valid key")
        return tweak, digest[_KEY_BYTES:]

    def descend(self, path: DerivationPath) -> Self:
        """Gives the key at the end of a path that starts here."""
        key = self
        for step in path.steps:
            key = key.child(step)
        return key

    def slot(self) -> KeySlot:
        """Gives a slot, to be used in a `with` block, for signing with this key's children."""
        if self.secret is None:
            raise KeyMaterialError("a public key opens no slot")
        return open_slot(self.secret)

    def public(self) -> Self:
        """Gives the same key without its private part."""
        return type(self)(
            chain_code=self.chain_code,
            point=self.point,
            depth=self.depth,
            parent_fingerprint=self.parent_fingerprint,
            child_number=self.child_number,
        )

    def serialize(self) -> str:
        """Gives the key's text, `xprv...` or `xpub...`; both are secret for custodial accounts."""
        private = self.secret is not None
        return base58.encode_check(
            b"".join(
                (
                    _VERSION_PRIVATE if private else _VERSION_PUBLIC,
                    bytes([self.depth]),
                    self.parent_fingerprint,
                    self.child_number.to_bytes(4, "big"),
                    self.chain_code,
                    self.point if self.secret is None else b"\0" + self.secret,
                )
            )
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Gives the key a text writes; refuses all that BIP-32's test vector 5 lists.

        Source: BIP-32, "Serialization format".
        """
        raw = base58.decode_check(text)
        if len(raw) != _SERIALIZED_BYTES:
            raise KeyMaterialError("an extended key is not 78 bytes long")
        version, depth, parent, number = raw[:4], raw[4], raw[5:9], int.from_bytes(raw[9:13], "big")
        if depth == 0 and (parent != _NO_PARENT or number != 0):
            raise KeyMaterialError("an extended key of depth 0 names a parent or an index")
        point, secret = _key_material(version, raw[45:])
        return cls(
            chain_code=raw[13:45],
            point=point,
            secret=secret,
            depth=depth,
            parent_fingerprint=parent,
            child_number=number,
        )


def _key_material(version: bytes, material: bytes) -> tuple[bytes, bytes | None]:
    """Gives point and private key of the last 33 bytes of a serialized key."""
    if version == _VERSION_PUBLIC:
        require_point(material)
        return material, None
    if version != _VERSION_PRIVATE:
        raise KeyMaterialError("an extended key has an unknown version")
    if material[:1] != b"\0":
        raise KeyMaterialError("an extended private key has a wrong prefix")
    return public_key(material[1:]), material[1:]


def _sum_of_scalars(secret: bytes, tweak: bytes) -> bytes:
    total = (require_scalar(secret) + int.from_bytes(tweak, "big")) % ORDER
    if total == 0:
        raise KeyMaterialError("a child index has no valid key")
    return total.to_bytes(_KEY_BYTES, "big")
