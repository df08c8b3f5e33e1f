"""Proofs in trees: both verifiers, which share no code, judge every published and every damaged one alike."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities import merkle
from infra.auditor import verify_bundle as second
from tests.vectors import load_vectors

Told = dict[str, Any]

REFUSED_MIN: Final = 482
"""Published cases that must be refused."""


def _raw(text: str) -> bytes:
    return base64.b64decode(text)


def _path(told: Told) -> list[bytes]:
    return [_raw(node) for node in told["proof"] or []]


def _inclusion(told: Told) -> bool:
    place = {"index": told["leafIdx"], "size": told["treeSize"]}
    return merkle.verify_inclusion(
        _raw(told["leafHash"]), **place, proof=_path(told), root_hash=_raw(told["root"])
    )


def _consistency(told: Told) -> bool:
    return merkle.verify_consistency(
        old_size=told["size1"],
        new_size=told["size2"],
        old_root=_raw(told["root1"]),
        new_root=_raw(told["root2"]),
        proof=_path(told),
    )


def _subtree_inclusion(told: Told) -> bool:
    place = {"index": told["leafIdx"], "start": told["start"], "end": told["end"]}
    leaf, root = _raw(told["leafHash"]), _raw(told["root"])
    return merkle.verify_subtree_inclusion(leaf, **place, proof=_path(told), subtree_root=root)


def _subtree_consistency(told: Told) -> bool:
    place = {"start": told["start"], "end": told["end"], "size": told["size"]}
    root = _raw(told["root2"])
    return merkle.verify_subtree(_raw(told["root1"]), **place, proof=_path(told), root_hash=root)


FIRST: Final[dict[str, Callable[[Told], bool]]] = {
    "inclusion": _inclusion,
    "consistency": _consistency,
    "subtreeinclusion": _subtree_inclusion,
    "subtreeconsistency": _subtree_consistency,
}
PLACES: Final = ("leafIdx", "treeSize", "size1", "size2", "start", "end", "size")
HASHES: Final = ("root", "leafHash", "root1", "root2")


def _published(kind: str) -> list[Told]:
    return cast("list[Told]", load_vectors(f"merkle/rfc6962-{kind}.json"))


def _second(told: Any) -> bool:
    report = second.Report(pinned=True)
    second.run_proofs(report, [told], None)
    return report.ok


def _agreed(kind: str, told: Told) -> bool:
    accepted = FIRST[kind](told)
    assert _second(told) is accepted, told
    return accepted


def test_both_refuse_every_published_case_that_must_be() -> None:
    """All kinds: what is published as broken is refused by both, what is not is judged alike."""
    refused = 0
    for kind in FIRST:
        for told in _published(kind):
            accepted = _agreed(kind, told)
            assert not (accepted and told["wantErr"]), told["_file"]
            refused += told["wantErr"]
    assert refused >= REFUSED_MIN


@pytest.mark.parametrize("kind", FIRST)
def test_both_judge_every_damage_to_a_good_proof_alike(kind: str) -> None:
    """A bit of each byte of a hash; places moved by one or beyond all bounds; nodes lost, doubled, moved."""
    good = [told for told in _published(kind) if _agreed(kind, told)]
    assert good
    for told in good:
        for moved in _misplaced(told):
            _agreed(kind, moved)
        for bent in _bent(told):
            assert not _agreed(kind, bent)


def _misplaced(told: Told) -> list[Told]:
    path = list(told["proof"] or [])
    strange = [base64.b64encode(b"\x07" * size).decode() for size in (31, 32)]
    paths = [path[1:], path[:-1], [*path, *path[:1]], path[::-1], [*path[1:], *path[:1]]]
    paths += [[*path[:at], node, *path[at:]] for at in (0, 1) for node in strange]
    places = [
        {name: place}
        for name in PLACES
        if name in told
        for place in (told[name] - 1, told[name] + 1, told[name] * 2, 0, -1, 2**64, 2**64 + 1)
    ]
    return [{**told, "proof": each} for each in paths] + [told | each for each in places]


def _bent(told: Told) -> Iterator[Told]:
    """The same with one bit of one hash changed; of an empty subtree the tree's root says nothing."""
    path = list(told["proof"] or [])
    for name in HASHES:
        if name in told and told.get("start") != told.get("end", -1):
            yield from ({**told, name: other} for other in _one_bit_off(told[name]))
    for at, node in enumerate(path):
        yield from ({**told, "proof": [*path[:at], off, *path[at + 1 :]]} for off in _one_bit_off(node))


def _one_bit_off(node: str) -> Iterator[str]:
    raw = _raw(node)
    for at in range(len(raw)):
        yield base64.b64encode(raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :]).decode()


