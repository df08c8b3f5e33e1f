"""The evidence documents: list digests, verdict root, adjudications and counts, each recomputed."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE
from activities.digests import adjudication_root, withholding_root
from activities.evidence.check_plan import check_verdict_root, readable_policy
from activities.evidence.facts import AuditFacts, BundleFacts
from activities.evidence.report import CheckSkippedError, require
from activities.evidence.rows import AdjudicationRow


def check_evidence(facts: BundleFacts, found: AuditFacts) -> str:
    """Each evidence document says what slices, lists and adjudications say, and was sealed as it stands."""
    sealed = {
        (entry.facts.get("tranche"), entry.facts.get("evidence_digest"))
        for entry in found.of_kind("evidence.sealed")
    }
    require(sealed == set(facts.evidence_digests.items()), "the evidence differs from what was sealed")
    if not facts.evidence:
        require(not facts.stage("derive"), "addresses were derived without evidence")
        raise CheckSkippedError("the batch ended before its evidence was sealed")
    require(MAIN_TRANCHE in facts.evidence, "the late tranche has evidence and the main one has not")
    for tranche in facts.evidence:
        _require_tranche(facts, tranche)
    return f"{len(facts.evidence)} evidence documents, recomputed from their parts"


def check_lists(facts: BundleFacts, found: AuditFacts) -> str:
    """The lists, their changes before waves and the subjects these hit are those the audit log tells of."""
    told = {
        (name, digest, int(entry.facts.get("wave") or 0))
        for entry in (*found.of_kind("lists.pinned"), *found.of_kind("list.changed"))
        for name, digest in dict(entry.facts.get("lists") or {}).items()
    }
    order = [(row.applied_in_wave, row.list_id, row.digest) for row in facts.lists]
    require(all(a < b for a, b in pairwise(order)), "lists.json is not in its order")
    held = {(row.list_id, row.digest, row.applied_in_wave) for row in facts.lists}
    require(told == held, "the lists differ from those in the audit log")
    hit: Counter[int] = Counter()
    for entry in found.of_kind("list.changed"):
        hit[int(entry.facts.get("wave") or 0)] += int(entry.facts.get("withheld") or 0)
    withheld = Counter(row.before_wave for row in facts.withholdings.values())
    require(+hit == withheld, "the audit log tells of other withheld subjects")
    known = {(row.list_id, row.digest) for row in facts.lists}
    by_known = all((row.list_id, row.list_digest) in known for row in facts.withholdings.values())
    require(by_known, "a subject is withheld by a list that was not applied")
    for entry in (*found.of_kind("lists.pinned"), *found.of_kind("list.changed")):
        _require_stated(facts, entry.facts)
    return f"{len(held)} lists applied, {withheld.total()} subjects withheld"


def _require_stated(facts: BundleFacts, said: Mapping[str, Any]) -> None:
    """What logs of before do not say: whom a change withheld, and what the lists say of themselves."""
    wave, lists = int(said.get("wave") or 0), dict(said.get("lists") or {})
    if "withheld_root" in said:
        hit = (
            (row.ordinal, row.list_id, row.list_digest)
            for row in facts.withholdings.values()
            if row.before_wave == wave and lists.get(row.list_id) == row.list_digest
        )
        require(withholding_root(hit) == said["withheld_root"], "a list change withheld other subjects")
    for row in facts.lists:
        about = dict(said.get("editions") or {}).get(row.list_id)
        if about is not None and lists.get(row.list_id) == row.digest:
            names = ("source", "published_on", "entry_count")
            same = all(about.get(name) == getattr(row, name) for name in names)
            require(same, "a list is said to be another than was applied")


def eligible(facts: BundleFacts, tranche: int) -> int:
    """How many subjects of a tranche may get wallets."""
    counts = facts.evidence[tranche].counts if tranche in facts.evidence else {}
    return counts.get("clear", 0) + counts.get("cleared", 0)


def _require_tranche(facts: BundleFacts, tranche: int) -> None:
    evidence = facts.evidence[tranche]
    require(evidence.plan_digest == facts.plan_digest, "the evidence is about another plan")
    check_verdict_root(facts, tranche)
    pinned = {row.list_id: row.digest for row in facts.lists if row.applied_in_wave == 0}
    require(evidence.list_digests == pinned, "the evidence names other lists than were pinned")
    policy = readable_policy(facts)
    mandatory = set(policy.screening.lists) if policy else set()
    require(mandatory <= set(pinned), "a list that the policy makes mandatory was not screened")
    taken = [row for row in facts.adjudications.values() if row.tranche == tranche]
    settled = ((row.ordinal, row.hold_digest, row.decision) for row in taken)
    require(adjudication_root(settled) == evidence.adjudication_root, "the adjudications are others")
    _require_counts(facts, tranche, taken)


def _require_counts(facts: BundleFacts, tranche: int, taken: list[AdjudicationRow]) -> None:
    counts, decided = facts.evidence[tranche].counts, Counter(row.decision for row in taken)
    require(counts.get("cleared", 0) == decided["clear"], "the evidence counts other cleared holds")
    if tranche == LATE_TRANCHE:
        require(counts.get("clear", 0) == 0, "the late tranche counts subjects that were never held")
        return
    verdicts: Counter[str] = Counter()
    for row in facts.stage("screen"):
        verdicts.update(row.counts)
        require(sum(row.counts.values()) == row.row_count, "a screening slice's counts do not add up")
    still_held = verdicts["held"] - len(taken)
    refused = verdicts["refused"] + decided["refuse"]
    require(counts.get("clear", 0) == verdicts["clear"], "the evidence counts other clear subjects")
    require(counts.get("held", 0) == still_held, "the evidence counts other held subjects")
    require(counts.get("refused", 0) == refused, "the evidence counts other refused subjects")
