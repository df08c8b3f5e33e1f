"""The evidence documents: list digests, verdict root, adjudications and counts, each recomputed."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from activities.contracts.shapes import LATE_TRANCHE, MAIN_TRANCHE
from activities.digests import adjudication_root, withholding_root
from activities.evidence.check_plan import check_verdict_root, readable_policy
from activities.evidence.facts import AuditFacts, BundleFacts
from activities.evidence.report import CheckSkippedError, require
from activities.evidence.rows import AdjudicationRow

VERDICTS: Final = ("clear", "held", "refused")
"""What screening says of a subject."""

COMPLETED: Final = frozenset({"completed", "completed_with_exceptions"})
"""Outcomes under which everybody eligible has wallets."""


def check_evidence(facts: BundleFacts, found: AuditFacts) -> str:
    """Each evidence document says what slices, lists and adjudications say, and was sealed as it stands."""
    sealed = {
        (entry.facts.get("tranche"), entry.facts.get("evidence_digest"))
        for entry in found.of_kind("evidence.sealed")
    }
    require(sealed == set(facts.evidence_digests.items()), "the evidence differs from what was sealed")
    if not facts.evidence:
        derived = any(row.stage == "derive" for row in facts.slices)
        require(not derived, "addresses were derived without evidence")
        require(facts.table.outcome not in COMPLETED, "the batch is completed without evidence")
        raise CheckSkippedError("the batch ended before its evidence was sealed")
    require(MAIN_TRANCHE in facts.evidence, "the late tranche has evidence and the main one has not")
    for tranche in facts.evidence:
        _require_tranche(facts, tranche)
    return f"{len(facts.evidence)} evidence documents, recomputed from their parts"


def check_lists(facts: BundleFacts, found: AuditFacts) -> str:
    """The lists, their changes before waves and the subjects these hit are those the audit log tells of."""
    told = {
        (name, digest, entry.facts.get("wave", 0))
        for entry in (*found.of_kind("lists.pinned"), *found.of_kind("list.changed"))
        for name, digest in entry.facts.get("lists", {}).items()
    }
    order = [(row.applied_in_wave, row.list_id, row.digest) for row in facts.lists]
    require(all(a < b for a, b in pairwise(order)), "lists.json is not in its order")
    held = {(row.list_id, row.digest, row.applied_in_wave) for row in facts.lists}
    require(told == held, "the lists differ from those in the audit log")
    hit: Counter[int] = Counter()
    for entry in found.of_kind("list.changed"):
        hit[entry.facts.get("wave", 0)] += entry.facts.get("withheld", 0)
    withheld = Counter(row.before_wave for row in facts.withholdings.values())
    require(hit == withheld, "the audit log tells of other withheld subjects")
    known = {(row.list_id, row.digest) for row in facts.lists}
    by_known = all((row.list_id, row.list_digest) in known for row in facts.withholdings.values())
    require(by_known, "a subject is withheld by a list that was not applied")
    for entry in (*found.of_kind("lists.pinned"), *found.of_kind("list.changed")):
        _require_stated(facts, entry.facts)
    return f"{len(held)} lists applied, {withheld.total()} subjects withheld"


def _require_stated(facts: BundleFacts, said: Mapping[str, Any]) -> None:
    """What logs of before do not say: whom a change withheld, and what the lists say of themselves."""
    wave, lists = said.get("wave", 0), said.get("lists", {})
    if "withheld_root" in said:
        hit = (
            (row.ordinal, row.list_id, row.list_digest)
            for row in facts.withholdings.values()
            if row.before_wave == wave and lists.get(row.list_id) == row.list_digest
        )
        require(withholding_root(hit) == said["withheld_root"], "a list change withheld other subjects")
    for row in facts.lists:
        editions = said.get("editions", {})
        if row.list_id in editions and lists.get(row.list_id) == row.digest:
            names = ("source", "published_on", "entry_count")
            same = all(editions[row.list_id].get(name) == getattr(row, name) for name in names)
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
    counted = Counter(evidence.counts) == _counts(facts, tranche, taken)
    require(counted, "the evidence counts other subjects than its parts")


def _counts(facts: BundleFacts, tranche: int, taken: list[AdjudicationRow]) -> Counter[str]:
    """The counts an evidence document must hold: of all verdicts, or of what people decided later."""
    decided = Counter(row.decision for row in taken)
    counts = Counter(cleared=decided["clear"], refused=decided["refuse"])
    if tranche == LATE_TRANCHE:
        return counts
    verdicts: Counter[str] = Counter(held=-len(taken))
    for row in facts.stage("screen"):
        said = {name: row.counts.get(name, 0) for name in VERDICTS}
        require(sum(said.values()) == row.row_count, "a screening slice's counts do not add up")
        verdicts.update(said)
    counts.update(verdicts)
    return counts
