"""Merkle trees by RFC 6962 hashing: roots, composition of slice roots, and proofs.

Pure arithmetic over 32-byte hashes. Verifying answers true or false and never raises on what a
stranger sent; making a proof or a root of parts that do not fit is an IntegrityError.
Source: RFC 6962 section 2.1; subtree proofs after draft-ietf-plants-merkle-tree-certs section 4.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

from activities.failures import IntegrityError

HASH_SIZE: Final = 32
"""Bytes of a SHA-256 hash."""

TREE_SIZE_MAX: Final = 2**64
"""Leaves; bounds the depth of a proof at 64 for whatever a stranger claims."""

SLICE_LEAVES: Final = 1024
"""Leaves of a full slice: a power of two, so that a slice's root is a node of the batch's tree."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves."""


def leaf_hash(content: bytes) -> bytes:
    """The hash of one leaf: SHA-256 of 0x00 and its content."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256 of 0x01 and its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaves given by their content."""
    return root_of_hashes([leaf_hash(content) for content in leaves])


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes or over the roots of aligned slices.

    Level by level with a lone last node carried up gives exactly RFC 6962's tree, whose left half is
    always the largest power of two.
    """
    if not hashes:
        return EMPTY_ROOT
    _require_hashes(hashes)
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [node_hash(left, right) for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def compose(slice_roots: Sequence[bytes], *, total: int, leaves_per_full_slice: int = SLICE_LEAVES) -> bytes:
    """The root over all leaves, made of the roots of aligned slices.

    Args:
        slice_roots: one root per slice, in order; only the last slice may be partial.
        total: leaves in all slices together.
        leaves_per_full_slice: a power of two.

    Raises:
        IntegrityError: the number of slices does not fit the total.
    """
    size = leaves_per_full_slice
    if size < 1 or size & (size - 1):
        raise IntegrityError("A full slice must hold a power of two of leaves")
    if total < 0 or len(slice_roots) != -(-total // size):
        raise IntegrityError("The number of slice roots does not fit the number of leaves")
    return root_of_hashes(slice_roots)


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The siblings from a leaf hash up to the root.

    A proof inside a slice followed by the slice's proof over the slice roots is a proof in the batch.
    """
    return subtree_proof(hashes, index, index + 1)


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """The nodes that show the first `old_size` leaves are still the tree's beginning."""
    return subtree_proof(hashes, 0, old_size)


def subtree_proof(hashes: Sequence[bytes], start: int, end: int) -> list[bytes]:
    """The nodes that show the subtree of leaves [start, end) belongs to the tree.

    Raises:
        IntegrityError: [start, end) is no subtree of the tree.
    """
    if not _is_subtree(start, end, len(hashes)):
        raise IntegrityError("The leaves asked for are no subtree of the tree")
    _require_hashes(hashes)
    return _proof_steps(hashes, start, end, known=True)


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether a leaf hash stands at an index of the tree of that size and root."""
    return verify_subtree(leaf, start=index, end=index + 1, size=size, proof=proof, root_hash=root_hash)


def verify_subtree_inclusion(
    leaf: bytes, *, index: int, start: int, end: int, proof: Sequence[bytes], subtree_root: bytes
) -> bool:
    """Whether a leaf hash stands at a tree's index inside its subtree [start, end)."""
    if not _is_subtree(start, end, TREE_SIZE_MAX):
        return False
    return verify_inclusion(leaf, index=index - start, size=end - start, proof=proof, root_hash=subtree_root)


def verify_consistency(
    *, old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the new tree begins with the old one; an empty old tree proves nothing."""
    if old_size < 1:
        return False
    return verify_subtree(old_root, start=0, end=old_size, size=new_size, proof=proof, root_hash=new_root)


def verify_subtree(
    subtree_root: bytes,
    *,
    start: int,
    end: int,
    size: int,
    proof: Sequence[bytes],
    root_hash: bytes,
) -> bool:
    """Whether a subtree root covers the leaves [start, end) of the tree of that size and root."""
    if start == end:
        within = 0 <= end <= size
        return within and not proof and hmac.compare_digest(subtree_root, EMPTY_ROOT)
    if not size <= TREE_SIZE_MAX or not _is_subtree(start, end, size):
        return False
    hashes = (subtree_root, root_hash, *proof)
    if any(len(item) != HASH_SIZE for item in hashes):
        return False
    rest = list(proof)
    try:
        sub, whole = _replay(start, end, size, rest, subtree_root)
    except IndexError:
        return False
    fits = hmac.compare_digest(sub, subtree_root) and hmac.compare_digest(whole, root_hash)
    return fits and not rest


def _is_subtree(start: int, end: int, size: int) -> bool:
    """A subtree begins at a multiple of the power of two that covers it."""
    if not 0 <= start < end <= size:
        return False
    return start % (1 << (end - start - 1).bit_length()) == 0


def _split(size: int) -> int:
    """The largest power of two below a size over one."""
    return 1 << ((size - 1).bit_length() - 1)


def _proof_steps(hashes: Sequence[bytes], start: int, end: int, *, known: bool) -> list[bytes]:
    """`known`: the verifier holds the root of exactly these leaves and needs no node for them."""
    size = len(hashes)
    if (start, end) == (0, size):
        return [] if known else [root_of_hashes(hashes)]
    k = _split(size)
    left, right = hashes[:k], hashes[k:]
    if end <= k:
        return [*_proof_steps(left, start, end, known=known), root_of_hashes(right)]
    if start >= k:
        return [*_proof_steps(right, start - k, end - k, known=known), root_of_hashes(left)]
    return [*_proof_steps(right, 0, end - k, known=False), root_of_hashes(left)]


def _replay(start: int, end: int, size: int, rest: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """Roots of the subtree and of the tree that a proof, used up from its end, leads to."""
    if (start, end) == (0, size):
        node = known if known is not None else rest.pop()
        return node, node
    k, sibling = _split(size), rest.pop()
    if end <= k:
        sub, whole = _replay(start, end, k, rest, known)
        return sub, node_hash(whole, sibling)
    if start >= k:
        sub, whole = _replay(start - k, end - k, size - k, rest, known)
        return sub, node_hash(sibling, whole)
    sub, whole = _replay(0, end - k, size - k, rest, None)
    return node_hash(sibling, sub), node_hash(sibling, whole)


def _require_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_SIZE for item in hashes):
        raise IntegrityError("A node of the tree is not a SHA-256 hash")
