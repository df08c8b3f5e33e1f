"""The attacks on an audit chain and its bundle, each found by both verifiers under the same check's name.

The forger may rewrite every member, make every hash anew and write the table to match; what each cannot do
is sign for custody or for an approver, unless its row says that it can.
"""

import base64
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activities.canonical import canonical
from activities.trust.signatures import REQUEST_NAMESPACE
from tests.bits import Flips, flip_file, flip_members
from tests.integration.office import DEPLOYMENT
from tests.integration.store_fixtures import Databases
from tests.integration.tampering import Change, Members, rewritten
from tests.integration.verdict_room import (
    Edit,
    Room,
    Row,
    agreed,
    agreed_checks,
    by_custody,
    forged_log,
    head_of,
    lines,
    log_of,
    make_room,
    older_members,
    told_more,
)
from tests.signers import Signer

SEED = 20260101
FLIPS = {flip_file: 120, flip_members: 40}
KEPT = Path(__file__).with_name("kept_bundles")


@pytest.fixture(scope="module")
async def room(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A batch that went all the way, bundled twice with one more attempt between."""
    return await make_room(databases, tmp_path_factory.mktemp("attacks"))


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What is done to the bundle, and the check that must find it."""

    change: Callable[[Room], Change]
    found_by: str


def _remove(at: int) -> Edit:
    return lambda rows: rows.pop(at)


def _insert(at: int) -> Edit:
    return lambda rows: rows.insert(at, {**rows[at], "body": canonical({"kind": "note"}).decode()})


def _double(at: int) -> Edit:
    return lambda rows: rows.insert(at, dict(rows[at]))


def _swap(at: int) -> Edit:
    def edit(rows: list[Row]) -> None:
        # The times stay where they were: else the clock would tell as well.
        rows[at]["body"], rows[at - 1]["body"] = rows[at - 1]["body"], rows[at]["body"]

    return edit


def _truncate(rows: list[Row]) -> None:
    del rows[-2:]


def _step_back(rows: list[Row]) -> None:
    rows[5]["recorded_at"] = "2020-01-01T00:00:00.000000Z"


def _bit(at: int) -> Edit:
    """One bit of a body's last fact, so that it stays canonical JSON of the same shape."""

    def edit(rows: list[Row]) -> None:
        body = rows[at]["body"]
        rows[at]["body"] = body[:-3] + chr(ord(body[-3]) ^ 1) + body[-2:]

    return edit


EDITS: dict[str, Edit] = {
    "first entry removed": _remove(0),
    "middle entry removed": _remove(7),
    "last entry removed": _remove(-1),
    "end truncated": _truncate,
    "entry inserted": _insert(3),
    "entry doubled": _double(3),
    "entries swapped": _swap(4),
    "last entries swapped": _swap(-1),
    "bit of the first body": _bit(0),
    "bit of the last body": _bit(-1),
    "clock stepped back": _step_back,
}
CUT = {"last entry removed", "end truncated"}
"""Edits that leave a shorter chain whole in itself."""

OF_A_SHARD: dict[str, Edit] = {
    "intent removed": _remove(0),
    "outcome removed": _remove(1),
    "last entry removed": _remove(-1),
    "entry inserted": _insert(2),
    "entry doubled": _double(2),
    "entries swapped": _swap(1),
    "bit of the last body": _bit(-1),
}


def _kept_heads(signed: list[Row], _: Row) -> list[Row]:
    return signed


def _no_heads(_: list[Row], __: Row) -> list[Row]:
    return []


def _forged_head(sign: Callable[[bytes], bytes]) -> Callable[[Room], Callable[[list[Row], Row], list[Row]]]:
    return lambda room: lambda _, last: [head_of(room, last, by=sign)]


HEADS: dict[str, Callable[[Room], Callable[[list[Row], Row], list[Row]]]] = {
    "signed heads kept": lambda _: _kept_heads,
    "heads left out": lambda _: _no_heads,
    "head unsigned": _forged_head(lambda _: b""),
    "head signed by a stranger": _forged_head(Signer(name="x@x.example").key.sign),
}


def _rewritten_log(edit: Edit, heads: str) -> Callable[[Room], Change]:
    return lambda room: forged_log(room, edit, heads=HEADS[heads](room))


def _in_place(edit: Edit) -> Callable[[Room], Change]:
    """Hashes left as they were."""
    return lambda room: forged_log(room, edit, heads=_kept_heads, rehash=False)


def _of_a_shard(edit: Edit) -> Callable[[Room], Change]:
    """A shard's chain, with the batch's chain made to agree."""
    name = "/derive-0/0000"
    return lambda room: forged_log(room, edit, heads=_kept_heads, chain=room.chain + name)


def _as_custody(edit: Edit, *, keep: int = 0) -> Callable[[Room], Change]:
    return lambda room: forged_log(room, edit, heads=by_custody(room, keep=keep))


def _gate_late(rows: list[Row]) -> None:
    """A wave that began before its gate had passed."""
    kinds = [json.loads(row["body"]) for row in rows]
    opened = next(i for i, b in enumerate(kinds) if (b["kind"], b.get("wave")) == ("wave.opened", 2))
    closed = next(i for i, b in enumerate(kinds) if (b["kind"], b.get("gate")) == ("gate.closed", "wave/2"))
    rows[opened]["body"], rows[closed]["body"] = rows[closed]["body"], rows[opened]["body"]


def _other_namespace(room: Room) -> Change:
    """An approver's own signature over her own statement, for another purpose; custody vouches for it."""
    forged: list[Row] = []

    def sign(parts: Members) -> None:
        rows = [json.loads(line) for line in parts["approvals.jsonl"].splitlines()]
        row = next(row for row in rows if row["counted"])
        signer = room.batch.office.compliance
        assert json.loads(row["statement"])["approver"] == signer.name
        row["signature"] = signer.sign(row["statement"], REQUEST_NAMESPACE)
        parts["approvals.jsonl"] = lines(rows)
        forged.append(row)

    def tell(rows: list[Row]) -> None:
        for row in rows:
            body = json.loads(row["body"])
            if body.get("attempt_key") == forged[0]["attempt_key"]:
                body["signature_sha256"] = hashlib.sha256(forged[0]["signature"].encode()).hexdigest()
                row["body"] = canonical(body).decode()

    def change(parts: Members) -> None:
        sign(parts)
        forged_log(room, tell, heads=by_custody(room))(parts)

    return change


ATTACKS: dict[str, Attack] = {
    **{
        f"in place: {name}": Attack(change=_in_place(edit), found_by="head" if name in CUT else "audit")
        for name, edit in EDITS.items()
    },
    **{
        f"rehashed, {heads}: {name}": Attack(
            change=_rewritten_log(edit, heads), found_by="audit" if name.startswith("clock") else "head"
        )
        for heads in list(HEADS)[1:]
        for name, edit in EDITS.items()
    },
    **{
        f"rehashed, signed heads kept: {name}": Attack(
            change=_rewritten_log(edit, "signed heads kept"),
            found_by="head" if name in CUT else "audit",
        )
        for name, edit in EDITS.items()
    },
    **{
        f"a shard's chain: {name}": Attack(change=_of_a_shard(edit), found_by="audit")
        for name, edit in OF_A_SHARD.items()
    },
    "old heads": Attack(change=older_members("heads.json"), found_by="head"),
    "old log": Attack(change=older_members("audit.jsonl"), found_by="head"),
    "old log and heads": Attack(change=older_members("audit.jsonl", "heads.json"), found_by="head"),
    "custody forks at the signed head": Attack(change=_as_custody(told_more(-1), keep=2), found_by="head"),
    "custody forks before a signed head": Attack(change=_as_custody(told_more(0), keep=1), found_by="audit"),
    "custody sets the clock back": Attack(change=_as_custody(_step_back), found_by="audit"),
    "custody opens a wave before its gate": Attack(change=_as_custody(_gate_late), found_by="gates"),
    "custody vouches for a signature of another namespace": Attack(
        change=_other_namespace, found_by="approvals"
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_both_find_the_attack_and_name_the_same_check(room: Room, tmp_path: Path, name: str) -> None:
    """Changed, removed, inserted, swapped, cut off, replayed, forked, or with a clock that steps back."""
    attack = ATTACKS[name]
    forged = rewritten(room.bundle, tmp_path / "forged.zip", attack.change(room))
    verdict, found = agreed_checks(forged, room.trust)
    assert verdict == "FAILED"
    assert attack.found_by in found, found


def test_the_forger_forges_well(room: Room, tmp_path: Path) -> None:
    """What custody signs in place of its older heads verifies: forks fail for the head they contradict."""
    for edit, keep in ((told_more(0), 0), (told_more(-1), 1)):
        forged = rewritten(room.bundle, tmp_path / "same.zip", _as_custody(edit, keep=keep)(room))
        assert agreed(forged, room.trust) == "VERIFIED"


KEPT_BY: dict[str, tuple[Callable[[Room], tuple[Path, Path]], set[str]]] = {
    "the older one, by who has the newer": (lambda room: (room.older, room.bundle), {"kept"}),
    "another batch's": (lambda room: (room.bundle, KEPT / "001.zip"), {"kept"}),
    "no bundle at all": (lambda room: (room.bundle, room.trust), {"kept"}),
    "the newer one, by who has the older": (lambda room: (room.bundle, room.older), set()),
    "the same": (lambda room: (room.bundle, room.bundle), set()),
}


@pytest.mark.parametrize("who", KEPT_BY)
def test_a_replayed_bundle_is_found_by_who_kept_a_newer_one(room: Room, who: str) -> None:
    """A whole old bundle is genuine; only a head kept elsewhere tells that the log went on since."""
    (shown, kept), found = KEPT_BY[who][0](room), KEPT_BY[who][1]
    expected = "FAILED" if found else "VERIFIED"
    assert agreed_checks(shown, room.trust, kept=kept) == (expected, found)


def test_a_fork_that_custody_signed_anew_is_found_by_who_kept_a_head(room: Room, tmp_path: Path) -> None:
    """Two histories with one beginning, both signed: each is found by whoever holds the other."""
    fork = rewritten(room.bundle, tmp_path / "fork.zip", _as_custody(told_more(-1))(room))
    assert agreed_checks(fork, room.trust, kept=room.bundle) == ("FAILED", {"kept"})
    assert agreed_checks(room.bundle, room.trust, kept=fork) == ("FAILED", {"kept"})


def _other_key(text: str, room: Room) -> str:
    key = base64.b64encode(room.batch.office.attest_key).decode()
    return text.replace(key, base64.b64encode(bytes(range(32))).decode())


def _without_custody(text: str, room: Room) -> str:
    key = base64.b64encode(room.batch.office.attest_key).decode()
    return text.replace(f'[attest]\npublic_keys = ["{key}"]\n', "")


def _without(role: str) -> Callable[[str, Room], str]:
    return lambda text, _: text.replace(f'["{role}"]', '["observer"]')


TRUST_FILES: dict[str, tuple[Callable[[str, Room], str], str]] = {
    "another deployment": (lambda text, _: text.replace(DEPLOYMENT, "other"), "trust"),
    "no key of custody": (_without_custody, "trust"),
    "another deployment's key of custody": (_other_key, "head"),
    "the wallet officer without the role": (_without("wallet_officer"), "approvals"),
    "the compliance officers without the role": (_without("compliance_officer"), "approvals"),
    "the requester under a new name": (
        lambda text, room: text.replace(room.batch.office.requester.name, "new@acme.example"),
        "request_signature",
    ),
    "an officer who was revoked before": (
        lambda text, _: text.replace(
            '["wallet_officer"]', '["wallet_officer"]\nrevoked_at = "2020-01-01T00:00:00Z"'
        ),
        "approvals",
    ),
    "persons of another tenant": (lambda text, _: text.replace('["*"]', '["other"]'), "approvals"),
    "a floor of three": (lambda text, _: text + "[floors]\napprovals_min = 3\n", "gates"),
}


@pytest.mark.parametrize("name", TRUST_FILES)
def test_neither_verifies_with_a_trust_file_that_is_not_this_ones(
    room: Room, tmp_path: Path, name: str
) -> None:
    """Trust is the auditor's own: what was done is judged by it alone."""
    edit, found_by = TRUST_FILES[name]
    trust, text = tmp_path / "trust.toml", room.trust.read_text()
    trust.write_text(edit(text, room))
    assert trust.read_text() != text
    verdict, found = agreed_checks(room.bundle, trust)
    assert verdict == "FAILED"
    assert found_by in found


def test_a_trust_file_without_an_auditor_still_verifies_the_public_part(room: Room, tmp_path: Path) -> None:
    """Who may open the restricted part decides nothing about what is public."""
    trust = tmp_path / "trust.toml"
    trust.write_text(room.trust.read_text().replace('["auditor"]', '["observer"]'))
    assert agreed(room.bundle, trust) == "VERIFIED"


def test_a_bundle_of_before_still_verifies() -> None:
    """Logs that lack what newer ones tell are checked for what they tell; kept bundles are final."""
    for bundle in sorted(KEPT.glob("*.zip")):
        assert agreed(bundle, bundle.with_suffix(".toml")) == "VERIFIED"


@pytest.mark.parametrize("kind", FLIPS)
def test_any_flipped_bit_is_found(room: Room, tmp_path: Path, kind: Callable[..., Flips]) -> None:
    """Of the file, or of a member whose table agrees; `python -m tests.bits --all` flips every one."""
    chance = random.Random(SEED)  # noqa: S311 - a seed replays the run

    def judge(path: Path) -> bool:
        return agreed(path, room.trust) == "VERIFIED"

    done = kind(room.bundle, judge, folder=tmp_path, sample=(chance, FLIPS[kind]))
    assert done.flipped == FLIPS[kind]
    assert done.unfounded == []


def test_the_log_has_the_entries_that_the_attacks_speak_of(room: Room) -> None:
    """The table's places lie inside of the batch's chain and of the shard's."""
    parts: Any = {"audit.jsonl": b""}
    rewritten(room.bundle, room.folder / "same.zip", parts.update)
    chains = [row["chain"] for row in log_of(parts)]
    assert chains.count(room.chain) > 10
    assert chains.count(f"{room.chain}/derive-0/0000") > 2
