"""What a policy decides about a plan: refused, approved, or which persons must approve it.

Pure. Reasons name the field of the request and the rule, never a value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from activities.contracts.request import BatchRequest
from activities.policy.shape import GateTable, Policy
from activities.trust.gates import GateRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutWish:
    """How the request wants wallets to go live; None of a part leaves it to the policy."""

    waves_percent: tuple[int, ...] | None = None
    soak_seconds: int | None = None
    approve_from_wave: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """What the decision rests on.

    `wallets_per_subject` is the most wallets any subject of the batch would have afterwards, across the
    tenant's batches. `approvals_min` is the deployment's own floor, from its trust file.
    """

    purpose: str
    custody: str
    jurisdiction: str
    subject_count: int
    wallets_per_subject: int
    kyc_references_missing: int
    request_signed: bool
    rollout: RolloutWish = RolloutWish()
    approvals_min: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionReason:
    """One reason: a stable word, the field of the request it is about, and a sentence."""

    code: str
    field: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutTerms:
    """How wallets will go live. Waves count from 1; `approve_from_wave` is 0 when no wave is gated."""

    waves_percent: tuple[int, ...]
    soak_seconds: int
    approve_from_wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The policy's word, with the gates as this request has to pass them."""

    outcome: Literal["refused", "approved", "needs_approvals"]
    rollout: RolloutTerms
    reasons: tuple[DecisionReason, ...] = ()
    gates: Mapping[str, GateRule] = field(default_factory=dict)


def rollout_wish(request: BatchRequest) -> RolloutWish:
    """Gives what a request says of its rollout."""
    rollout = request.rollout
    if rollout is None:
        return RolloutWish()
    # An omitted soak is the policy's to choose; the parsed request no longer tells it from a given zero.
    given = rollout.model_fields_set
    return RolloutWish(
        waves_percent=tuple(rollout.waves_percent),
        soak_seconds=rollout.soak_seconds if "soak_seconds" in given else None,
        approve_from_wave=rollout.approve_from_wave,
    )


def decide(policy: Policy, facts: PlanFacts) -> Decision:
    """Decides about a plan; every reason for a refusal is given, not only the first."""
    refusals = (
        *_scope_refusals(policy, facts),
        *_cap_refusals(policy, facts),
        *_rollout_refusals(policy, facts),
    )
    rollout = _rollout_terms(policy, facts.rollout)
    if refusals:
        return Decision(outcome="refused", rollout=rollout, reasons=refusals)
    gates = resolve_gates(policy, facts)
    outcome: Literal["approved", "needs_approvals"] = "approved"
    if "compliance" in gates or "issuance" in gates or rollout.approve_from_wave:
        outcome = "needs_approvals"
    reasons = tuple(_gate_reasons(facts, gates))
    return Decision(outcome=outcome, rollout=rollout, reasons=reasons, gates=gates)


def resolve_gates(policy: Policy, facts: PlanFacts) -> dict[str, GateRule]:
    """The gates of this request: the policy's, with one person more at each when it is unsigned.

    An unsigned request always passes `compliance`, also where the policy has no such gate, and so
    does every request when the deployment has a floor. A wave gate that only the request asks for takes
    one of the extra roles.
    """
    extra = frozenset(policy.approvals.extra_roles)
    more = 0 if facts.request_signed else 1
    tables: dict[str, GateTable | None] = dict(policy.gates)
    gates = {
        name: table.rule().with_more(more, roles=extra) for name, table in tables.items() if table is not None
    }
    if "compliance" not in gates and (more or facts.approvals_min):
        gates["compliance"] = GateRule.any_of(extra, persons=1)
    if "compliance" in gates:
        gates["compliance"] = gates["compliance"].at_least(facts.approvals_min)
    if "wave" not in gates and facts.rollout.approve_from_wave:
        gates["wave"] = GateRule.any_of(extra, persons=1 + more)
    return gates


def _scope_refusals(policy: Policy, facts: PlanFacts) -> Iterator[DecisionReason]:
    if facts.jurisdiction != policy.jurisdiction:
        yield _reason("wrong_jurisdiction", "jurisdiction", "the policy is another jurisdiction's")
    if facts.purpose not in policy.purposes:
        yield _reason("purpose_not_allowed", "purpose", "this jurisdiction does not allow the purpose")
    if facts.custody not in policy.custody_modes:
        yield _reason("custody_not_allowed", "custody", "this jurisdiction does not allow the custody mode")


def _cap_refusals(policy: Policy, facts: PlanFacts) -> Iterator[DecisionReason]:
    if facts.subject_count < 1:
        yield _reason("no_subjects", "source", "the batch has no subject")
    if facts.subject_count > policy.caps.subjects_per_batch:
        most = f"at most {policy.caps.subjects_per_batch} subjects are allowed in a batch"
        yield _reason("too_many_subjects", "source", most)
    if facts.wallets_per_subject > policy.caps.wallets_per_subject:
        most = f"a subject may have at most {policy.caps.wallets_per_subject} wallets with this tenant"
        yield _reason("too_many_wallets", "chains", most)
    if policy.kyc.reference_required and facts.kyc_references_missing:
        missing = f"{facts.kyc_references_missing} subjects have no kyc_reference, which is required"
        yield _reason("kyc_reference_missing", "source", missing)


def _rollout_refusals(policy: Policy, facts: PlanFacts) -> Iterator[DecisionReason]:
    floors, wish = policy.rollout, facts.rollout
    if wish.waves_percent is not None and wish.waves_percent[0] > floors.first_wave_percent_max:
        most = f"the first wave may hold at most {floors.first_wave_percent_max} percent"
        yield _reason("first_wave_too_large", "rollout.waves_percent", most)
    if wish.soak_seconds is not None and wish.soak_seconds < floors.soak_seconds_min:
        least = f"waves must soak for at least {floors.soak_seconds_min} seconds"
        yield _reason("soak_too_short", "rollout.soak_seconds", least)
    latest = floors.approve_from_wave_max
    if latest is not None and wish.approve_from_wave is not None and wish.approve_from_wave > latest:
        least = f"waves must be approved from wave {latest} on at the latest"
        yield _reason("wave_approval_too_late", "rollout.approve_from_wave", least)


def _rollout_terms(policy: Policy, wish: RolloutWish) -> RolloutTerms:
    floors = policy.rollout
    return RolloutTerms(
        waves_percent=wish.waves_percent or tuple(floors.waves_percent),
        soak_seconds=floors.soak_seconds if wish.soak_seconds is None else wish.soak_seconds,
        approve_from_wave=wish.approve_from_wave or floors.approve_from_wave_max or 0,
    )


def _gate_reasons(facts: PlanFacts, gates: Mapping[str, GateRule]) -> Iterator[DecisionReason]:
    if not facts.request_signed:
        yield _reason("request_unsigned", "signature", "unsigned: one person more is needed at every gate")
    for name in ("compliance", "issuance", "wave"):
        if name in gates:
            persons = gates[name].persons
            asks = f"gate {name} asks for {persons} {'person' if persons == 1 else 'persons'}"
            yield _reason(f"{name}_approval_needed", "jurisdiction", asks)


def _reason(code: str, field_name: str, sentence: str) -> DecisionReason:
    return DecisionReason(code=code, field=field_name, sentence=sentence)
