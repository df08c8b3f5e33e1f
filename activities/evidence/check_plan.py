"""The request, the plan and the policy's word on it, each recomputed."""

from activities.canonical import sha256_hex
from activities.contracts.request import BatchRequest, parse_request
from activities.contracts.shapes import SLICE_SIZE
from activities.evidence.facts import AuditFacts, BundleFacts
from activities.evidence.report import CheckFailedError, CheckSkippedError, require
from activities.failures import WalletworksError
from activities.merkle import compose
from activities.policy.decision import Decision, PlanFacts, decide, rollout_wish
from activities.policy.shape import Policy, load_policy
from activities.trust.request_signing import RequestSigner, request_signer, request_text
from activities.trust.statements import parse_instant


def check_request(facts: BundleFacts, found: AuditFacts) -> str:
    """The request is this batch's, valid, and the one that was claimed."""
    request = readable_request(facts)
    named = (request.batch_id, request.tenant) == (facts.table.batch_id, facts.table.tenant)
    require(named, "the request is another batch's")
    told = {entry.facts.get("request_digest") for entry in found.of_kind("batch.claimed")}
    require(told == {facts.request_digest}, "the request differs from the one that was claimed")
    return "the request is the one that claimed the batch id"


def check_request_signature(facts: BundleFacts, found: AuditFacts) -> str:
    """A signature on the request must be the requester's own."""
    if "signature" not in facts.request or facts.request["signature"] is None:
        raise CheckSkippedError("the request is unsigned; every gate asks for one person more")
    if facts.trust is None:
        raise CheckSkippedError("the requester's key is not pinned")
    require(requester_key(facts, found) is not None, "the requester did not sign the request")
    return "the requester signed the request"


def check_plan(facts: BundleFacts, found: AuditFacts) -> str:
    """The plan's parts are what they are digests of, and the plan is the one that was decided on."""
    plan = facts.plan
    if plan is None or facts.policy_text is None:
        require(not found.of_kind("batch.planned"), "the plan is missing")
        raise CheckSkippedError("the batch ended before it was planned")
    require(plan.request == facts.request, "the plan holds another request")
    require(sha256_hex(facts.policy_text.encode()) == plan.policy_digest, "the policy's text is another")
    require(_contiguous(facts, "intake", plan.subject_count), "the intake slices do not cover the subjects")
    composed = _composed(facts, "intake", plan.subject_count)
    require(composed == plan.manifest_root, "the manifest root differs from the intake slices")
    named = {*facts.adjudications, *facts.withholdings}
    known = all(ordinal < plan.subject_count for ordinal in named)
    require(known, "a hold or a withholding is of a subject that the plan does not count")
    told = {entry.facts.get("plan_digest") for entry in found.of_kind("batch.planned")}
    require(told == {facts.plan_digest}, "the plan differs from the one in the audit log")
    return f"a plan of {plan.subject_count} subjects, its digest recomputed"


def check_policy(facts: BundleFacts, found: AuditFacts) -> str:
    """The policy's decision, recomputed from its text, is the one that was taken."""
    decision = policy_decision(facts, found)
    if decision is None:
        raise CheckSkippedError("the batch ended before it was planned")
    told = {str(entry.facts.get("outcome")) for entry in found.of_kind("policy.decided")}
    if told == {"refused"}:
        # A subject's wallets in the tenant's other batches are not in the bundle.
        went_on = [row for row in facts.slices if row.stage != "intake"]
        require(not went_on, "the batch went on though the policy had refused it")
        return "the policy's refusal stands"
    require(told == {decision.outcome}, "the policy decides otherwise than the audit log says")
    return f"the policy's text decides: {decision.outcome}"


def readable_request(facts: BundleFacts) -> BatchRequest:
    """The request as its published shape."""
    try:
        return parse_request(facts.request)
    except WalletworksError:
        raise CheckFailedError("the request is not valid") from None


def readable_policy(facts: BundleFacts) -> Policy | None:
    """The policy the batch was planned under."""
    if facts.policy_text is None:
        return None
    try:
        return load_policy(facts.policy_text)
    except WalletworksError:
        raise CheckFailedError("the policy is not valid") from None


def policy_decision(facts: BundleFacts, found: AuditFacts) -> Decision | None:
    """What the policy decides about what the public part shows."""
    policy = readable_policy(facts)
    if policy is None or facts.plan is None:
        return None
    request, trust = readable_request(facts), facts.trust
    signed = requester_key(facts, found) is not None if trust else request.signature is not None
    return decide(
        policy,
        PlanFacts(
            purpose=request.purpose,
            custody=request.custody,
            jurisdiction=request.jurisdiction,
            subject_count=facts.plan.subject_count,
            wallets_per_subject=len(request.chains),
            kyc_references_missing=sum(
                row.counts.get("kyc_references_missing", 0) for row in facts.stage("intake")
            ),
            request_signed=signed,
            rollout=rollout_wish(request),
            approvals_min=trust.floors.approvals_min if trust else 0,
        ),
    )


def requester_key(facts: BundleFacts, found: AuditFacts) -> str | None:
    """The fingerprint of the requester's key, when the request's signature stands."""
    request, claims = readable_request(facts), found.of_kind("batch.claimed")
    if facts.trust is None or not request.signature or not claims:
        return None
    signer = request_signer(
        request_text(facts.request),
        request.signature,
        trust=facts.trust,
        requested_by=request.requested_by,
        tenant=request.tenant,
        now=parse_instant(claims[0].recorded_at),
    )
    return signer.key_fingerprint if isinstance(signer, RequestSigner) else None


def check_verdict_root(facts: BundleFacts, tranche: int) -> None:
    """The evidence's verdict root is composed of the screening slices."""
    count, claimed = facts.plan.subject_count if facts.plan else 0, facts.evidence[tranche].verdict_root
    require(_contiguous(facts, "screen", count), "the screening slices do not cover the subjects")
    composed = _composed(facts, "screen", count)
    require(composed == claimed, "the verdict root differs from the screening slices")


def _contiguous(facts: BundleFacts, stage: str, total: int) -> bool:
    """Whether full slices follow each other and only the last one may be short."""
    found = facts.stage(stage)
    # A stranger's total may be astronomic: as many slices are looked at as there are, and no more.
    if len(found) != -(-total // SLICE_SIZE):
        return False
    expected = [
        (index, start, min(SLICE_SIZE, total - start))
        for index, start in enumerate(range(0, total, SLICE_SIZE))
    ]
    whole = all(row.length == row.row_count for row in found)
    return whole and [(row.slice_index, row.first_position, row.row_count) for row in found] == expected


def _composed(facts: BundleFacts, stage: str, total: int) -> str:
    return compose([bytes.fromhex(row.root) for row in facts.stage(stage)], total=total).hex()
