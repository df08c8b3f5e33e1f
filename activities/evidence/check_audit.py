"""The audit log: hashes recomputed, chains whole, shard heads chained, the batch's head attested."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE
from activities.digests import head_message
from activities.evidence import layout
from activities.evidence.attested import signed_by_one
from activities.evidence.check_plan import policy_decision
from activities.evidence.facts import AuditFacts, BundleFacts, Entry
from activities.evidence.reader import canonical_value, loose_json
from activities.evidence.report import CheckSkippedError, require
from activities.evidence.rows import AuditRow, HeadRow, HistoryRow, SliceRow

_INTENT: Final = ".intent"
_OUTCOME: Final = ".outcome"
_START: Final = "0" * 64


class _Chain:
    """One chain as it is read: where it stands, and which intents it has stated."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seq = 0
        self.hash = _START
        self.recorded_at = ""
        self._intents: set[tuple[Any, ...]] = set()

    def take(self, row: AuditRow) -> dict[str, Any]:
        """Adds an entry and gives its body."""
        require(row.seq == self.seq + 1, "an audit chain has a gap, a repetition or a swap")
        require(row.prev == self.hash, "an audit entry does not continue the one before it")
        require(entry_hash(row) == row.hash, "an audit entry differs from its hash")
        require(row.recorded_at >= self.recorded_at, "an audit chain's clock runs backwards")
        self.seq, self.hash, self.recorded_at = row.seq, row.hash, row.recorded_at
        body = canonical_value(row.body, what="an audit entry")
        require(isinstance(body, dict) and isinstance(body.get("kind"), str), "an audit entry has no kind")
        self._pair(body)
        return dict(body)

    def _pair(self, body: dict[str, Any]) -> None:
        kind = body["kind"]
        of_what = tuple(body.get(name) for name in ("stage", "tranche", "slice_index"))
        if kind.endswith(_INTENT):
            self._intents.add((kind.removesuffix(_INTENT), *of_what))
        elif kind.endswith(_OUTCOME):
            stated = (kind.removesuffix(_OUTCOME), *of_what) in self._intents
            require(stated, "an outcome has no record of its intent before it")


def entry_hash(row: AuditRow) -> str:
    """The hash (hex) over previous hash, sequence number, time and body of an entry."""
    content = bytes.fromhex(row.prev) + row.seq.to_bytes(8, "big")
    return hashlib.sha256(content + f"{row.recorded_at}\n{row.body}".encode()).hexdigest()


def check_chains(facts: BundleFacts, found: AuditFacts) -> str:
    """Recomputes every chain and gathers what it says; the batch's own chain comes first."""
    chain = _Chain("")
    expected = _attested_hashes(facts)
    total = 0
    for row in facts.reader.stream(layout.AUDIT, AuditRow):
        if row.chain != chain.name:
            _end_chain(found, chain)
            require(row.chain > chain.name, "the audit chains are not in their order")
            own = row.chain == facts.batch_chain or row.chain.startswith(facts.batch_chain + "/")
            require(own, "an audit chain belongs to another batch")
            chain = _Chain(row.chain)
        body = chain.take(row)
        wanted = expected.get((row.chain, row.seq), row.hash)
        require(wanted == row.hash, "an attested or chained head differs from its entry")
        _gather(facts, found, row, body, expected)
        total += 1
    _end_chain(found, chain)
    require(facts.batch_chain in found.ends, "the batch's own audit chain is missing")
    _require_shards_closed(found, facts.batch_chain)
    return f"{total} entries in {len(found.ends)} chains, hashes recomputed"


def check_heads(facts: BundleFacts, found: AuditFacts) -> str:
    """The last attestation must be of the chain's last entry, and all must be signed."""
    require(facts.heads, "no head of the batch's audit chain is attested")
    said = [_said_of(facts, head) for head in facts.heads]
    rising = all(a["seq"] < b["seq"] for a, b in pairwise(said))
    require(rising, "the attested heads are not in their order")
    at_end = (said[-1]["seq"], said[-1]["head"]) == found.ends[facts.batch_chain]
    require(at_end, "the audit chain does not end at its attested head")
    made_at = found.entries[-1].recorded_at
    require(facts.table.made_at == made_at, "made_at is not the time of the attested entry")
    if facts.trust is None:
        raise CheckSkippedError("custody's keys are not pinned")
    for head in facts.heads:
        signed = signed_by_one(facts.trust.attest_keys, head.message.encode(), head.signature)
        require(signed, "no pinned key signed an attestation of the audit chain")
    return f"{len(facts.heads)} attested heads, the last one at the chain's end"


