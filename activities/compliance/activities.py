"""Compliance review: the plan with its digest, and what the jurisdiction's policy decides about it.

A plan is made once; the policy's text and the decision are stored with it, so that a later change of the
file does not touch it. No row of a subject is opened here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Integer, func, insert, select
from temporalio import activity

from activities import merkle
from activities.canonical import sha256_hex
from activities.clients.object_store import ObjectStore
from activities.compliance.subject_caps import most_wallets_of, most_wallets_of_batch
from activities.contracts.compliance import Compliance, GateTerms, PlannedBatch, PreviewPlan
from activities.contracts.request import BatchRequest, parse_request
from activities.contracts.shapes import SLICE_SIZE, BatchStep, Document, batch_chain
from activities.digests import plan_document
from activities.failures import IntegrityError
from activities.intake.rows import Row, read_rows
from activities.intake.signer import verified_signer
from activities.intake.source import Sources
from activities.intake.storing import INTAKE_STAGE, kyc_references_missing
from activities.policy.decision import Decision, PlanFacts, decide, rollout_wish
from activities.policy.folder import StoredPolicy, read_policy
from activities.policy.shape import Policy
from activities.store import audit, slices
from activities.store.database import Database, hold_fence
from activities.store.locks import lock
from activities.store.tables import batches, plans
from activities.store.tables import slices as slice_rows
from activities.trust.mounted import mounted_trust
from activities.trust.trust_file import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matter:
    """What the plan is made of: the request as received, and the manifest."""

    batch_no: int
    received: dict[str, Any]
    request: BatchRequest
    manifest_root: bytes
    subject_count: int
    kyc_references_missing: int


class ComplianceActivities(Compliance):
    """Makes the plan and asks the policy."""

    def __init__(
        self,
        *,
        database: Database,
        object_store: ObjectStore,
        sources: Sources,
        policies: Path,
        trust: Path,
    ) -> None:
        self._database = database
        self._objects = object_store
        self._sources = sources
        self._policies = policies
        self._trust = trust

    @activity.defn
    def plan_batch(self, step: BatchStep) -> PlannedBatch:
        """Stores the plan with the policy's text and decides: refused, approved or needs_approvals.

        Raises: InvalidRequestError for a signature or jurisdiction that no longer stands.
        Retry: the stored plan is returned; a later change of the policy file does not touch it.
        """
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            planned = _is_planned(connection, batch_no)
            matter = None if planned else _matter(connection, batch_no)
        if matter is not None:
            self._plan(step, matter)
        return self._stored(step)

    @activity.defn
    def preview_plan(self, step: PreviewPlan) -> PlannedBatch:
        """Decides as `plan_batch` would today, and stores nothing; the digest is empty.

        Raises: InvalidRequestError for a request that could not be inspected either.
        """
        request = parse_request(step.request)
        policy = read_policy(self._policies, request.jurisdiction)
        trust = mounted_trust(self._trust)
        signer = verified_signer(step.request, request, trust)
        held, missing = self._look_ahead(request)
        facts = _facts(
            request,
            trust=trust,
            signed=signer is not None,
            subject_count=step.subject_count,
            wallets_held=held,
            kyc_references_missing=missing,
        )
        decision = decide(policy.policy, facts)
        return _as_planned(decision, policy.policy, plan_digest="", count=step.subject_count)

    def _look_ahead(self, request: BatchRequest) -> tuple[int, int]:
        """The most wallets a subject of the source has already, and how many lack a KYC reference."""
        held = missing = 0
        with self._sources.open(request.source.uri) as source:
            rows = read_rows(source, today=datetime.now(tz=UTC).date())
            good = (row.values for row in rows if isinstance(row, Row))
            while values := list(islice(good, SLICE_SIZE)):
                missing += kyc_references_missing(values)
                ids = [row["subject_id"] for row in values]
                with self._database.transaction() as connection:
                    found = most_wallets_of(connection, ids, tenant=request.tenant, batch_id=request.batch_id)
                held = max(held, found)
        return held, missing

    def _plan(self, step: BatchStep, matter: _Matter) -> None:
        policy = read_policy(self._policies, matter.request.jurisdiction)
        trust = mounted_trust(self._trust)
        signer = verified_signer(matter.received, matter.request, trust)
        with self._database.transaction() as connection:
            hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            # Two batches of a tenant planned at once would each overlook the other's wallets.
            lock(connection, f"plan/{matter.request.tenant}")
            if _is_planned(connection, matter.batch_no):
                return
            held = most_wallets_of_batch(connection, tenant=matter.request.tenant, batch_id=step.batch_id)
            facts = _facts(
                matter.request,
                trust=trust,
                signed=signer is not None,
                subject_count=matter.subject_count,
                wallets_held=held,
                kyc_references_missing=matter.kyc_references_missing,
            )
            _record(connection, step, matter=matter, policy=policy, decision=decide(policy.policy, facts))

    def _stored(self, step: BatchStep) -> PlannedBatch:
        """The stored plan with its documents, which are put again: a retry may have missed them."""
        with self._database.transaction() as connection:
            batch_no = hold_fence(connection, batch_id=step.batch_id, fence=step.fence)
            plan = connection.execute(
                select(plans, batches.c.request)
                .join(batches, batches.c.batch_no == plans.c.batch_no)
                .where(plans.c.batch_no == batch_no)
            ).one()
        plan_text = plan_document(
            plan.request,
            manifest_root=bytes(plan.manifest_root).hex(),
            subject_count=plan.subject_count,
            policy_digest=bytes(plan.policy_digest).hex(),
        )
        if sha256_hex(plan_text) != bytes(plan.plan_digest).hex():
            raise IntegrityError("a stored plan does not have its digest", step.batch_id)
        return replace(
            planned_batch(plan.decision), documents=self._documents(step, plan_text, plan.policy_text)
        )

    def _documents(self, step: BatchStep, plan_text: bytes, policy_text: str) -> dict[str, Document]:
        folder = f"batches/{step.batch_id}"
        return {
            "plan": self._objects.put(f"{folder}/plan.json", plan_text),
            "policy": self._objects.put(f"{folder}/policy.toml", policy_text.encode()),
        }


def _matter(connection: Connection, batch_no: int) -> _Matter:
    received = connection.execute(
        select(batches.c.request).where(batches.c.batch_no == batch_no)
    ).scalar_one()
    count, missing = connection.execute(
        select(
            func.coalesce(func.sum(slice_rows.c.row_count), 0),
            func.coalesce(func.sum(slice_rows.c.counts["kyc_references_missing"].astext.cast(Integer)), 0),
        ).where(slice_rows.c.batch_no == batch_no, slice_rows.c.stage == INTAKE_STAGE)
    ).one()
    roots = slices.roots(connection, batch_no=batch_no, stage=INTAKE_STAGE)
    return _Matter(
        batch_no=batch_no,
        received=received,
        request=parse_request(received),
        manifest_root=merkle.compose(roots, total=int(count)),
        subject_count=int(count),
        kyc_references_missing=int(missing),
    )


def _facts(
    request: BatchRequest,
    *,
    trust: Trust,
    signed: bool,
    subject_count: int,
    wallets_held: int,
    kyc_references_missing: int,
) -> PlanFacts:
    return PlanFacts(
        purpose=request.purpose,
        custody=request.custody,
        jurisdiction=request.jurisdiction,
        subject_count=subject_count,
        wallets_per_subject=wallets_held + len(request.chains),
        kyc_references_missing=kyc_references_missing,
        request_signed=signed,
        rollout=rollout_wish(request),
        approvals_min=trust.floors.approvals_min,
    )


def _record(
    connection: Connection, step: BatchStep, *, matter: _Matter, policy: StoredPolicy, decision: Decision
) -> None:
    """Stores the plan and its decision with their records in the caller's transaction."""
    plan_text = plan_document(
        matter.received,
        manifest_root=matter.manifest_root.hex(),
        subject_count=matter.subject_count,
        policy_digest=policy.digest,
    )
    plan_digest = sha256_hex(plan_text)
    planned = _as_planned(decision, policy.policy, plan_digest=plan_digest, count=matter.subject_count)
    stored = asdict(planned)
    del stored["documents"]
    connection.execute(
        insert(plans).values(
            batch_no=matter.batch_no,
            manifest_root=matter.manifest_root,
            subject_count=matter.subject_count,
            policy_text=policy.text,
            policy_digest=bytes.fromhex(policy.digest),
            plan_digest=bytes.fromhex(plan_digest),
            decision=stored,
        )
    )
    chain = batch_chain(step.batch_id)
    plan_facts = {
        "plan_digest": plan_digest,
        "manifest_root": matter.manifest_root.hex(),
        "subject_count": matter.subject_count,
        "policy_digest": policy.digest,
    }
    audit.append(connection, chain, kind="batch.planned", facts=plan_facts)
    decided = {
        "plan_digest": plan_digest,
        "outcome": decision.outcome,
        "reasons": [reason.code for reason in decision.reasons],
        "gates": {name: dict(rule.seats) for name, rule in decision.gates.items()},
    }
    audit.append(connection, chain, kind="policy.decided", facts=decided)


