"""Custody's own proof that a batch may have keys: digests made again, signatures and roots checked again.

Access to the task queue is no authority, and neither is a row that says "approved": only signed texts
count, judged against custody's own trust file, over digests that custody computed itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, select, text

from activities import merkle
from activities.canonical import sha256_hex
from activities.contracts.request import BatchRequest, parse_request
from activities.contracts.shapes import SLICE_SIZE
from activities.custody.signed_statements import HOLD, signed_statements
from activities.digests import adjudication_root, evidence_document, plan_document
from activities.failures import InvalidRequestError, PolicyViolationError, ServiceUnavailableError
from activities.policy.decision import Decision, PlanFacts, decide, rollout_wish
from activities.policy.folder import mounted_digests
from activities.policy.shape import Policy, load_policy, policy_digest
from activities.store import slices
from activities.store.tables import (
    adjudications,
    batch_lists,
    batches,
    evidence,
    plans,
)
from activities.trust.gates import GateRule
from activities.trust.judging import Gate, GateContext, Requester, tally
from activities.trust.request_signing import RequestSigner, request_signer, request_text
from activities.trust.signatures import REQUEST_NAMESPACE, VerifiedSignature, verify_signature
from activities.trust.trust_file import Trust

INTAKE: Final = "intake"
SCREEN: Final = "screen"

CUSTODIAL: Final = "custodial"
"""The only custody mode in which keys are ours to make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One batch as stored, with everything it is judged by."""

    row: Row[Any]
    request: BatchRequest
    policy: Policy
    decision: Decision
    context: GateContext
    trust: Trust
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What has been proven about a batch: its numbers, its digests, and the chains it may have keys on.

    A verdict of `hold_score` or more is never clear.
    """

    batch_no: int
    batch_id: str
    tenant: str
    chains: tuple[str, ...]
    plan_digest: str
    hold_score: float
    counts: Mapping[str, int]
    case: _Case = field(repr=False)


def require_authority(
    connection: Connection, *, batch_id: str, tranche: int, trust: Trust, policies: Path
) -> Authority:
    """Gives the authority under which custody may work for one tranche of a batch.

    Raises: PolicyViolationError saying which proof is missing.
    """
    case = _case(connection, batch_id=batch_id, trust=trust, policies=policies)
    plan_digest = bytes(case.row.plan_digest).hex()
    _require_gate(connection, case, "compliance", plan_digest)
    sealed = _sealed_evidence(connection, case, tranche)
    _require_gate(connection, case, "issuance", _evidence_digest(connection, case, sealed))
    return Authority(
        batch_no=case.row.batch_no,
        batch_id=batch_id,
        tenant=case.request.tenant,
        chains=tuple(case.request.chains),
        plan_digest=plan_digest,
        hold_score=case.policy.screening.threshold,
        counts=dict(sealed.counts),
        case=case,
    )


def settled_holds(connection: Connection, batch_no: int, tranche: int) -> Sequence[Row[Any]]:
    """Gives the holds whose decisions a tranche's evidence took in, by ordinal."""
    return connection.execute(
        select(adjudications)
        .where(adjudications.c.batch_no == batch_no, adjudications.c.tranche == tranche)
        .order_by(adjudications.c.ordinal)
    ).all()


def require_signed_holds(connection: Connection, authority: Authority, digests: Sequence[str]) -> None:
    """Requires that enough of the right persons cleared each hold, given by its digest.

    Raises: PolicyViolationError.
    """
    rule = authority.case.decision.gates.get(HOLD)
    if rule is None:
        raise PolicyViolationError("custody makes no key for this batch: its policy lets nobody clear a hold")
    require(len(set(digests)) == len(digests), "one decision clears more than one hold")
    _require_tallies(connection, authority.case, HOLD, rule, digests)


def require(holds: bool, missing: str) -> None:
    """Refuses unless a proof holds; the sentence says which is missing.

    Raises: PolicyViolationError.
    """
    if not holds:
        raise PolicyViolationError(f"custody makes no key for this batch: {missing}")


def _case(connection: Connection, *, batch_id: str, trust: Trust, policies: Path) -> _Case:
    row = _planned(connection, batch_id)
    require(policy_digest(row.policy_text) in _mounted(policies), "its policy is not mounted")
    request, policy = parse_request(row.request), load_policy(row.policy_text)
    require(request.batch_id == batch_id, "its request is another batch's")
    require(request.custody == CUSTODIAL, "its keys are not ours to make")
    _require_plan(connection, row)
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    decision = decide(policy, _facts(row, request, trust, signed=_is_signed(row, request, trust)))
    require(decision.outcome != "refused", "its policy refuses it")
    requester = Requester(name=request.requested_by, key_fingerprint=_signing_key(row, request))
    context = GateContext(
        tenant=request.tenant,
        batch_id=batch_id,
        requester=requester,
        validity_max=timedelta(hours=policy.approvals.validity_hours_max),
        gates=(),
    )
    return _Case(
        row=row,
        request=request,
        policy=policy,
        decision=decision,
        context=context,
        trust=trust,
        now=now,
    )


