"""Custody's own proof that a batch may have keys: digests made again, signatures and roots checked again.

Access to the task queue is no authority, and neither is a row that says "approved": only signed texts
count, judged against custody's own trust file, over digests that custody computed itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, select, text

from activities import merkle
from activities.canonical import sha256_hex
from activities.contracts.request import BatchRequest, parse_request
from activities.digests import adjudication_root, evidence_document, plan_document
from activities.failures import PolicyViolationError
from activities.policy.decision import Decision, PlanFacts, RolloutWish, decide
from activities.policy.folder import policy_digests
from activities.policy.shape import Policy, load_policy, policy_digest
from activities.store import slices
from activities.store.tables import (
    adjudications,
    attempts,
    batch_lists,
    batches,
    evidence,
    plans,
    verdicts,
)
from activities.trust.gates import GateRule
from activities.trust.judging import Attempt, Gate, GateContext, Requester, tally
from activities.trust.request_signing import RequestSigner, request_signer, request_text
from activities.trust.trust_file import Trust

INTAKE: Final = "intake"
SCREEN: Final = "screen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What has been proven about a batch: its numbers, its digests, and the chains it may have keys on."""

    batch_no: int
    batch_id: str
    tenant: str
    chains: tuple[str, ...]
    plan_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One batch as stored, with everything it is judged by."""

    connection: Connection
    row: Row[Any]
    request: BatchRequest
    policy: Policy
    decision: Decision
    context: GateContext
    trust: Trust
    now: datetime


def require_authority(
    connection: Connection, *, batch_id: str, tranche: int, trust: Trust, policies: Path
) -> Authority:
    """Gives the authority under which custody may work for one tranche of a batch.

    Raises: PolicyViolationError saying which proof is missing.
    """
    case = _case(connection, batch_id=batch_id, trust=trust, policies=policies)
    plan_digest = bytes(case.row.plan_digest).hex()
    _require_gate(case, "compliance", plan_digest)
    _require_gate(case, "issuance", _evidence_digest(case, plan_digest, tranche))
    _require_settled_holds(case, tranche)
    return Authority(
        batch_no=case.row.batch_no,
        batch_id=batch_id,
        tenant=case.request.tenant,
        chains=tuple(case.request.chains),
        plan_digest=plan_digest,
    )


def _case(connection: Connection, *, batch_id: str, trust: Trust, policies: Path) -> _Case:
    row = connection.execute(
        select(batches.c.batch_no, batches.c.request, batches.c.claimed_at, plans)
        .join(plans, plans.c.batch_no == batches.c.batch_no)
        .where(batches.c.batch_id == batch_id, batches.c.outcome.is_(None))
    ).one_or_none()
    _require(row is not None, "no running batch of this id is planned")
    assert row is not None  # noqa: S101 - the line above refuses it; this tells the type checker
    _require(policy_digest(row.policy_text) in policy_digests(policies).values(), "its policy is not mounted")
    _require_plan(connection, row)
    request, policy = parse_request(row.request), load_policy(row.policy_text)
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    signer = _signer(row, request, trust)
    decision = decide(policy, _facts(row, request, trust, signed=signer is not None))
    _require(decision.outcome != "refused", "its policy refuses it")
    context = GateContext(
        tenant=request.tenant,
        batch_id=batch_id,
        requester=Requester(
            name=request.requested_by, key_fingerprint=signer.key_fingerprint if signer else None
        ),
        validity_max=timedelta(hours=policy.approvals.validity_hours_max),
        gates=(),
    )
    return _Case(
        connection=connection,
        row=row,
        request=request,
        policy=policy,
        decision=decision,
        context=context,
        trust=trust,
        now=now,
    )


def _require_plan(connection: Connection, row: Row[Any]) -> None:
    """The plan digest is over the request, the policy's text and the manifest, whose slices are stored."""
    roots = slices.roots(connection, batch_no=row.batch_no, stage=INTAKE)
    manifest_root = merkle.compose(roots, total=row.subject_count)
    document = plan_document(
        row.request,
        manifest_root=manifest_root.hex(),
        subject_count=row.subject_count,
        policy_digest=policy_digest(row.policy_text),
    )
    _require(sha256_hex(document) == bytes(row.plan_digest).hex(), "its plan is not what its digest says")


def _signer(row: Row[Any], request: BatchRequest, trust: Trust) -> RequestSigner | None:
    """Who signed the request, as of its claim; a signature that does not stand is no signature."""
    if request.signature is None:
        return None
    found = request_signer(
        request_text(row.request),
        request.signature,
        trust=trust,
        requested_by=request.requested_by,
        tenant=request.tenant,
        now=row.claimed_at,
    )
    return found if isinstance(found, RequestSigner) else None