def check_kept(facts: BundleFacts, found: AuditFacts, kept: Sequence[HeadRow]) -> str:
    """Heads that the auditor kept from before stand in this log: it was neither cut off nor forked since."""
    held = {entry.seq: entry.hash for entry in found.entries}
    for head in kept:
        said = _said_of(facts, head)
        require(said["seq"] in held, "the audit log ends before a head that was kept from before")
        require(
            held[said["seq"]] == said["head"], "the audit log is another than a kept head was signed over"
        )
        if facts.trust is not None:
            signed = signed_by_one(facts.trust.attest_keys, head.message.encode(), head.signature)
            require(signed, "no pinned key signed a head that was kept from before")
    require(kept, "no head was kept from before")
    return f"{len(kept)} heads from before stand in the log"


def check_slices(facts: BundleFacts, found: AuditFacts) -> str:
    """Every slice has the outcome that was committed with it, and every outcome its slice."""
    ranges = [row for row in facts.slices if row.stage == "verify"]
    for row in ranges:
        _require_verified(row, found.verified.get((row.tranche, row.slice_index), {}))
    require(len(found.verified) == len(ranges), "the audit log tells of a verified range that is missing")
    for row in facts.slices:
        signed = (row.signature is not None) == (row.stage == "derive")
        require(signed, "a slice carries a signature that its stage does not have, or lacks one")
        if row.stage != "verify":
            _require_told(row, found)
    committed = len(found.outcomes) == len(facts.slices) - len(ranges)
    require(committed, "the audit log tells of a slice that is missing")
    return f"{len(facts.slices)} slices agree with the audit log"


def check_waves(facts: BundleFacts, found: AuditFacts) -> str:
    """The waves are those that the audit log says were opened."""
    if not facts.waves and not found.of_kind("wave.opened"):
        raise CheckSkippedError("no wave was opened")
    names = ("wave", "tranche", "first_position", "length", "percent")
    told = [tuple(entry.facts.get(name) for name in names) for entry in found.of_kind("wave.opened")]
    held = [tuple(getattr(row, name) for name in names) for row in facts.waves.values()]
    require(told == held, "the waves differ from those in the audit log")
    undone = bool(found.of_kind("undo.activation"))
    closed = {entry.facts.get("wave"): entry.facts.get("outcome") for entry in found.of_kind("wave.closed")}
    for row in facts.waves.values():
        end = "undone" if undone else closed.get(row.wave, "")
        require(row.outcome == end, "a wave ended otherwise than the audit log says")
    planned = _planned_waves(facts, found)
    ranges = [(row.tranche, row.first_position, row.length, row.percent) for row in facts.waves.values()]
    require(ranges == planned[: len(ranges)], "a wave is another than the plan has next")
    return f"{len(held)} waves agree with the audit log"


def check_outcome(facts: BundleFacts, found: AuditFacts) -> str:
    """The end the table names is the end the audit log tells."""
    ends = found.of_kind("batch.ended")
    told = {str(entry.facts.get("outcome", "")) for entry in ends}
    if not facts.table.outcome and not told:
        raise CheckSkippedError("the batch had not ended when the bundle was written")
    require(told == {facts.table.outcome}, "the outcome differs from the one in the audit log")
    return "the outcome is the one in the audit log"


def check_histories(facts: BundleFacts) -> str:
    """The histories are there, without gaps, and the batch's own is among them."""
    run: tuple[str, str] = ("", "")
    event_id, events, workflows, has_own = 0, 0, 0, False
    for row in facts.reader.stream(layout.HISTORIES, HistoryRow):
        current = (row.workflow_id, row.run_id)
        if current != run:
            require(current > run, "the histories are not in their order")
            workflows += row.workflow_id != run[0]
            run, event_id = current, 0
        require(row.event_id == event_id + 1, "a history has a gap or a repetition")
        event_id, events = row.event_id, events + 1
        has_own = has_own or row.workflow_id == facts.table.batch_id
    require(has_own, "the history of the batch's own workflow is missing")
    return f"{events} events of {workflows} workflows (not attested)"


