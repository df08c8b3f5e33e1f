"""Both verifiers, which share no code, say the same of good, forged, damaged and replayed bundles."""

import copy
import json
import random
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from activities import merkle
from activities.canonical import canonical
from activities.evidence.layout import BUNDLE
from infra.auditor import verify_bundle as second
from tests.integration.builders import BatchOnRecord
from tests.integration.office import an_office
from tests.integration.store_fixtures import Databases
from tests.integration.tampering import Change, members, rewritten
from tests.integration.test_evidence_forgeries import FORGERIES
from tests.integration.verdict_room import Room, agreed, make_room

CUTS, EDITS = 20, 80
SEED = 20260101

UNBOUND = {
    ("histories.jsonl", "event_type"),
    ("histories.jsonl", "payload_digests"),
    ("histories.jsonl", ""),
}
"""What the format says nothing binds (the end of `layout`)."""


@pytest.fixture(scope="module")
async def room(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A batch with holds, refusals and a withheld subject; bundled, told of once more, bundled again."""
    return await make_room(databases, tmp_path_factory.mktemp("second"))


def test_both_verify_a_good_bundle(room: Room) -> None:
    """Everything is recomputed by both; the second one skips the restricted part alone."""
    for bundle in (room.older, room.bundle):
        assert agreed(bundle, room.trust) == "VERIFIED"
    report = second.verify(room.bundle, second.read_trust(room.trust))
    assert [name for name, status, _ in report.checks if status == "skipped"] == ["restricted"]
    assert report.counts["wallets"] == 10 * 2
    assert ("possession", "ok", "20 of 20 proofs of possession recomputed (all)") in report.checks


def test_neither_verifies_without_trust_or_with_anothers(room: Room) -> None:
    """Unpinned is never verified, and another office's keys vouch for nothing."""
    assert agreed(room.bundle, None) == "UNPINNED"
    assert agreed(room.bundle, room.strange) == "FAILED"
    failed = second.verify(room.bundle, second.read_trust(room.strange)).failed
    assert {"head", "attestations", "approvals", "gates", "holds", "request_signature"} <= set(failed)


def test_the_one_file_runs_alone(room: Room, tmp_path: Path) -> None:
    """Copied away and run as a program: exit 0 for a good bundle, 1 unpinned, 2 for wrong use."""
    program = shutil.copy(second.__file__, tmp_path / "verify_bundle.py")
    uses = {
        (str(room.bundle), "--trust", str(room.trust), "--json"): 0,
        (str(room.bundle),): 1,
        (str(room.bundle), "--trust", str(room.bundle)): 2,
    }
    for arguments, code in uses.items():
        ended = subprocess.run(
            [sys.executable, "-I", program, *arguments], cwd=tmp_path, capture_output=True, check=False
        )
        assert ended.returncode == code, ended.stderr
        if code == 0:
            assert json.loads(ended.stdout)["verdict"] == "VERIFIED"


def test_proof_of_one_wallet_is_bound_to_its_bundle(room: Room, tmp_path: Path) -> None:
    """Who is shown one leaf and its path sees that it stands in this batch, and in no other tree."""
    names = ("ordinal", "chain", "path", "address")
    rows = [json.loads(line) for line in members(room.bundle)["wallets.jsonl"].splitlines()]
    leaves = [canonical({name: row[name] for name in names}) for row in rows if row["tranche"] == 0]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    proof = [node.hex() for node in merkle.inclusion_proof(hashes, 3)]
    told = {"leafIdx": 3, "treeSize": len(hashes), "leafHash": hashes[3].hex(), "proof": proof}
    whole = merkle.root_of_hashes(hashes).hex()
    alone = {**told, "leafIdx": 0, "treeSize": 1, "proof": [], "root": hashes[3].hex()}
    for content, code in (
        ({**told, "root": whole}, 0),
        ({**told, "root": whole, "leafIdx": 2}, 1),
        (alone, 1),
    ):
        place = tmp_path / "proof.json"
        place.write_text(json.dumps(content))
        use = [str(room.bundle), "--trust", str(room.trust), "--proof", str(place)]
        assert second.main(use) == code, content


@pytest.mark.parametrize("forgery", FORGERIES)
def test_both_refuse_a_forgery(room: Room, tmp_path: Path, forgery: str) -> None:
    """The whole catalogue, each with a table that agrees with it."""
    forged = rewritten(room.bundle, tmp_path / "forged.zip", FORGERIES[forgery])
    assert agreed(forged, room.trust) == "FAILED"


def test_a_file_cut_off_anywhere_is_refused(room: Room, tmp_path: Path) -> None:
    """Zip directories stand at the end: what is cut has none."""
    chance, raw = random.Random(SEED), room.bundle.read_bytes()  # noqa: S311 - a seed replays the run
    cut = tmp_path / "cut.zip"
    for size in (0, 1, len(raw) - 1, *(chance.randrange(len(raw)) for _ in range(CUTS))):
        cut.write_bytes(raw[:size])
        assert agreed(cut, room.trust) == "FAILED"


def test_members_added_doubled_or_lost_are_refused(room: Room, tmp_path: Path) -> None:
    """Names of a bundle are fixed, and so is their order."""
    for change in (
        lambda parts: parts.update({"more.json": b"{}"}),
        lambda parts: parts.pop("heads.json"),
        lambda parts: parts.update({"request.json": parts.pop("request.json")}),
    ):
        assert agreed(rewritten(room.bundle, tmp_path / "x.zip", change), room.trust) == "FAILED"
    twice = rewritten(room.bundle, tmp_path / "twice.zip", lambda _: None)
    with warnings.catch_warnings(), zipfile.ZipFile(twice, "a") as appended:
        warnings.simplefilter("ignore", UserWarning)
        appended.writestr("wallets.jsonl", b"")
    assert agreed(twice, room.trust) == "FAILED"


def test_any_edited_value_is_judged_alike(room: Room, tmp_path: Path) -> None:
    """Values changed or removed, lists shortened, swapped and doubled, in any member, with its table."""
    chance, parts = random.Random(SEED), members(room.bundle)  # noqa: S311 - a seed replays the run
    places = [(name, path) for name in parts if ".json" in name for path in _paths(_read(name, parts[name]))]
    for name, path in chance.sample(places, EDITS):
        value = _read(name, parts[name])
        place = _place(name, value, path)
        _edit(value, path, chance)
        content = _written(name, value)
        forged = rewritten(room.bundle, tmp_path / "forged.zip", _put(name, content), table=name != BUNDLE)
        if agreed(forged, room.trust) == "VERIFIED":
            assert content == parts[name] or place in UNBOUND


def _put(name: str, content: bytes) -> Change:
    return lambda parts: parts.update({name: content})


def _place(name: str, value: Any, path: tuple[Any, ...]) -> tuple[str, str]:
    """A member and the field that is edited, with the stage it is of."""
    field = next((part for part in reversed(path) if isinstance(part, str)), "")
    stage = f"{value[path[0]]['stage']}: " if name == "slices.jsonl" and path else ""
    return name, stage + field


def _read(name: str, raw: bytes) -> Any:
    return [json.loads(line) for line in raw.splitlines()] if name.endswith("l") else json.loads(raw)


def _written(name: str, value: Any) -> bytes:
    if not name.endswith("l"):
        return canonical(value)
    return b"".join(canonical(row) + b"\n" for row in value)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path or isinstance(value, list):
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(item, (*path, key))


def _edit(value: Any, path: tuple[Any, ...], chance: random.Random) -> None:
    for key in path[:-1]:
        value = value[key]
    old = value[path[-1]] if path else value
    if isinstance(old, list) and old:
        at = chance.randrange(len(old))
        actions: list[Callable[[], Any]] = [
            lambda: old.pop(at),
            lambda: old.insert(at, copy.deepcopy(old[at])),
            lambda: old.insert(at, old.pop()),
        ]
        chance.choice(actions)()
    elif isinstance(old, bool):
        value[path[-1]] = not old
    elif isinstance(old, int):
        value[path[-1]] = old + chance.choice((1, -1)) if old else 1
    elif isinstance(old, str) and old:
        at = chance.randrange(len(old))
        value[path[-1]] = old[:at] + ("1" if old[at] == "0" else "0") + old[at + 1 :]
    elif path:
        value[path[-1]] = chance.choice((None, "", 0, "x"))


@pytest.mark.parametrize("end", ["rejected", "refused", "unsigned", "rolled back"])
async def test_both_verify_every_kind_of_end(databases: Databases, tmp_path: Path, end: str) -> None:
    """Batches that ended early, of an unsigned request, and undone ones."""
    waves = (50, 100) if end == "refused" else (10, 100)
    made = BatchOnRecord(
        databases=databases,
        office=an_office(tmp_path),
        waves_percent=waves,
        scene=False,
        signed=end != "unsigned",
    )
    if end == "unsigned":
        made.complete()
    else:
        made.begin()
    if end == "rejected":
        made.pass_gate("compliance", made.plan.plan_digest, outcome="rejected")
    if end in ("rejected", "refused"):
        made.finish(end)
    if end == "rolled back":
        made.pass_gate("compliance", made.plan.plan_digest)
        made.screen()
        made.issue(0)
        made.activate(1, tranche=0, offset=0, length=2, percent=10)
        made.roll_back()
    _, path = await made.bundle()
    assert agreed(path, made.office.trust_path) == "VERIFIED"