def _mounted(policies: Path) -> frozenset[str]:
    """The digests of the policies that custody holds itself, superseded ones among them.

    Raises: ServiceUnavailableError while one of them cannot be used, a moment of somebody's editing perhaps.
    """
    try:
        return mounted_digests(policies)
    except InvalidRequestError:
        raise ServiceUnavailableError("policies") from None


def _planned(connection: Connection, batch_id: str) -> Row[Any]:
    row = connection.execute(
        select(batches.c.batch_no, batches.c.request, batches.c.claimed_at, plans)
        .join(plans, plans.c.batch_no == batches.c.batch_no)
        .where(batches.c.batch_id == batch_id, batches.c.outcome.is_(None))
    ).one_or_none()
    if row is None:
        raise PolicyViolationError(
            "custody makes no key for this batch: no running batch of this id is planned"
        )
    return row


def _require_plan(connection: Connection, row: Row[Any]) -> None:
    """The plan digest is over the request, the policy's text and the manifest, whose slices are stored."""
    document = plan_document(
        row.request,
        manifest_root=_composed(connection, row, INTAKE),
        subject_count=row.subject_count,
        policy_digest=policy_digest(row.policy_text),
    )
    require(sha256_hex(document) == bytes(row.plan_digest).hex(), "its plan is not what its digest says")


def _is_signed(row: Row[Any], request: BatchRequest, trust: Trust) -> bool:
    """Whether the requester signed, as of the claim; a signature that does not stand is no signature."""
    if request.signature is None:
        return False
    found = request_signer(
        request_text(row.request),
        request.signature,
        trust=trust,
        requested_by=request.requested_by,
        tenant=request.tenant,
        now=row.claimed_at,
    )
    return isinstance(found, RequestSigner)


def _signing_key(row: Row[Any], request: BatchRequest) -> str | None:
    """The key that signed the request, whoever's it is: its holder is shut out of every gate."""
    verified = verify_signature(
        request_text(row.request), request.signature or "", namespace=REQUEST_NAMESPACE
    )
    return verified.fingerprint if isinstance(verified, VerifiedSignature) else None


def _facts(row: Row[Any], request: BatchRequest, trust: Trust, *, signed: bool) -> PlanFacts:
    """What custody can know without personal data; caps per subject are judged where subjects are read."""
    return PlanFacts(
        purpose=request.purpose,
        custody=request.custody,
        jurisdiction=request.jurisdiction,
        subject_count=row.subject_count,
        wallets_per_subject=len(request.chains),
        kyc_references_missing=0,
        request_signed=signed,
        rollout=rollout_wish(request),
        approvals_min=trust.floors.approvals_min,
    )


def _sealed_evidence(connection: Connection, case: _Case, tranche: int) -> Row[Any]:
    row = connection.execute(
        select(evidence).where(evidence.c.batch_no == case.row.batch_no, evidence.c.tranche == tranche)
    ).one_or_none()
    if row is None:
        raise PolicyViolationError("custody makes no key for this batch: its verdicts are not sealed")
    return row


def _evidence_digest(connection: Connection, case: _Case, sealed: Row[Any]) -> str:
    """The digest of the tranche's evidence, made again from what is stored beneath it."""
    batch_no = case.row.batch_no
    pinned = connection.execute(
        select(batch_lists.c.list_id, batch_lists.c.digest).where(
            batch_lists.c.batch_no == batch_no, batch_lists.c.applied_in_wave == 0
        )
    )
    list_digests = {found.list_id: bytes(found.digest).hex() for found in pinned}
    require(set(case.policy.screening.lists) <= list_digests.keys(), "a mandatory list was not screened")
    document = evidence_document(
        plan_digest=bytes(case.row.plan_digest).hex(),
        list_digests=list_digests,
        verdict_root=_composed(connection, case.row, SCREEN),
        adjudication_root=adjudication_root(
            (found.ordinal, bytes(found.hold_digest).hex(), found.decision)
            for found in settled_holds(connection, batch_no, sealed.tranche)
        ),
        counts=dict(sealed.counts),
    )
    digest = sha256_hex(document)
    require(digest == bytes(sealed.evidence_digest).hex(), "its evidence is not what its digest says")
    return digest


def _composed(connection: Connection, row: Row[Any], stage: str) -> str:
    """The root (hex) over a stage's slices of all subjects."""
    roots = slices.roots(connection, batch_no=row.batch_no, stage=stage)
    require(len(roots) == -(-row.subject_count // SLICE_SIZE), f"its {stage} slices are not whole")
    return merkle.compose(roots, total=row.subject_count, leaves_per_full_slice=SLICE_SIZE).hex()


def _require_gate(connection: Connection, case: _Case, name: str, digest: str) -> None:
    rule = case.decision.gates.get(name)
    if rule is not None:
        _require_tallies(connection, case, name, rule, [digest])


def _require_tallies(
    connection: Connection, case: _Case, name: str, rule: GateRule, digests: Sequence[str]
) -> None:
    """Counts the statements about each digest by custody's own trust file."""
    signed = signed_statements(
        connection, batch_no=case.row.batch_no, gate=name, digests=digests, now=case.now
    )
    for digest in digests:
        gate = Gate(name=name, digest=digest, rule=rule)
        state = tally(gate, signed.get(digest, []), trust=case.trust, context=case.context, now=case.now)
        require(state.satisfied, f"its signed approvals do not fill the gate {name}")
