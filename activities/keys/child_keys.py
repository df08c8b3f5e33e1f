"""Runs of non-hardened children of one secp256k1 key, as fast as the curve library allows.

All children of a parent share the first half of both hashes of their HMAC, so these are kept half done and
copied. A child's private key stays in its slot: it is there for one signature and gone with the next child.
"""

import hashlib
from collections.abc import Iterable, Iterator

from activities.keys.derivation_path import HARDENED
from activities.keys.errors import KeyMaterialError
from activities.keys.extended_key import ExtendedKey
from activities.keys.secp256k1 import KeySlot

_BLOCK_BYTES = 128
"""Block of SHA-512, to which HMAC pads its key (RFC 2104)."""
_INNER_PAD = bytes(value ^ 0x36 for value in range(256))
_OUTER_PAD = bytes(value ^ 0x5C for value in range(256))
_TWEAK_BYTES = 32


def child_points(slot: KeySlot, parent: ExtendedKey, indexes: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """Gives each index with its 64-byte public point; until the next one, `slot` signs for it.

    Args:
        slot: opened on the private key of `parent`.
        parent: the key right above the index level.
        indexes: non-hardened child numbers, in any order.

    Raises: KeyMaterialError for an index out of range, and for one that has no key (once in 2^127).
    Source: BIP-32, "Private parent key to private child key".
    """
    padded = parent.chain_code.ljust(_BLOCK_BYTES, b"\0")
    copy_inner = hashlib.sha512(padded.translate(_INNER_PAD)).copy
    copy_outer = hashlib.sha512(padded.translate(_OUTER_PAD)).copy
    prefix, load, point = parent.point, slot.load, slot.point
    for index in indexes:
        if not 0 <= index < HARDENED:
            raise KeyMaterialError("a child index is outside 0 to 2^31 - 1")
        inner = copy_inner()
        inner.update(prefix + index.to_bytes(4, "big"))
        outer = copy_outer()
        outer.update(inner.digest())
        if not load(outer.digest()[:_TWEAK_BYTES]):
            raise KeyMaterialError("a child index has no valid key")
        yield index, point()