@given(size=st.integers(1, 70), data=st.data())
def test_both_judge_proofs_of_any_subtree_alike(size: int, data: st.DataObject) -> None:
    """What the first one makes the second one takes; at another place both say the same."""
    hashes = [merkle.leaf_hash(bytes([at])) for at in range(size)]
    height = data.draw(st.integers(0, 7))
    start = data.draw(st.integers(0, (size - 1) >> height)) << height
    end = min(start + data.draw(st.integers((1 << height) // 2 + 1, 1 << height)), size)
    proof, root = merkle.subtree_proof(hashes, start, end), merkle.root_of_hashes(hashes)
    node = merkle.root_of_hashes(hashes[start:end])
    assert second.proven(node, start=start, end=end, size=size, proof=proof, root=root)
    place = data.draw(st.tuples(*[st.integers(-1, size + 2)] * 3))
    told = dict(zip(("start", "end", "size"), place, strict=True))
    first = merkle.verify_subtree(node, **told, proof=proof, root_hash=root)
    assert second.proven(node, **told, proof=proof, root=root) is first


def test_first_leaves_without_any_path_are_not_proven() -> None:
    """A subtree that is no node of the tree needs one to begin with: the answer is no, and no error."""
    node = merkle.leaf_hash(b"")
    assert not second.proven(node, start=0, end=3, size=5, proof=[], root=node)


def test_path_that_goes_on_above_the_tree_is_refused() -> None:
    """Whoever may choose a root could put the whole tree under another one."""
    leaf, beside = merkle.leaf_hash(b"leaf"), merkle.leaf_hash(b"beside")
    above = merkle.node_hash(beside, leaf)
    assert not second.proven(leaf, start=0, end=1, size=1, proof=[beside], root=above)


def test_largest_tree_is_taken_and_no_larger_one() -> None:
    """As by the first verifier."""
    node = merkle.leaf_hash(b"")
    for size, taken in ((merkle.TREE_SIZE_MAX, True), (merkle.TREE_SIZE_MAX + 1, False)):
        assert second.proven(node, start=0, end=size, size=size, proof=[], root=node) is taken


@pytest.mark.parametrize(
    "told",
    [
        *(None, [], "proof", 7, {}, {"proof": []}),
        {"root": "", "leafHash": "", "leafIdx": 0, "proof": []},
        {"root": None, "leafHash": [], "leafIdx": 0, "treeSize": 1, "proof": []},
        {"root": "€" * 64, "leafHash": "*", "leafIdx": 0, "treeSize": 1, "proof": []},
        {"root1": "", "root2": "", "start": True, "end": "9", "size": 1.5, "proof": [None]},
    ],
)
def test_what_is_no_proof_is_refused(told: Any) -> None:
    """A stranger's file ends nothing and proves nothing."""
    assert not _second(told)


def test_hashes_may_be_hex_as_bundles_write_them() -> None:
    """A leaf in a tree of two, with its root as a plan states it."""
    left, right = merkle.leaf_hash(b"left"), merkle.leaf_hash(b"right")
    told = {"leafIdx": 1, "treeSize": 2, "leafHash": right.hex(), "proof": [left.hex()]}
    assert _second({**told, "root": merkle.node_hash(left, right).hex()})
    assert not _second({**told, "root": merkle.node_hash(right, left).hex()})


def test_the_program_judges_proofs_with_its_exit_codes(tmp_path: Path) -> None:
    """0 when all lead to their roots, 1 when one does not or is none, 2 for wrong use; a file or a pipe."""
    cases = _published("inclusion")
    good = [told for told in cases if not told["wantErr"]]
    asked: list[tuple[list[str], Any, int]] = [
        (["--proof", "-", "--json"], cases, 1),
        (["--proof", "-"], good, 0),
        (["--proof", str(tmp_path / "absent.json")], None, 2),
    ]
    for arguments, given_in, code in asked:
        ended = subprocess.run(
            [sys.executable, "-I", str(second.__file__), *arguments],
            input=json.dumps(given_in).encode(),
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert ended.returncode == code, ended.stderr
        if "--json" in arguments:
            judged = [check["status"] == "ok" for check in json.loads(ended.stdout)["checks"]]
            assert judged == [not told["wantErr"] for told in cases]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 1), (b"[]", 1), (b"{", 1), (b"\xff", 1), (b'{"proof":[],"proof":[]}', 1), (b"[" * 100_000, 1)],
)
def test_what_is_no_json_is_a_proof_that_fails(tmp_path: Path, content: bytes, code: int) -> None:
    """Nothing brought is nothing proven."""
    place = tmp_path / "proof.json"
    place.write_bytes(content)
    assert second.main(["--proof", str(place)]) == code


@pytest.mark.parametrize("arguments", [[], ["--trust", "x"], ["--proof", "PROOF", "--kept", "x"]])
def test_without_a_bundle_there_is_nothing_but_proofs(tmp_path: Path, arguments: list[str]) -> None:
    """Everything else asks for one."""
    place = tmp_path / "proof.json"
    place.write_text(json.dumps(_published("inclusion")[1]))
    with pytest.raises(SystemExit) as ended:
        second.main([str(place) if argument == "PROOF" else argument for argument in arguments])
    assert ended.value.code == 2
