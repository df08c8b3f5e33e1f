"""Audit logs forged by somebody with every key: each breaks one rule, and its check says which."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activities.canonical import canonical_text
from activities.evidence import layout
from tests.integration import other_ends
from tests.integration.forgeries import Forgery, require_refused
from tests.integration.pages import Row
from tests.integration.resealing import Dossier, Edit

pytestmark = pytest.mark.usefixtures("one_proof")

OTHER = "ab" * 32


def _own(made: Dossier) -> list[Row]:
    return made.rows(layout.AUDIT, chain=made.chain)


def _last(change: Callable[[Row], object], *, hashed: bool = True) -> Edit:
    """Changes the batch chain's last entry; custody signs it as it then stands."""

    def edit(made: Dossier) -> None:
        row = _own(made)[-1]
        change(row)
        if hashed:
            content = bytes.fromhex(row["prev"]) + row["seq"].to_bytes(8, "big")
            content += f"{row['recorded_at']}\n{canonical_text(row['body'])}".encode()
            row["hash"] = hashlib.sha256(content).hexdigest()
        made.parts[layout.HEADS] = {"heads": [made.head(row)]}

    return edit


def _heads(change: Callable[[Dossier], list[Row]]) -> Edit:
    return lambda made: made.parts.update({layout.HEADS: {"heads": change(made)}})


def _shard_first(made: Dossier) -> None:
    """The last shard's chain stands ahead of all others."""
    log = made.parts[layout.AUDIT]
    made.parts[layout.AUDIT] = log[-2:] + log[:-2]


def _clock_back(made: Dossier) -> None:
    _own(made)[5]["recorded_at"] = "2020-01-01T00:00:00.000000Z"


def _chain_more(name: str) -> Edit:
    """One more chain, chained into the batch's own as shards are."""

    def edit(made: Dossier) -> None:
        chain = name.format(own=made.chain)
        # A head of nothing is followed through like one that was there before.
        made.tell("shard.closed", chain=chain, seq=1, head=None)
        made.parts[layout.AUDIT].append({**_own(made)[-1], "chain": chain, "body": {"kind": "note"}})

    return edit


def _again(kind: str, **where: Any) -> Edit:
    """Tells an entry twice."""

    def edit(made: Dossier) -> None:
        log, row = made.parts[layout.AUDIT], made.entries(kind, **where)[-1]
        log.insert(log.index(row) + 1, {**row, "body": dict(row["body"])})

    return edit


def _chained_by_a_shard(made: Dossier) -> None:
    log = made.parts[layout.AUDIT]
    first = made.rows(layout.AUDIT, chain=f"{made.chain}/derive-0/0000")[-1]
    body = dict(made.told("shard.closed", chain=f"{made.chain}/derive-1/0000"))
    log.insert(log.index(first) + 1, {**first, "body": body})


def _without_its_end(made: Dossier) -> None:
    made.untell("shard.closed", chain=f"{made.chain}/derive-1/0000")


