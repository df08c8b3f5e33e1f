"""Both verifiers, which share no code, say the same of good, forged, damaged and replayed bundles."""

import base64
import copy
import hashlib
import json
import random
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activities.canonical import canonical
from activities.digests import head_message
from activities.evidence.layout import BUNDLE
from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import load_trust
from infra.auditor import verify_bundle as second
from tests.integration.builders import BatchOnRecord
from tests.integration.office import DEPLOYMENT, an_office
from tests.integration.store_fixtures import Databases
from tests.integration.tampering import Change, Members, members, rewritten
from tests.integration.test_evidence_forgeries import FORGERIES

FLIPS, CUTS, EDITS = 150, 20, 80
SEED = 20260101

UNBOUND = {
    ("approvals.jsonl", "message"),
    ("approvals.jsonl", "received_at"),
    ("approvals.jsonl", "signature"),
    ("histories.jsonl", "event_type"),
    ("histories.jsonl", "payload_digests"),
    ("histories.jsonl", ""),
    ("lists.json", "entry_count"),
    ("lists.json", "published_on"),
    ("lists.json", "source"),
    ("slices.jsonl", "verify: first_position"),
    ("slices.jsonl", "verify: length"),
    ("withholdings.jsonl", "ordinal"),
}
"""What the format says nothing binds (the end of `layout`), and signatures spelt with other blanks."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """One batch on record with its bundle, the office's trust, and another office's."""

    batch: BatchOnRecord
    older: Path
    bundle: Path
    trust: Path
    strange: Path
    folder: Path


@pytest.fixture(scope="module")
async def room(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A batch with holds, refusals and a withheld subject; bundled, attested once more, bundled again."""
    folder = tmp_path_factory.mktemp("second")
    batch = BatchOnRecord(databases=databases, office=an_office(folder))
    batch.complete()
    _, made = await batch.bundle()
    older = Path(shutil.copy(made, folder / "older.zip"))
    batch.attempt(batch.office.stranger, "compliance", batch.plan.plan_digest)
    batch.attest_head()
    _, made = await batch.bundle()
    (folder / "strange").mkdir()
    return Room(
        batch=batch,
        older=older,
        bundle=Path(shutil.copy(made, folder / "good.zip")),
        trust=batch.office.trust_path,
        strange=an_office(folder / "strange").trust_path,
        folder=folder,
    )


def agreed(bundle: Path, trust: Path | None) -> str:
    """The verdict of both verifiers, which must be one."""
    pinned = (load_trust(trust), second.read_trust(trust)) if trust else (None, None)
    first, other = verify_bundle(bundle, pinned[0]), second.verify(bundle, pinned[1])
    said = [(check.name, check.sentence) for check in first.checks if check.status == "failed"]
    assert first.verdict == other.verdict, (said, other.failed)
    assert (first.ok, first.batch_id) == (other.ok, other.batch_id)
    return other.verdict


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


@pytest.mark.parametrize("edit", ["deployment", "no attest", "another attest", "one officer less", "floor"])
def test_neither_verifies_with_a_changed_trust_file(room: Room, tmp_path: Path, edit: str) -> None:
    """Another deployment, another key of custody, a person who is revoked, a higher floor."""
    text = room.trust.read_text()
    key = base64.b64encode(room.batch.office.attest_key).decode()
    changed = {
        "deployment": text.replace(DEPLOYMENT, "other"),
        "no attest": text.replace(f'[attest]\npublic_keys = ["{key}"]\n', ""),
        "another attest": text.replace(key, base64.b64encode(bytes(range(32))).decode()),
        "one officer less": text.replace(
            '["wallet_officer"]', '["wallet_officer"]\nrevoked_at = "2020-01-01T00:00:00Z"'
        ),
        "floor": text + "[floors]\napprovals_min = 3\n",
    }[edit]
    assert changed != text
    trust = tmp_path / "trust.toml"
    trust.write_text(changed)
    assert agreed(room.bundle, trust) == "FAILED"


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


@pytest.mark.parametrize("forgery", FORGERIES)
def test_both_refuse_a_forgery(room: Room, tmp_path: Path, forgery: str) -> None:
    """The whole catalogue, each with a table that agrees with it."""
    forged = rewritten(room.bundle, tmp_path / "forged.zip", FORGERIES[forgery])
    assert agreed(forged, room.trust) == "FAILED"