def _as_planned(decision: Decision, policy: Policy, *, plan_digest: str, count: int) -> PlannedBatch:
    times = policy.approvals
    gates = {
        name: GateTerms(
            roles=dict(rule.seats),
            wait_hours=times.wait_hours,
            remind_hours=times.remind_hours,
            escalate_hours=times.escalate_hours,
        )
        for name, rule in decision.gates.items()
    }
    return PlannedBatch(
        plan_digest=plan_digest,
        subject_count=count,
        outcome=decision.outcome,
        reasons=[f"{reason.field}: {reason.sentence}" for reason in decision.reasons],
        gates=gates,
        waves_percent=list(decision.rollout.waves_percent),
        soak_seconds=decision.rollout.soak_seconds,
        approve_from_wave=decision.rollout.approve_from_wave,
        hold_wait_hours=times.wait_hours,
    )


def planned_batch(stored: Mapping[str, Any]) -> PlannedBatch:
    """Gives a plan as it was stored, without its documents."""
    gates = {name: GateTerms(**terms) for name, terms in stored["gates"].items()}
    return PlannedBatch(**{**stored, "gates": gates})


def _is_planned(connection: Connection, batch_no: int) -> bool:
    found = connection.execute(select(plans.c.batch_no).where(plans.c.batch_no == batch_no))
    return found.one_or_none() is not None
