"""The restricted part, for an auditor who can open it: rows and verdicts are what the public roots say."""

import hashlib
import hmac
from collections import Counter
from typing import Any

from activities import merkle
from activities.canonical import canonical, digest
from activities.contracts.shapes import SLICE_SIZE
from activities.digests import VERDICT_ALGORITHMS, verdict_leaf
from activities.evidence import layout
from activities.evidence.check_wallets import WalletWalk
from activities.evidence.facts import BundleFacts
from activities.evidence.report import CheckSkippedError, require
from activities.evidence.restricted import RestrictedRow, read_rows


def check_restricted(facts: BundleFacts, walk: WalletWalk, identity: Any) -> str:
    """Opens the restricted part and recomputes leaves, roots, counts and who is eligible."""
    if not facts.reader.has(layout.RESTRICTED):
        raise CheckSkippedError("the bundle has no restricted part")
    if identity is None:
        raise CheckSkippedError("no identity was given to open the restricted part")
    subjects = _SubjectWalk(facts, walk)
    with facts.reader.stream_of(layout.RESTRICTED) as source:
        read_rows(source, identity, subjects.take)
    return subjects.end()


class _SubjectWalk:
    """Takes the subjects in order; keeps the leaves of one slice and the wallets' ordinals."""

    def __init__(self, facts: BundleFacts, walk: WalletWalk) -> None:
        self._facts = facts
        self._manifest = [row.root for row in facts.stage("intake")]
        self._screened = facts.stage("screen")
        self._holders = frozenset(walk.ordinals)
        self._leaves: list[bytes] = []
        self._verdicts: list[bytes] = []
        self._counts: Counter[str] = Counter()
        self._eligible = 0
        self._erased = 0
        self._next = 0

    def take(self, row: RestrictedRow) -> None:
        """Checks one subject by itself and adds its leaves to its slice."""
        require(row.ordinal == self._next, "restricted.age has a gap, a repetition or a swap")
        self._next += 1
        self._leaves.append(self._manifest_leaf(row))
        screened = (row.verdict, row.score, row.verdict_leaf)
        require(screened.count(None) in (0, len(screened)), "a subject's verdict is there in part")
        if row.verdict is not None:
            self._verdicts.append(self._verdict_leaf(row))
            self._counts[row.verdict] += 1
        self._require_entitled(row)
        if self._next % SLICE_SIZE == 0:
            self._end_slice()

    def end(self) -> str:
        """Checks the last slice and the numbers."""
        if self._leaves:
            self._end_slice()
        subjects = self._facts.plan.subject_count if self._facts.plan else 0
        require(self._next == subjects, "restricted.age lacks subjects")
        if self._facts.table.outcome in {"completed", "completed_with_exceptions"}:
            require(self._eligible == len(self._holders), "an eligible subject has no wallet")
        told = f", {self._erased} of them erased" if self._erased else ""
        return f"{self._next} subjects{told}: leaves, roots and verdicts recomputed"

    def _manifest_leaf(self, row: RestrictedRow) -> bytes:
        require((row.row is None) == (row.salt is None), "a subject is erased in part")
        if row.salt is None:
            self._erased += 1
            return bytes.fromhex(row.leaf)
        leaf = hmac.digest(bytes.fromhex(row.salt), canonical(row.row), hashlib.sha256)
        require(leaf.hex() == row.leaf, "a subject's row differs from its manifest leaf")
        return leaf

    def _verdict_leaf(self, row: RestrictedRow) -> bytes:
        require(row.verdict_leaf in _possible_leaves(row), "a verdict differs from its leaf")
        if row.verdict == "held" and row.verdict_detail is not None:
            said = hold_digest(self._facts.table.batch_id, row.ordinal, row.verdict_detail)
            require(said == row.hold_digest, "a hold's hits differ from its digest")
        return bytes.fromhex(str(row.verdict_leaf))

    def _require_entitled(self, row: RestrictedRow) -> None:
        decided = self._facts.adjudications.get(row.ordinal)
        if decided is not None:
            own = row.verdict == "held" and row.hold_digest == decided.hold_digest
            require(own, "people decided on a subject that was not held for that")
        cleared = decided is not None and decided.decision == "clear" and decided.tranche is not None
        eligible = row.verdict == "clear" or cleared
        self._eligible += eligible
        entitled = eligible or row.ordinal not in self._holders
        require(entitled, "a subject has a wallet without a clear verdict")

    def _end_slice(self) -> None:
        index = (self._next - 1) // SLICE_SIZE
        manifest = self._manifest[index : index + 1]
        require(manifest == [merkle.root(self._leaves).hex()], "the rows differ from the manifest")
        if self._verdicts or self._screened:
            screened = self._screened[index : index + 1]
            roots = [row.root for row in screened]
            require(roots == [merkle.root(self._verdicts).hex()], "the verdicts differ from their root")
            counted = [Counter(row.counts) for row in screened]
            require(counted == [self._counts], "a slice counts other verdicts than its subjects have")
        self._leaves, self._verdicts, self._counts = [], [], Counter()


def _possible_leaves(row: RestrictedRow) -> set[str]:
    """The leaves (hex) a verdict may have: its detail names the algorithm, a clear one has no detail."""
    detail = row.verdict_detail or {}
    algorithms = [detail["algorithm"]] if "algorithm" in detail else VERDICT_ALGORITHMS
    return {
        verdict_leaf(
            ordinal=row.ordinal,
            verdict=str(row.verdict),
            score=float(str(row.score)),
            hold_digest=row.hold_digest or "",
            algorithm=str(algorithm),
        ).hex()
        for algorithm in algorithms
    }


def hold_digest(batch_id: str, ordinal: int, detail: dict[str, Any]) -> str:
    """The digest (hex) of what a subject is held for: entries of lists and their scores."""
    lists = detail.get("list_digests", {})
    hits = [
        {
            "list_id": hit.get("list_id"),
            "list_digest": lists.get(hit.get("list_id")),
            "entry_id": hit.get("entry_id"),
            "score": hit.get("score"),
        }
        for hit in detail.get("hits", [])
    ]
    return digest({"batch_id": batch_id, "ordinal": ordinal, "hits": hits})