def test_any_flipped_bit_of_the_file_is_judged_alike(room: Room, tmp_path: Path) -> None:
    """Both refuse, unless the bit is one that says nothing about any member's bytes."""
    chance, raw = random.Random(SEED), room.bundle.read_bytes()  # noqa: S311 - a seed replays the run
    whole, flipped, accepted = members(room.bundle), tmp_path / "flipped.zip", 0
    for _ in range(FLIPS):
        content = bytearray(raw)
        content[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        flipped.write_bytes(content)
        if agreed(flipped, room.trust) == "VERIFIED":
            accepted += 1
            assert members(flipped) == whole
    assert accepted < FLIPS // 5


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


def _older(*names: str) -> Callable[[Room], Change]:
    """Members of the older bundle put into the newer one."""

    def of(room: Room) -> Change:
        old = members(room.older)
        return lambda parts: parts.update({name: old[name] for name in names})

    return of


def _log(edit: Callable[[list[dict[str, Any]]], object], *, keep_heads: int) -> Callable[[Room], Change]:
    """The batch's own chain forged by who has custody's key: rehashed and its end attested anew."""

    def of(room: Room) -> Change:
        def change(parts: Members) -> None:
            rows = [json.loads(line) for line in parts["audit.jsonl"].splitlines()]
            own = [row for row in rows if row["chain"] == f"batch/{room.batch.batch_id}"]
            edit(own)
            _rehash(own)
            rest = [row for row in rows if row["chain"] != own[0]["chain"]]
            parts["audit.jsonl"] = b"".join(canonical(row) + b"\n" for row in (*own, *rest))
            heads = json.loads(parts["heads.json"])["heads"][:keep_heads]
            parts["heads.json"] = canonical({"heads": [*heads, _attested(room, own[-1])]})
            facts = json.loads(parts["bundle.json"])
            parts["bundle.json"] = canonical({**facts, "made_at": own[-1]["recorded_at"]})

        return change

    return of


def _rehash(rows: list[dict[str, Any]]) -> None:
    prev = "0" * 64
    for seq, row in enumerate(rows, start=1):
        row["seq"] = seq
        told = f"{row['recorded_at']}\n{row['body']}".encode()
        content = bytes.fromhex(prev) + row["seq"].to_bytes(8, "big") + told
        row["prev"], prev = prev, hashlib.sha256(content).hexdigest()
        row["hash"] = prev


def _attested(room: Room, row: dict[str, Any]) -> dict[str, str]:
    batch, at = room.batch, {"chain": row["chain"], "seq": row["seq"]}
    message = head_message(deployment=DEPLOYMENT, batch_id=batch.batch_id, head=row["hash"], **at)
    signature = base64.b64encode(batch.office.attest(message)).decode()
    return {"message": message.decode(), "signature": signature}


def _step_back(rows: list[dict[str, Any]]) -> None:
    rows[5]["recorded_at"] = "2020-01-01T00:00:00.000000Z"


def _noted(at: int) -> Callable[[list[dict[str, Any]]], None]:
    """An entry that says one thing more, which no other part of the bundle speaks of."""

    def edit(rows: list[dict[str, Any]]) -> None:
        rows[at]["body"] = canonical({**json.loads(rows[at]["body"]), "forged": 1}).decode()

    return edit


REPLAYS: dict[str, Callable[[Room], Change]] = {
    "old heads": _older("heads.json"),
    "old log": _older("audit.jsonl"),
    "old log and heads": _older("audit.jsonl", "heads.json"),
    "old log, heads and table": _older("audit.jsonl", "heads.json", "bundle.json"),
    "old approvals": _older("approvals.jsonl"),
    "fork at the attested head": _log(_noted(-1), keep_heads=2),
    "fork before an attested head": _log(_noted(0), keep_heads=1),
    "clock step": _log(_step_back, keep_heads=0),
    "clock step after a head": _log(_step_back, keep_heads=1),
}


@pytest.mark.parametrize("replay", REPLAYS)
def test_both_refuse_old_heads_forks_and_clock_steps(room: Room, tmp_path: Path, replay: str) -> None:
    """Also when every hash was made again and the forger could sign for custody."""
    forged = rewritten(room.bundle, tmp_path / "forged.zip", REPLAYS[replay](room))
    assert agreed(forged, room.trust) == "FAILED"


def test_the_forger_of_logs_forges_well(room: Room, tmp_path: Path) -> None:
    """What custody signs in place of its older heads verifies: forks fail for the head they contradict."""
    for edit, heads in ((_noted(0), 0), (_noted(-1), 1)):
        forged = rewritten(room.bundle, tmp_path / "same.zip", _log(edit, keep_heads=heads)(room))
        assert agreed(forged, room.trust) == "VERIFIED"
    stepped = rewritten(room.bundle, tmp_path / "step.zip", _log(_step_back, keep_heads=0)(room))
    report = second.verify(stepped, second.read_trust(room.trust))
    assert ("audit", "failed", "an audit chain's clock steps back") in report.checks
    assert report.failed == ["audit"]


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
