"""Bundles that somebody rewrote, table and all: every forgery fails a check."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from activities.evidence.verify import verify_bundle
from tests.integration.builders import BatchOnRecord
from tests.integration.forgeries import failures
from tests.integration.office import an_office, private_key
from tests.integration.store_fixtures import Databases
from tests.integration.tampering import (
    Change,
    Members,
    document,
    edited,
    failed,
    members,
    replaced,
    rewritten,
)

Row = dict[str, Any]


@pytest.fixture(scope="module")
def batch(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> BatchOnRecord:
    """A batch that went all the way, with holds, refusals and a withheld subject."""
    made = BatchOnRecord(databases=databases, office=an_office(tmp_path_factory.mktemp("office")))
    made.complete()
    return made


@pytest.fixture(scope="module")
async def bundle(batch: BatchOnRecord) -> Path:
    """Its bundle."""
    _, path = await batch.bundle()
    return path


def _flip(field: str) -> Callable[[list[Row]], None]:
    """Changes one hexadecimal digit of a field in the first row that has it."""

    def edit(rows: list[Row]) -> None:
        row = next(row for row in rows if row.get(field))
        last = row[field][-1]
        row[field] = row[field][:-1] + ("0" if last != "0" else "1")

    return edit


def _set(field: str, value: Any, *, where: Callable[[Row], bool] = bool) -> Callable[[list[Row]], None]:
    def edit(rows: list[Row]) -> None:
        row = next(row for row in rows if where(row) and row[field] != value)
        row[field] = value

    return edit


def _swap(rows: list[Row]) -> None:
    rows[0], rows[1] = rows[1], rows[0]


def _drop_last(rows: list[Row]) -> None:
    rows.pop()


def _drop_first(rows: list[Row]) -> None:
    rows.pop(0)


def _repeat(rows: list[Row]) -> None:
    rows.append(dict(rows[-1]))


def _swap_addresses(rows: list[Row]) -> None:
    rows[0]["address"], rows[2]["address"] = rows[2]["address"], rows[0]["address"]
    rows[0]["possession"], rows[2]["possession"] = rows[2]["possession"], rows[0]["possession"]


def _rehashed(rows: list[Row]) -> None:
    """A forged log whose hashes agree with each other again."""
    body = json.loads(rows[1]["body"])
    rows[1]["body"] = json.dumps({**body, "forged": 1}, sort_keys=True, separators=(",", ":"))
    chain, prev = rows[0]["chain"], "0" * 64
    for row in rows:
        if row["chain"] != chain:
            break
        row["prev"] = prev
        content = bytes.fromhex(prev) + row["seq"].to_bytes(8, "big")
        content += f"{row['recorded_at']}\n{row['body']}".encode()
        row["hash"] = prev = hashlib.sha256(content).hexdigest()


LINES = (
    "gates.jsonl",
    "approvals.jsonl",
    "slices.jsonl",
    "adjudications.jsonl",
    "wallets.jsonl",
    "audit.jsonl",
)
SHAPES = {"swap": _swap, "drop last": _drop_last, "drop first": _drop_first, "repeat": _repeat}

FORGERIES: dict[str, Change] = {
    **{f"{name}: {what}": edited(name, edit) for name in LINES for what, edit in SHAPES.items()},
    **{
        f"histories: {what}": edited("histories.jsonl", SHAPES[what])
        for what in ("swap", "drop first", "repeat")
    },
    "request: another purpose": document("request.json", lambda r: r.update(purpose="campaign")),
    "request: another requester": document("request.json", lambda r: r.update(requested_by="x@acme.example")),
    "plan: fewer subjects": document("plan.json", lambda p: p.update(subject_count=11)),
    "plan: another root": document("plan.json", lambda p: p.update(manifest_root="ab" * 32)),
    "policy: looser": replaced("policy.toml", b"wallet_officer = 1", b"wallet_officer = 2"),
    "policy: a space": replaced("policy.toml", b"SG", b"SG "),
    "evidence: other counts": document("evidence-0.json", lambda e: e["counts"].update(clear=9)),
    "evidence: another list": document(
        "evidence-0.json", lambda e: e["list_digests"].update({"ofac-sdn": "44" * 32})
    ),
    "evidence: late one gone": lambda parts: parts.pop("evidence-1.json"),
    "lists: another digest": document("lists.json", lambda d: d["lists"][0].update(digest="55" * 32)),
    "lists: one gone": document("lists.json", lambda d: d["lists"].pop()),
    "lists: applied later": document("lists.json", lambda d: d["lists"][-1].update(applied_in_wave=3)),
    "withholdings: gone": lambda parts: parts.update({"withholdings.jsonl": b""}),
    "withholdings: another list": edited("withholdings.jsonl", _flip("list_digest")),
    "withholdings: later": edited("withholdings.jsonl", _set("before_wave", 3)),
    "gates: rejected passes": edited("gates.jsonl", _set("outcome", "rejected")),
    "gates: longer open": edited("gates.jsonl", _set("expires_at", "2099-01-01T00:00:00.000000Z")),
    "gates: fewer persons": edited("gates.jsonl", lambda rows: rows[0]["terms"].update(roles={})),
    "approvals: refused counts": edited("approvals.jsonl", _set("counted", True)),
    "approvals: counted refused": edited("approvals.jsonl", _set("counted", False)),
    "approvals: another reason": edited("approvals.jsonl", _set("reason_code", "expired")),
    "approvals: statement": replaced("approvals.jsonl", b"Looked at it.", b"Looked at it!"),
    "approvals: earlier": edited("approvals.jsonl", _set("received_at", "2020-01-01T00:00:00.000000Z")),
    "approvals: signature": edited(
        "approvals.jsonl", lambda rows: rows[1].update(signature=rows[2]["signature"])
    ),
    "slices: root": edited("slices.jsonl", _flip("root")),
    "slices: counts": edited("slices.jsonl", lambda rows: rows[-1]["counts"].update(active=1)),
    "slices: length": edited("slices.jsonl", _set("length", 11, where=lambda row: row["stage"] == "derive")),
    "slices: signature": edited(
        "slices.jsonl", _set("signature", "QUFB", where=lambda row: row["stage"] == "derive")
    ),
    "adjudications: cleared": edited("adjudications.jsonl", _set("decision", "clear")),
    "adjudications: hold digest": edited("adjudications.jsonl", _flip("hold_digest")),
    "adjudications: tranche": edited("adjudications.jsonl", _set("tranche", 1)),
    "waves: longer": document("waves.json", lambda d: d["waves"][0].update(length=3)),
    "waves: outcome": document("waves.json", lambda d: d["waves"][0].update(outcome="failed")),
    "waves: one gone": document("waves.json", lambda d: d["waves"].pop()),
    "wallets: address": edited("wallets.jsonl", _flip("address")),
    "wallets: addresses swapped": edited("wallets.jsonl", _swap_addresses),
    "wallets: possession": edited("wallets.jsonl", _flip("possession")),
    "wallets: path": edited("wallets.jsonl", _set("path", "m/44'/60'/0'/0/99")),
    "wallets: account": edited(
        "wallets.jsonl", lambda rows: [r.update(path=r["path"].replace("0'/0/", "1'/0/")) for r in rows]
    ),
    "wallets: state": edited("wallets.jsonl", _set("state", "frozen", where=lambda r: r["wave"] == 1)),
    "wallets: revoked": edited("wallets.jsonl", _set("state", "revoked", where=lambda r: r["wave"] is None)),
    "wallets: activated": edited(
        "wallets.jsonl", lambda rows: [r.update(state="active", wave=2) for r in rows if r["wave"] is None]
    ),
    "wallets: wave": edited("wallets.jsonl", _set("wave", 1)),
    "wallets: tranche": edited("wallets.jsonl", _set("tranche", 1)),
    "wallets: another subject's": edited(
        "wallets.jsonl", lambda rows: [r.update(ordinal=8) for r in rows[-2:]]
    ),
    "wallets: all gone": lambda parts: parts.update({"wallets.jsonl": b""}),
    "audit: body": replaced("audit.jsonl", b"approved", b"rejected"),
    "audit: time": edited("audit.jsonl", _set("recorded_at", "2020-01-01T00:00:00.000000Z")),
    "audit: hash": edited("audit.jsonl", _flip("hash")),
    "audit: rehashed": edited("audit.jsonl", _rehashed),
    "audit: another batch's": edited("audit.jsonl", lambda rows: rows[-1].update(chain="batch/zzz")),
    "heads: none": document("heads.json", lambda d: d.update(heads=[])),
    "heads: signature": document("heads.json", lambda d: d["heads"][0].update(signature="QUFB")),
    "heads: older": replaced("heads.json", b"seq", b"sep"),
    "table: outcome": document("bundle.json", lambda d: d.update(outcome="completed")),
    "table: tenant": document("bundle.json", lambda d: d.update(tenant="other")),
    "table: deployment": document("bundle.json", lambda d: d.update(deployment="acme-test")),
    "table: time": document("bundle.json", lambda d: d.update(made_at="2020-01-01T00:00:00.000000Z")),
    "table: version": document("bundle.json", lambda d: d.update(v=2)),
    "table: unknown field": document("bundle.json", lambda d: d.update(more=1)),
    "unknown field": edited("wallets.jsonl", lambda rows: rows[0].update(more=1)),
    "two spellings": replaced("wallets.jsonl", b'{"address"', b'{ "address"'),
    "cut off": lambda parts: parts.update({"audit.jsonl": parts["audit.jsonl"][:-1]}),
    "not UTF-8": replaced("slices.jsonl", b"intake", b"int\xffke"),
}

FOUND: dict[tuple[str, str], tuple[str, ...]] = {
    ("gates", "the gates differ from those in the audit log"): (
        "gates.jsonl: swap",
        "gates.jsonl: drop last",
        "gates.jsonl: drop first",
        "gates.jsonl: repeat",
        "gates: longer open",
    ),
    ("approvals", "approvals.jsonl is not in its order"): ("approvals.jsonl: swap",),
    ("approvals", "the attempts differ from those in the audit log"): (
        "approvals.jsonl: drop last",
        "approvals.jsonl: drop first",
        "approvals.jsonl: repeat",
    ),
    ("members", "slices.jsonl is not in its order"): ("slices.jsonl: swap", "slices.jsonl: repeat"),
    ("audit_slices", "the audit log tells of a slice that is missing"): (
        "slices.jsonl: drop last",
        "slices.jsonl: drop first",
    ),
    ("members", "adjudications or withholdings are not in their order"): (
        "adjudications.jsonl: swap",
        "adjudications.jsonl: repeat",
    ),
    ("evidence", "the adjudications are others"): (
        "adjudications.jsonl: drop last",
        "adjudications.jsonl: drop first",
        "adjudications: cleared",
        "adjudications: hold digest",
        "adjudications: tranche",
    ),
    ("wallets", "a subject lacks a wallet or has one twice"): (
        "wallets.jsonl: swap",
        "wallets.jsonl: drop last",
        "wallets.jsonl: drop first",
        "wallets.jsonl: repeat",
    ),
    ("audit_chains", "an audit chain has a gap, a repetition or a swap"): (
        "audit.jsonl: swap",
        "audit.jsonl: drop first",
        "audit.jsonl: repeat",
    ),
    ("audit_chains", "the shard chains do not end at the heads chained into the batch's chain"): (
        "audit.jsonl: drop last",
    ),
    ("histories", "a history has a gap or a repetition"): (
        "histories: swap",
        "histories: drop first",
        "histories: repeat",
    ),
    ("request", "the request differs from the one that was claimed"): (
        "request: another purpose",
        "request: another requester",
    ),
    ("plan", "the manifest root differs from the intake slices"): ("plan: another root",),
    ("plan", "the policy's text is another"): ("policy: looser",),
    ("waves", "the policy is not valid"): ("policy: a space",),
    ("evidence", "the evidence differs from what was sealed"): (
        "evidence: other counts",
        "evidence: another list",
    ),
    ("evidence", "the evidence names other lists than were pinned"): ("lists: another digest",),
    ("lists", "the lists differ from those in the audit log"): ("lists: one gone", "lists: applied later"),
    ("lists", "the audit log tells of other withheld subjects"): (
        "withholdings: gone",
        "withholdings: later",
    ),
    ("lists", "a subject is withheld by a list that was not applied"): ("withholdings: another list",),
    ("gates", "a gate's end differs from the audit log"): ("gates: rejected passes",),
    ("gates", "a gate asked for others than the policy"): ("gates: fewer persons",),
    ("approvals", "an attempt ended otherwise than the audit log says"): (
        "approvals: refused counts",
        "approvals: counted refused",
        "approvals: another reason",
    ),
    ("approvals", "an attempt's statement differs from the one in the audit log"): ("approvals: statement",),
    ("approvals", "an attempt came at another time than it was logged"): ("approvals: earlier",),
    ("approvals", "an attempt's signature differs from the one in the audit log"): ("approvals: signature",),
    ("audit_slices", "a slice differs from its outcome in the audit log"): ("slices: root", "slices: counts"),
    ("wallet_signatures", "no pinned key signed a slice of addresses"): (
        "slices: length",
        "slices: signature",
    ),
    ("waves", "the waves differ from those in the audit log"): ("waves: longer", "waves: one gone"),
    ("waves", "a wave is another than the plan has next"): (
        "plan: fewer subjects",
        "evidence: late one gone",
    ),
    ("waves", "a wave ended otherwise than the audit log says"): ("waves: outcome",),
    ("wallets", "a proof of possession does not belong to its address"): (
        "wallets: address",
        "wallets: addresses swapped",
        "wallets: possession",
        "wallets: account",
    ),
    ("wallets", "a wallet's path is not the chain registry's for its subject"): ("wallets: path",),
    ("wallet_states", "the audit log tells of other frozen wallets"): ("wallets: state",),
    ("wallet_states", "the audit log tells of other revoked wallets"): ("wallets: revoked",),
    ("wallets", "a withheld subject's wallet was activated"): ("wallets: activated",),
    ("wallets", "a wallet is active in a wave that does not hold its position"): ("wallets: wave",),
    ("wallets", "a subject's wallets are of two tranches"): ("wallets: tranche",),
    ("wallets", "the wallets are not in their order"): ("wallets: another subject's",),
    ("wallets", "the wallets of a slice differ from the root custody signed"): ("wallets: all gone",),
    ("audit_chains", "an audit entry differs from its hash"): ("audit: body", "audit: time", "audit: hash"),
    ("audit_chains", "an attested or chained head differs from its entry"): ("audit: rehashed",),
    ("audit_chains", "an audit chain belongs to another batch"): ("audit: another batch's",),
    ("audit_head", "no head of the batch's audit chain is attested"): ("heads: none",),
    ("audit_head", "no pinned key signed an attestation of the audit chain"): ("heads: signature",),
    ("audit_head", "an attestation is not about this batch's audit chain"): ("heads: older",),
    ("outcome", "the outcome differs from the one in the audit log"): ("table: outcome",),
    ("request", "the request is another batch's"): ("table: tenant",),
    ("trust", "the bundle is of another deployment than the trust file"): ("table: deployment",),
    ("audit_head", "made_at is not the time of the attested entry"): ("table: time",),
    ("members", "bundle.json does not have the published shape"): ("table: version", "table: unknown field"),
    ("wallets", "wallets.jsonl does not have the published shape"): ("unknown field",),
    ("wallets", "wallets.jsonl is not canonical JSON"): ("two spellings",),
    ("audit_chains", "audit.jsonl does not end with a line feed"): ("cut off",),
    ("members", "slices.jsonl is not UTF-8"): ("not UTF-8",),
}
"""The first check that finds a forgery, and what it says: the rest may fail as well."""
FOUND_BY = {name: found for found, names in FOUND.items() for name in names}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forgery_with_an_agreeing_table_is_found(
    batch: BatchOnRecord, bundle: Path, tmp_path: Path, forgery: str
) -> None:
    """Whoever rewrites any part and the table with it still cannot sign for custody or the approvers."""
    forged = rewritten(bundle, tmp_path / "forged.zip", FORGERIES[forgery])
    report = verify_bundle(forged, batch.office.trust)
    assert not report.ok
    assert next(iter(failures(report).items())) == FOUND_BY[forgery]


@pytest.mark.parametrize("name", ["request.json", "wallets.jsonl", "restricted.age", "histories.jsonl"])
async def test_one_flipped_bit_is_found(
    batch: BatchOnRecord, bundle: Path, tmp_path: Path, name: str
) -> None:
    """Without an agreeing table any bit of any member is enough."""

    def flip(parts: Members) -> None:
        content = bytearray(parts[name])
        content[len(content) // 2] ^= 1
        parts[name] = bytes(content)

    forged = rewritten(bundle, tmp_path / "forged.zip", flip, table=False)
    assert failed(verify_bundle(forged, batch.office.trust)) == ["members"]


async def test_a_forged_restricted_part_does_not_open(
    batch: BatchOnRecord, bundle: Path, tmp_path: Path
) -> None:
    """Personal data replaced under the auditor's public key differs from the public roots."""
    identity = pyrage.ssh.Identity.from_buffer(private_key(batch.office.auditor))
    other = BatchOnRecord(databases=batch.databases, office=batch.office)
    other.complete()
    _, path = await other.bundle()
    foreign = members(path)["restricted.age"]
    forged = rewritten(
        bundle, tmp_path / "forged.zip", lambda parts: parts.update({"restricted.age": foreign})
    )
    report = verify_bundle(forged, batch.office.trust, restricted_identity=identity)
    assert failed(report) == ["restricted"]


async def test_members_may_not_be_unknown_double_or_missing(
    batch: BatchOnRecord, bundle: Path, tmp_path: Path
) -> None:
    """The names of a bundle are fixed."""
    trust = batch.office.trust
    extra = rewritten(bundle, tmp_path / "extra.zip", lambda parts: parts.update({"../evil": b"x"}))
    assert failed(verify_bundle(extra, trust)) == ["container"]
    missing = rewritten(bundle, tmp_path / "missing.zip", lambda parts: parts.pop("audit.jsonl"))
    assert failed(verify_bundle(missing, trust)) == ["container"]
    twice = rewritten(bundle, tmp_path / "twice.zip", lambda _: None)
    with zipfile.ZipFile(twice, "a") as appended, pytest.warns(UserWarning, match="Duplicate name"):
        appended.writestr("wallets.jsonl", b"")
    assert failed(verify_bundle(twice, trust)) == ["container"]