CHAINS: dict[str, Forgery] = {
    name: Forgery(check="audit_chains", sentence=sentence, edit=edit, after=after)
    for name, sentence, edit, after in (
        (
            "a number left out",
            "an audit chain has a gap, a repetition or a swap",
            lambda _: None,
            _last(lambda row: row.update(seq=row["seq"] + 1)),
        ),
        (
            "a link to nothing",
            "an audit entry does not continue the one before it",
            lambda _: None,
            _last(lambda row: row.update(prev=OTHER)),
        ),
        (
            "another hash",
            "an audit entry differs from its hash",
            lambda _: None,
            _last(lambda row: row.update(hash=OTHER), hashed=False),
        ),
        ("the clock set back", "an audit chain's clock runs backwards", _clock_back, None),
        ("a list", "an audit entry has no kind", lambda _: None, _last(lambda row: row.update(body=[]))),
        (
            "a number for a kind",
            "an audit entry has no kind",
            lambda _: None,
            _last(lambda row: row.update(body={"kind": 5})),
        ),
        (
            "an outcome out of nowhere",
            "an outcome has no record of its intent before it",
            lambda made: made.untell("slice.intent", stage="derive", tranche=0),
            None,
        ),
        (
            "the intent of another slice",
            "an outcome has no record of its intent before it",
            lambda made: made.told("slice.intent", stage="derive", tranche=0).update(slice_index=1),
            None,
        ),
        (
            "no log",
            "the batch's own audit chain is missing",
            lambda _: None,
            lambda made: made.parts[layout.AUDIT].clear(),
        ),
        (
            "a chain of another head",
            "an attested or chained head differs from its entry",
            lambda made: made.told("shard.closed").update(head=OTHER),
            None,
        ),
        (
            "a head of another entry",
            "an attested or chained head differs from its entry",
            lambda _: None,
            lambda made: made.parts[layout.HEADS]["heads"].insert(
                0, made.head({**_own(made)[3], "hash": OTHER})
            ),
        ),
        ("a shard first", "the audit chains are not in their order", lambda _: None, _shard_first),
        (
            "another batch's chain",
            "an audit chain belongs to another batch",
            _chain_more("batch/zzz"),
            None,
        ),
        (
            "a chain of a longer name",
            "an audit chain belongs to another batch",
            _chain_more("{own}0"),
            None,
        ),
        (
            "a shard without its end",
            "the shard chains do not end at the heads chained into the batch's chain",
            _without_its_end,
            None,
        ),
        (
            "a shard closed by a shard",
            "a head is chained outside the batch's own chain",
            _chained_by_a_shard,
            None,
        ),
        (
            "a range told twice",
            "a range was verified twice in the audit log",
            _again("range.verified", tranche=0),
            None,
        ),
        (
            "a slice told twice",
            "a slice has two outcomes in the audit log",
            _again("slice.outcome", stage="screen"),
            None,
        ),
    )
}


def _message(old: str, new: str) -> Edit:
    """Another text for custody's word on the head, which custody did not sign."""

    def edit(made: Dossier) -> None:
        head = made.parts[layout.HEADS]["heads"][0]
        assert old in head["message"]
        head["message"] = head["message"].replace(old, new)

    return edit


NOT_THIS_CHAIN = "an attestation is not about this batch's audit chain"

HEADS: dict[str, Forgery] = {
    name: Forgery(check="audit_head", sentence=sentence, after=after)
    for name, sentence, after in (
        ("no head", "no head of the batch's audit chain is attested", _heads(lambda _: [])),
        (
            "one head twice",
            "the attested heads are not in their order",
            _heads(lambda made: made.parts[layout.HEADS]["heads"] * 2),
        ),
        (
            "the head before",
            "the audit chain does not end at its attested head",
            _heads(lambda made: [made.head(_own(made)[-2])]),
        ),
        (
            "made at another time",
            "made_at is not the time of the attested entry",
            lambda made: made.table.update(made_at="2099-01-01T00:00:00.000000Z"),
        ),
        (
            "a head nobody signed",
            "no pinned key signed an attestation of the audit chain",
            lambda made: made.parts[layout.HEADS]["heads"][0].update(signature="QUFB"),
        ),
        ("a head of another kind", NOT_THIS_CHAIN, _message('"kind":"head"', '"kind":"slice"')),
        ("a head in other words", NOT_THIS_CHAIN, _message('{"batch_id"', '{ "batch_id"')),
        ("a head without its number", NOT_THIS_CHAIN, _message('"seq"', '"sep"')),
        ("a head that is none", NOT_THIS_CHAIN, _message("{", "")),
    )
}

