"""Merkle trees: published vectors, slices, and proofs that must fail."""

import base64
import hashlib
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities import merkle
from activities.failures import IntegrityError
from tests.vectors import load_vectors

SIZES = st.integers(min_value=1, max_value=130)


def _leaves(count: int) -> list[bytes]:
    return [merkle.leaf_hash(index.to_bytes(4, "big")) for index in range(count)]


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 word by word, as the second opinion."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    joined = by_definition(hashes[:k]) + by_definition(hashes[k:])
    return hashlib.sha256(b"\x01" + joined).digest()


def _cases(kind: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", load_vectors(f"merkle/rfc6962-{kind}.json"))


def _raw(text: str) -> bytes:
    return base64.b64decode(text)


def _proof_of(case: dict[str, Any]) -> list[bytes]:
    return [_raw(item) for item in case["proof"] or []]


def _expected(case: dict[str, Any], *, roots: tuple[str, ...]) -> bool:
    """As published; but one accepted case of each kind has a placeholder for roots, which is no hash."""
    return not case["wantErr"] and all(len(_raw(case[name])) == merkle.HASH_SIZE for name in roots)


def test_published_tree_has_published_roots_at_every_size() -> None:
    """Roots over the first n published leaves are the published ones."""
    tree = cast("dict[str, Any]", load_vectors("merkle/rfc6962-tree.json"))
    inputs = [bytes.fromhex(item) for item in tree["leaf_inputs_hex"]]
    roots = [merkle.root(inputs[:size]).hex() for size in range(len(inputs) + 1)]
    assert roots == tree["root_hash_by_size"]


def test_inclusion_vectors_are_judged_as_published() -> None:
    """Every published inclusion proof is accepted, every broken one refused."""
    for case in _cases("inclusion"):
        accepted = merkle.verify_inclusion(
            _raw(case["leafHash"]),
            index=case["leafIdx"],
            size=case["treeSize"],
            proof=_proof_of(case),
            root_hash=_raw(case["root"]),
        )
        assert accepted is not case["wantErr"], case["_file"]


def test_consistency_vectors_are_judged_as_published() -> None:
    """Every published consistency proof is accepted, every broken one refused."""
    for case in _cases("consistency"):
        accepted = merkle.verify_consistency(
            old_size=case["size1"],
            new_size=case["size2"],
            old_root=_raw(case["root1"]),
            new_root=_raw(case["root2"]),
            proof=_proof_of(case),
        )
        assert accepted is _expected(case, roots=("root1", "root2")), case["_file"]


def test_subtree_inclusion_vectors_are_judged_as_published() -> None:
    """Every published subtree inclusion proof is accepted, every broken one refused."""
    for case in _cases("subtreeinclusion"):
        accepted = merkle.verify_subtree_inclusion(
            _raw(case["leafHash"]),
            index=case["leafIdx"],
            start=case["start"],
            end=case["end"],
            proof=_proof_of(case),
            subtree_root=_raw(case["root"]),
        )
        assert accepted is not case["wantErr"], case["_file"]


def test_subtree_consistency_vectors_are_judged_as_published() -> None:
    """Every published subtree consistency proof is accepted, every broken one refused."""
    for case in _cases("subtreeconsistency"):
        accepted = merkle.verify_subtree(
            _raw(case["root1"]),
            start=case["start"],
            end=case["end"],
            size=case["size"],
            proof=_proof_of(case),
            root_hash=_raw(case["root2"]),
        )
        assert accepted is _expected(case, roots=("root1",)), case["_file"]


@given(size=st.integers(min_value=0, max_value=300))
def test_root_equals_the_recursive_definition(size: int) -> None:
    """Working level by level gives the tree of RFC 6962 at any size."""
    assert merkle.root_of_hashes(_leaves(size)) == by_definition(_leaves(size))


@given(size=st.integers(min_value=0, max_value=200), power=st.integers(min_value=0, max_value=5))
def test_composed_slices_give_the_root_over_all_leaves(size: int, power: int) -> None:
    """Slice roots, the last slice partial or not, compose to the whole batch's root."""
    step, hashes = 2**power, _leaves(size)
    roots = [merkle.root_of_hashes(hashes[at : at + step]) for at in range(0, size, step)]
    composed = merkle.compose(roots, total=size, leaves_per_full_slice=step)
    assert composed == merkle.root_of_hashes(hashes)


def test_composing_at_the_real_slice_size_handles_a_partial_last_slice() -> None:
    """2,500 leaves in slices of 1,024 have one root however it is reached."""
    hashes = _leaves(2_500)
    roots = [merkle.root_of_hashes(hashes[at : at + 1024]) for at in (0, 1024, 2048)]
    assert merkle.compose(roots, total=2_500) == merkle.root_of_hashes(hashes)


@pytest.mark.parametrize("total", [-1, 0, 1024, 2049, 3072])
def test_composing_with_the_wrong_number_of_slices_is_refused(total: int) -> None:
    """Two slice roots fit 1,025 to 2,048 leaves and nothing else."""
    with pytest.raises(IntegrityError):
        merkle.compose(_leaves(2), total=total)


@pytest.mark.parametrize("size", [0, -4, 1000])
def test_composing_slices_not_a_power_of_two_is_refused(size: int) -> None:
    """A slice of another size is no node of the tree."""
    with pytest.raises(IntegrityError):
        merkle.compose(_leaves(1), total=1, leaves_per_full_slice=size)


def test_root_over_something_not_a_hash_is_refused() -> None:
    """A truncated hash never enters a tree."""
    with pytest.raises(IntegrityError):
        merkle.root_of_hashes([b"short"])


@given(size=SIZES, data=st.data())
def test_made_inclusion_proofs_verify_and_bind_leaf_index_and_size(size: int, data: st.DataObject) -> None:
    """A proof holds for its leaf at its index, and not for another leaf or index."""
    hashes, index = _leaves(size), data.draw(st.integers(0, size - 1))
    proof, whole = merkle.inclusion_proof(hashes, index), merkle.root_of_hashes(hashes)
    other = data.draw(st.integers(0, size - 1).filter(lambda at: size == 1 or at != index))

    def holds(leaf: bytes, at: int) -> bool:
        return merkle.verify_inclusion(leaf, index=at, size=size, proof=proof, root_hash=whole)

    assert holds(hashes[index], index)
    assert holds(hashes[index], other) is (other == index)
    assert not holds(merkle.leaf_hash(b"another"), index)


@given(size=SIZES, data=st.data())
def test_made_consistency_proofs_verify_and_break_when_history_changes(
    size: int, data: st.DataObject
) -> None:
    """The old tree is the new one's beginning; a tree with one other leaf is not."""
    hashes, old = _leaves(size), data.draw(st.integers(1, size))
    forged = [*hashes[: old - 1], merkle.leaf_hash(b"another")]
    proof = merkle.consistency_proof(hashes, old)

    def holds(old_root: bytes) -> bool:
        return merkle.verify_consistency(
            old_size=old,
            new_size=size,
            old_root=old_root,
            new_root=merkle.root_of_hashes(hashes),
            proof=proof,
        )

    assert holds(merkle.root_of_hashes(hashes[:old]))
    assert not holds(merkle.root_of_hashes(forged))


@given(size=SIZES, power=st.integers(0, 6), data=st.data())
def test_slice_root_is_proven_part_of_the_batch_root(size: int, power: int, data: st.DataObject) -> None:
    """A slice's root has a proof of its own, and leaf proofs are made of the two levels."""
    step, hashes = 2**power, _leaves(size)
    index = data.draw(st.integers(0, size - 1))
    start = index // step * step
    end = min(start + step, size)
    roots = [merkle.root_of_hashes(hashes[at : at + step]) for at in range(0, size, step)]
    whole, inner = merkle.root_of_hashes(hashes), hashes[start:end]
    assert merkle.verify_subtree(
        merkle.root_of_hashes(inner),
        start=start,
        end=end,
        size=size,
        proof=merkle.subtree_proof(hashes, start, end),
        root_hash=whole,
    )
    joined = [
        *merkle.inclusion_proof(inner, index - start),
        *merkle.inclusion_proof(roots, index // step),
    ]
    assert joined == merkle.inclusion_proof(hashes, index)


@pytest.mark.parametrize(("start", "end"), [(1, 3), (0, 9), (2, 2), (-1, 1), (3, 2)])
def test_proof_of_leaves_that_are_no_subtree_is_refused(start: int, end: int) -> None:
    """Only aligned ranges inside the tree have a node."""
    with pytest.raises(IntegrityError):
        merkle.subtree_proof(_leaves(8), start, end)


def test_verifying_a_proof_with_a_short_node_is_false() -> None:
    """A node that is no hash makes the proof wrong, not the program."""
    hashes = _leaves(2)
    assert not merkle.verify_inclusion(
        hashes[0], index=0, size=2, proof=[b"short"], root_hash=merkle.root_of_hashes(hashes)
    )


def test_verifying_against_an_absurd_size_is_false() -> None:
    """A claimed size over 2^64 is refused before any work."""
    leaf = merkle.leaf_hash(b"")
    assert not merkle.verify_inclusion(leaf, index=0, size=2**65, proof=[], root_hash=leaf)


LEFT, RIGHT, SHORT = b"\x01" * 32, b"\x02" * 32, b"\x03" * 31


def test_no_slices_of_fewer_than_no_leaves_are_composed() -> None:
    """A negative number of leaves is no tree, not the empty one."""
    with pytest.raises(IntegrityError):
        merkle.compose([], total=-1)


@pytest.mark.parametrize("hashes", [[SHORT], [LEFT, SHORT], [SHORT, LEFT]])
def test_node_of_another_length_makes_no_tree_and_no_proof(hashes: list[bytes]) -> None:
    """One node that is no hash is enough."""
    with pytest.raises(IntegrityError):
        merkle.root_of_hashes(hashes)
    with pytest.raises(IntegrityError):
        merkle.subtree_proof(hashes, 0, len(hashes))


def test_proof_with_a_node_of_another_length_is_refused() -> None:
    """Bytes moved from one node to the next would make the same hash."""
    root = merkle.node_hash(LEFT, SHORT)
    assert not merkle.verify_inclusion(LEFT, index=0, size=2, proof=[SHORT], root_hash=root)


def test_empty_subtree_lies_within_its_tree() -> None:
    """Nothing beyond the end of a tree is no part of it."""
    where: dict[str, Any] = {"size": 3, "proof": [], "root_hash": LEFT}
    assert merkle.verify_subtree(merkle.EMPTY_ROOT, start=3, end=3, **where)
    for place in (4, -1):
        assert not merkle.verify_subtree(merkle.EMPTY_ROOT, start=place, end=place, **where)


def test_tree_larger_than_any_is_refused() -> None:
    """The limit is the last size that is taken."""
    for size, taken in ((merkle.TREE_SIZE_MAX, True), (merkle.TREE_SIZE_MAX + 1, False)):
        whole = merkle.verify_subtree(LEFT, start=0, end=size, size=size, proof=[], root_hash=LEFT)
        assert whole is taken


def test_leaf_is_not_inside_what_is_no_subtree() -> None:
    """Two leaves side by side are a subtree only where one begins."""
    root = merkle.node_hash(LEFT, RIGHT)
    place: dict[str, Any] = {"proof": [RIGHT], "subtree_root": root}
    assert merkle.verify_subtree_inclusion(LEFT, index=2, start=2, end=4, **place)
    assert not merkle.verify_subtree_inclusion(LEFT, index=1, start=1, end=3, **place)


@pytest.mark.parametrize("index", [-1, 2, 3])
def test_leaf_outside_of_its_tree_is_refused(index: int) -> None:
    """An index counts from nought to the last leaf."""
    root = merkle.node_hash(LEFT, RIGHT)
    for proof in ([RIGHT], [LEFT], []):
        assert not merkle.verify_inclusion(LEFT, index=index, size=2, proof=proof, root_hash=root)