def _facts(row: Row[Any], request: BatchRequest, trust: Trust, *, signed: bool) -> PlanFacts:
    """What custody can know without personal data; caps per subject are judged where subjects are read."""
    rollout = request.rollout
    wish = (
        RolloutWish(
            waves_percent=tuple(rollout.waves_percent),
            soak_seconds=rollout.soak_seconds if "soak_seconds" in rollout.model_fields_set else None,
            approve_from_wave=rollout.approve_from_wave,
        )
        if rollout
        else RolloutWish()
    )
    return PlanFacts(
        purpose=request.purpose,
        custody=request.custody,
        jurisdiction=request.jurisdiction,
        subject_count=row.subject_count,
        wallets_per_subject=len(request.chains),
        kyc_references_missing=0,
        request_signed=signed,
        rollout=wish,
        approvals_min=trust.floors.approvals_min,
    )


def _evidence_digest(case: _Case, plan_digest: str, tranche: int) -> str:
    """The digest of the tranche's evidence, made again from what is stored beneath it."""
    row = case.connection.execute(
        select(evidence).where(evidence.c.batch_no == case.row.batch_no, evidence.c.tranche == tranche)
    ).one_or_none()
    _require(row is not None, "its verdicts are not sealed")
    assert row is not None  # noqa: S101 - the line above refuses it; this tells the type checker
    pinned = case.connection.execute(
        select(batch_lists.c.list_id, batch_lists.c.digest).where(
            batch_lists.c.batch_no == case.row.batch_no, batch_lists.c.applied_in_wave == 0
        )
    )
    list_digests = {found.list_id: bytes(found.digest).hex() for found in pinned}
    _require(set(case.policy.screening.lists) <= list_digests.keys(), "a mandatory list was not screened")
    roots = slices.roots(case.connection, batch_no=case.row.batch_no, stage=SCREEN)
    document = evidence_document(
        plan_digest=plan_digest,
        list_digests=list_digests,
        verdict_root=merkle.compose(roots, total=case.row.subject_count).hex(),
        adjudication_root=adjudication_root(
            (found.ordinal, bytes(found.hold_digest).hex(), found.decision)
            for found in settled_holds(case.connection, case.row.batch_no, tranche)
        ),
        counts=dict(row.counts),
    )
    digest = sha256_hex(document)
    _require(digest == bytes(row.evidence_digest).hex(), "its evidence is not what its digest says")
    return digest


def settled_holds(connection: Connection, batch_no: int, tranche: int) -> Sequence[Row[Any]]:
    """Gives the holds whose decisions a tranche's evidence took in, by ordinal."""
    return connection.execute(
        select(adjudications)
        .where(adjudications.c.batch_no == batch_no, adjudications.c.tranche == tranche)
        .order_by(adjudications.c.ordinal)
    ).all()


def _require_settled_holds(case: _Case, tranche: int) -> None:
    """Every hold that was cleared was held for what the signers saw, and enough of them signed."""
    rule = case.decision.gates.get("hold")
    for settled in settled_holds(case.connection, case.row.batch_no, tranche):
        if settled.decision != "clear":
            continue
        held_for = case.connection.execute(
            select(verdicts.c.hold_digest).where(
                verdicts.c.batch_no == case.row.batch_no, verdicts.c.ordinal == settled.ordinal
            )
        ).scalar_one_or_none()
        same = held_for is not None and bytes(held_for) == bytes(settled.hold_digest)
        _require(same and rule is not None, "a cleared hold is not the one that was signed")
        _require_tally(case, "hold", bytes(settled.hold_digest).hex(), rule)


def _require_gate(case: _Case, name: str, digest: str) -> None:
    rule = case.decision.gates.get(name)
    if rule is not None:
        _require_tally(case, name, digest, rule)


def _require_tally(case: _Case, name: str, digest: str, rule: GateRule | None) -> None:
    """Counts the raw statements on a gate by custody's own trust file."""
    if rule is None:
        return
    found = case.connection.execute(
        select(attempts.c.statement, attempts.c.signature, attempts.c.received_at)
        .where(
            attempts.c.batch_no == case.row.batch_no,
            attempts.c.gate == name,
            attempts.c.digest == bytes.fromhex(digest),
            attempts.c.counted,
            attempts.c.statement.is_not(None),
        )
        .order_by(attempts.c.received_at, attempts.c.attempt_key)
    )
    signed = [
        Attempt(statement=row.statement, signature=row.signature or "", counted_at=row.received_at)
        for row in found
    ]
    gate = Gate(name=name, digest=digest, rule=rule)
    state = tally(gate, signed, trust=case.trust, context=case.context, now=case.now)
    _require(state.satisfied, f"its signed approvals do not fill the gate {name}")


def _require(holds: bool, missing: str) -> None:
    if not holds:
        raise PolicyViolationError(f"custody makes no key for this batch: {missing}")