SLICES: dict[str, Forgery] = {
    name: Forgery(check="audit_slices", sentence=sentence, edit=edit, besides=frozenset(besides))
    for name, sentence, edit, besides in (
        (
            "a range that counts more",
            "a verified range counts something else",
            lambda made: [
                counts.update(more=1)
                for counts in (made.row(layout.SLICES, stage="verify")["counts"], made.told("range.verified"))
            ],
            (),
        ),
        (
            "a range of fewer addresses",
            "a verified range differs from the one in the audit log",
            lambda made: made.row(layout.SLICES, stage="verify")["counts"].update(checked=17),
            (),
        ),
        (
            "a longer range",
            "a verified range differs from the one in the audit log",
            lambda made: made.row(layout.SLICES, stage="verify").update(length=13),
            (),
        ),
        (
            "a range too few",
            "the audit log tells of a verified range that is missing",
            lambda made: made.drop(layout.SLICES, stage="verify", tranche=1),
            ("wallets",),
        ),
        (
            "signed verdicts",
            "a slice carries a signature that its stage does not have, or lacks one",
            lambda made: made.row(layout.SLICES, stage="screen").update(signature="QUFB"),
            (),
        ),
        (
            "a slice too many",
            "the audit log does not tell of a slice",
            lambda made: made.parts[layout.SLICES].append(
                {
                    **made.parts[layout.SLICES][-1],
                    "slice_index": 1,
                    "row_count": 0,
                    "root": hashlib.sha256().hexdigest(),
                }
            ),
            (),
        ),
        (
            "a slice that counts more",
            "a slice differs from its outcome in the audit log",
            lambda made: made.row(layout.SLICES, stage="wave/3")["counts"].update(active=3),
            (),
        ),
        (
            "a longer slice",
            "a slice differs from its outcome in the audit log",
            lambda made: made.row(layout.SLICES, stage="wave/1").update(length=3),
            (),
        ),
        (
            "a slice too few",
            "the audit log tells of a slice that is missing",
            lambda made: made.drop(layout.SLICES, stage="wave/3"),
            ("wallets",),
        ),
    )
}


def _waves(made: Dossier) -> list[Row]:
    waves: list[Row] = made.parts[layout.WAVES]["waves"]
    return waves


def _wave_of_a_rejected_batch(made: Dossier) -> None:
    wave = _waves(made)[0]
    other_ends.rejected(made)
    _waves(made).append({**wave, "outcome": ""})


def _ended_as(outcome: str) -> Edit:
    return lambda made: made.table.update(outcome=outcome)


ENDS: dict[str, Forgery] = {
    name: Forgery(check=check, sentence=sentence, edit=edit, after=after, besides=frozenset(besides))
    for name, check, sentence, edit, after, besides in (
        (
            "a larger wave",
            "waves",
            "the waves differ from those in the audit log",
            lambda made: _waves(made)[0].update(percent=11),
            None,
            (),
        ),
        (
            "a wave that failed",
            "waves",
            "a wave ended otherwise than the audit log says",
            lambda made: _waves(made)[0].update(outcome="failed"),
            None,
            (),
        ),
        (
            "a wave after the end",
            "waves",
            "the waves differ from those in the audit log",
            _wave_of_a_rejected_batch,
            None,
            (),
        ),
        (
            "no waves",
            "waves",
            "the waves differ from those in the audit log",
            lambda made: _waves(made).clear(),
            None,
            ("wallets",),
        ),
        (
            "another end",
            "outcome",
            "the outcome differs from the one in the audit log",
            _ended_as("completed"),
            None,
            (),
        ),
        (
            "an end out of nowhere",
            "outcome",
            "the outcome differs from the one in the audit log",
            lambda made: made.untell("batch.ended"),
            None,
            (),
        ),
        (
            "no end",
            "outcome",
            "the outcome differs from the one in the audit log",
            _ended_as(""),
            None,
            (),
        ),
        (
            "a history first",
            "histories",
            "the histories are not in their order",
            lambda _: None,
            lambda made: made.parts[layout.HISTORIES].sort(key=lambda row: row["workflow_id"], reverse=True),
            (),
        ),
        (
            "an event too few",
            "histories",
            "a history has a gap or a repetition",
            lambda _: None,
            lambda made: made.drop(layout.HISTORIES, event_id=3),
            (),
        ),
        (
            "no history of its own",
            "histories",
            "the history of the batch's own workflow is missing",
            lambda _: None,
            lambda made: made.drop(layout.HISTORIES, workflow_id=made.table["batch_id"]),
            (),
        ),
    )
}

FORGERIES = {**CHAINS, **HEADS, **SLICES, **ENDS}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_log_fails_the_check_it_is_against(whole: Dossier, tmp_path: Path, name: str) -> None:
    """Each rule about the log stands by itself: without it the forgery would verify."""
    require_refused(whole, tmp_path, FORGERIES[name])