def _attested_hashes(facts: BundleFacts) -> dict[tuple[Any, Any], Any]:
    """Hashes that entries must have, from attestations; chained shard heads join while reading."""
    said = [loose_json(head.message) or {} for head in facts.heads]
    return {(one.get("chain"), one.get("seq")): one.get("head") for one in said}


def _gather(
    facts: BundleFacts,
    found: AuditFacts,
    row: AuditRow,
    body: dict[str, Any],
    expected: dict[tuple[Any, Any], Any],
) -> None:
    kind = body["kind"]
    if row.chain == facts.batch_chain:
        entry = Entry(seq=row.seq, recorded_at=row.recorded_at, kind=kind, hash=row.hash, facts=body)
        found.entries.append(entry)
    if kind == "shard.closed":
        require(row.chain == facts.batch_chain, "a head is chained outside the batch's own chain")
        expected[body.get("chain"), body.get("seq")] = body.get("head")
    if kind == "range.verified":
        of_range = (body.get("tranche"), body.get("slice_index"))
        require(of_range not in found.verified, "a range was verified twice in the audit log")
        found.verified[of_range] = body
    if kind == "slice.outcome":
        key = (body.get("stage"), body.get("tranche", MAIN_TRANCHE), body.get("slice_index"))
        require(key not in found.outcomes, "a slice has two outcomes in the audit log")
        found.outcomes[key] = body


def _end_chain(found: AuditFacts, chain: _Chain) -> None:
    if chain.name:
        found.ends[chain.name] = (chain.seq, chain.hash)


def _require_shards_closed(found: AuditFacts, own: str) -> None:
    told = [entry.facts for entry in found.of_kind("shard.closed")]
    closed = {said.get("chain"): (said.get("seq"), said.get("head")) for said in told}
    shards = {name: end for name, end in found.ends.items() if name != own}
    require(closed == shards, "the shard chains do not end at the heads chained into the batch's chain")


def _said_of(facts: BundleFacts, head: HeadRow) -> dict[str, Any]:
    """What an attestation says: exactly what custody signs of this batch's chain."""
    said = loose_json(head.message) or {}
    expected = head_message(
        deployment=facts.table.deployment,
        batch_id=facts.table.batch_id,
        chain=facts.batch_chain,
        seq=int(said.get("seq") or 0),
        head=str(said.get("head")),
    )
    require(expected == head.message.encode(), "an attestation is not about this batch's audit chain")
    return said


def _planned_waves(facts: BundleFacts, found: AuditFacts) -> list[tuple[int, int, int, int]]:
    """Tranche, first position, length and percent of each wave by request and policy, the late one last."""
    decision, planned, start = policy_decision(facts, found), [], 0
    total = facts.plan.subject_count if facts.plan else 0
    for percent in decision.rollout.waves_percent if decision else ():
        end = -(-total * percent // 100)
        if end > start:
            planned.append((MAIN_TRANCHE, start, end - start, percent))
        start = end
    if LATE_TRANCHE in facts.evidence:
        cleared = facts.evidence[LATE_TRANCHE].counts.get("cleared", 0)
        planned.append((LATE_TRANCHE, 0, cleared, 100))
    return planned


def _require_verified(row: SliceRow, said: Mapping[str, Any]) -> None:
    require(set(row.counts) == {"checked", "sampled"}, "a verified range counts something else")
    own = {"root": row.root, **row.counts}
    # Logs of before say neither where a range lies nor how many wallets it has.
    own |= {name: getattr(row, name) for name in ("first_position", "length", "row_count") if name in said}
    same = all(said.get(name) == value for name, value in own.items())
    require(same, "a verified range differs from the one in the audit log")


def _require_told(row: SliceRow, found: AuditFacts) -> None:
    said = found.outcomes.get((row.stage, row.tranche, row.slice_index), {})
    require(said, "the audit log does not tell of a slice")
    own = {"root": row.root, "row_count": row.row_count, "counts": row.counts}
    # Where the audit log names the range as well, it must be the same.
    own |= {name: getattr(row, name) for name in ("first_position", "length") if name in said}
    same = all(said.get(name) == value for name, value in own.items())
    require(same, "a slice differs from its outcome in the audit log")
