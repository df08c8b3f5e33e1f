"""What a bundle says, read once: everything but wallets, audit log and histories, which are streamed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from activities.canonical import sha256_hex
from activities.contracts.shapes import batch_chain
from activities.evidence import layout, rows
from activities.evidence.reader import BundleReader, parsed
from activities.evidence.report import require
from activities.policy.folder import POLICY_BYTES_MAX
from activities.trust.trust_file import Trust

Numbered = TypeVar("Numbered", rows.AdjudicationRow, rows.WithholdingRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """The small members of one bundle, parsed; digests are over the members' exact bytes."""

    reader: BundleReader
    trust: Trust | None
    table: rows.BundleTable
    request: dict[str, Any]
    request_digest: str
    plan: rows.Plan | None
    plan_digest: str
    policy_text: str | None
    evidence: Mapping[int, rows.Evidence]
    evidence_digests: Mapping[int, str]
    lists: list[rows.ListRow]
    gates: list[rows.GateRow]
    attempts: list[rows.AttemptRow]
    slices: list[rows.SliceRow]
    adjudications: Mapping[int, rows.AdjudicationRow]
    withholdings: Mapping[int, rows.WithholdingRow]
    waves: Mapping[int, rows.WaveRow]
    heads: list[rows.HeadRow]

    @property
    def chains(self) -> list[str]:
        """The chains asked for, in the order wallets are listed."""
        named = self.request.get("chains")
        return sorted(str(chain) for chain in named) if isinstance(named, list) else []

    @property
    def batch_chain(self) -> str:
        """The batch's own audit chain."""
        return batch_chain(self.table.batch_id)

    def stage(self, stage: str, *, tranche: int = 0) -> list[rows.SliceRow]:
        """The slices of one stage, in order."""
        return [row for row in self.slices if (row.stage, row.tranche) == (stage, tranche)]


@dataclass(slots=True, kw_only=True)
class Entry:
    """One entry of the batch's own audit chain."""

    seq: int
    recorded_at: str
    kind: str
    hash: str
    facts: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class AuditFacts:
    """What the audit log says: the batch chain's entries, slice outcomes of all chains, and ends."""

    entries: list[Entry] = field(default_factory=list)
    outcomes: dict[tuple[Any, Any, Any], dict[str, Any]] = field(default_factory=dict)
    verified: dict[tuple[Any, Any], dict[str, Any]] = field(default_factory=dict)
    ends: dict[str, tuple[int, str]] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Entry]:
        """The batch chain's entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]


def load_facts(reader: BundleReader, table: rows.BundleTable, trust: Trust | None) -> BundleFacts:
    """Parses every small member."""
    request, request_bytes = reader.document(layout.REQUEST), reader.content(layout.REQUEST)
    require(isinstance(request, dict), "request.json is not an object")
    has_plan = reader.has(layout.PLAN)
    require(has_plan == reader.has(layout.POLICY), "plan.json and policy.toml come only together")
    policy = reader.text(layout.POLICY) if has_plan else None
    require(len((policy or "").encode()) <= POLICY_BYTES_MAX, "policy.toml is larger than allowed")
    evidence = {
        tranche: parsed(rows.Evidence, reader.document(name), what=name)
        for tranche, name in enumerate(layout.EVIDENCE)
        if reader.has(name)
    }
    return BundleFacts(
        reader=reader,
        trust=trust,
        table=table,
        request=request,
        request_digest=sha256_hex(request_bytes),
        plan=parsed(rows.Plan, reader.document(layout.PLAN), what=layout.PLAN) if has_plan else None,
        plan_digest=sha256_hex(reader.content(layout.PLAN)) if has_plan else "",
        policy_text=policy,
        evidence=evidence,
        evidence_digests={t: sha256_hex(reader.content(layout.EVIDENCE[t])) for t in evidence},
        lists=parsed(rows.Lists, reader.document(layout.LISTS), what=layout.LISTS).lists,
        gates=reader.rows(layout.GATES, rows.GateRow),
        attempts=reader.rows(layout.APPROVALS, rows.AttemptRow),
        slices=_ordered_slices(reader),
        adjudications=_by_ordinal(reader.rows(layout.ADJUDICATIONS, rows.AdjudicationRow)),
        withholdings=_by_ordinal(reader.rows(layout.WITHHOLDINGS, rows.WithholdingRow)),
        waves=_waves(reader),
        heads=parsed(rows.Heads, reader.document(layout.HEADS), what=layout.HEADS).heads,
    )


def _ordered_slices(reader: BundleReader) -> list[rows.SliceRow]:
    found = reader.rows(layout.SLICES, rows.SliceRow)
    keys = [(row.stage, row.tranche, row.slice_index) for row in found]
    require(all(a < b for a, b in pairwise(keys)), "slices.jsonl is not in its order")
    return found


def _by_ordinal(found: list[Numbered]) -> dict[int, Numbered]:
    ordinals = [row.ordinal for row in found]
    rising = all(a < b for a, b in pairwise(ordinals))
    require(rising, "adjudications or withholdings are not in their order")
    return {row.ordinal: row for row in found}


def _waves(reader: BundleReader) -> dict[int, rows.WaveRow]:
    found = parsed(rows.Waves, reader.document(layout.WAVES), what=layout.WAVES).waves
    require([row.wave for row in found] == list(range(1, len(found) + 1)), "waves are not numbered from 1")
    return {row.wave: row for row in found}
