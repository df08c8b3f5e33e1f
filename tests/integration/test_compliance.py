"""Compliance review on the real store: the plan, its digest and the policy's word."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from activities import merkle
from activities.contracts.batches import FinishBatch, RaiseFence
from activities.contracts.compliance import GateTerms, PlannedBatch, PreviewPlan
from activities.contracts.shapes import BatchStep
from activities.failures import (
    IntegrityError,
    InvalidRequestError,
    ServiceUnavailableError,
    StaleFenceError,
)
from activities.register import BatchRegisterActivities
from activities.store.locks import lock
from infra.devstack import Stack
from tests.integration.intake_room import IntakeRoom, file_of, people, row
from tests.integration.one_at_a_time import behind
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import new_id, run, some_wallets
from tests.trust_room import OPS, trust_text


@pytest.fixture
def room(tmp_path: Path, databases: Databases, stack: Stack) -> IntakeRoom:
    """An inbox of the test's own on the session's servers."""
    return IntakeRoom.made_in(tmp_path, databases, stack, trust_text())


def _edit_policy(room: IntakeRoom, old: str, new: str) -> None:
    path = room.folder / "policies" / "SG.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def _read(room: IntakeRoom, planned: PlannedBatch, name: str) -> bytes:
    content = room.objects.get(planned.documents[name].uri)
    assert hashlib.sha256(content).hexdigest() == planned.documents[name].sha256
    return content


def _finished(room: IntakeRoom, step: BatchStep) -> None:
    result = {"outcome": "completed"}
    BatchRegisterActivities(database=room.database).finish_batch(
        FinishBatch(batch_id=step.batch_id, fence=step.fence, result=result)
    )


def test_the_plan_digest_is_that_of_the_published_document(room: IntakeRoom) -> None:
    """Anyone can make the digest again from the request, the leaves and the policy's text."""
    step = room.stored(people(1500), signer=OPS)
    planned = room.compliance.plan_batch(step)
    leaves = [bytes(subject.leaf) for subject in room.subjects(step)]
    request = run(room.database, "SELECT request FROM batches WHERE batch_id = :id", id=step.batch_id)[
        0
    ].request
    policy = (room.folder / "policies" / "SG.toml").read_bytes()
    document = {
        "request": request,
        "manifest_root": merkle.root(leaves).hex(),
        "subject_count": 1500,
        "policy_digest": hashlib.sha256(policy).hexdigest(),
    }
    assert _read(room, planned, "plan") == rfc8785.dumps(document)
    assert planned.plan_digest == hashlib.sha256(rfc8785.dumps(document)).hexdigest()
    assert _read(room, planned, "policy") == policy
    assert "signature" in request


def test_the_decision_carries_the_policys_terms(room: IntakeRoom) -> None:
    """Gates, waves and waiting times are those of the jurisdiction."""
    planned = room.compliance.plan_batch(room.stored(people(3), signer=OPS))
    assert planned.outcome == "needs_approvals"
    assert planned.gates["compliance"] == GateTerms(
        roles={"compliance_officer": 1, "wallet_officer": 1},
        wait_hours=168,
        remind_hours=24,
        escalate_hours=72,
    )
    assert set(planned.gates) == {"compliance", "issuance", "wave", "hold", "resume", "rollback"}
    assert (planned.waves_percent, planned.soak_seconds, planned.approve_from_wave) == (
        [1, 10, 50, 100],
        600,
        2,
    )
    assert (planned.subject_count, planned.hold_wait_hours) == (3, 168)


def test_a_stricter_rollout_is_taken_and_an_omitted_part_is_the_policys(room: IntakeRoom) -> None:
    """What the request does not say about the rollout, the policy says."""
    rollout = {"waves_percent": [5, 100], "approve_from_wave": 1}
    planned = room.compliance.plan_batch(room.stored(people(3), rollout=rollout))
    assert (planned.waves_percent, planned.soak_seconds, planned.approve_from_wave) == ([5, 100], 600, 1)


def test_an_unsigned_request_needs_one_person_more(room: IntakeRoom) -> None:
    """Every gate asks for one more when the requester did not sign."""
    signed = room.compliance.plan_batch(room.stored(people(3), signer=OPS))
    unsigned = room.compliance.plan_batch(room.stored(people(3)))
    for name, terms in signed.gates.items():
        assert sum(unsigned.gates[name].roles.values()) == sum(terms.roles.values()) + 1


def test_a_plan_is_made_once_whatever_happens_to_the_policy(room: IntakeRoom) -> None:
    """A second run gives the stored plan, with the text of its day, and records nothing again."""
    step = room.stored(people(3))
    first = room.compliance.plan_batch(step)
    text = _read(room, first, "policy")
    _edit_policy(room, "soak_seconds = 600", "soak_seconds = 900")
    assert room.compliance.plan_batch(step) == first
    assert _read(room, first, "policy") == text
    assert len(room.audit(step, "batch.planned")) == len(room.audit(step, "policy.decided")) == 1


def test_documents_missed_by_a_crash_are_made_by_the_retry(room: IntakeRoom) -> None:
    """A plan that was committed before its documents were written gets them on the next run."""
    step = room.stored(people(3))
    first = room.compliance.plan_batch(step)
    for document in first.documents.values():
        Path(document.uri.removeprefix("file://")).unlink()
    assert room.compliance.plan_batch(step) == first
    assert json.loads(_read(room, first, "plan"))["subject_count"] == 3


def test_plans_at_the_same_time_become_one(room: IntakeRoom) -> None:
    """Attempts that overlap get the same plan, recorded once."""
    step = room.stored(people(3))
    with ThreadPoolExecutor(4) as pool:
        answers = [
            done.result() for done in [pool.submit(room.compliance.plan_batch, step) for _ in range(4)]
        ]
    assert answers == [answers[0]] * 4
    assert len(room.audit(step, "batch.planned")) == 1


def test_the_audit_log_has_plan_and_decision(room: IntakeRoom) -> None:
    """Digests, the outcome and the gates are on record; no personal data is."""
    step = room.stored(people(3))
    planned = room.compliance.plan_batch(step)
    (made,) = room.audit(step, "batch.planned")
    (decided,) = room.audit(step, "policy.decided")
    assert made["plan_digest"] == decided["plan_digest"] == planned.plan_digest
    assert decided["outcome"] == "needs_approvals"
    assert decided["gates"]["compliance"] == planned.gates["compliance"].roles
    assert "Ana" not in json.dumps([made, decided])


@pytest.mark.parametrize(
    ("rows", "changes", "reason"),
    [
        ([*people(2), row("x", kyc="")], {}, "source: 1 subjects have no kyc_reference, which is required"),
        (
            people(2),
            {"rollout": {"waves_percent": [50, 100]}},
            "rollout.waves_percent: the first wave may hold",
        ),
        (
            people(2),
            {"jurisdiction": "DE", "purpose": "airdrop"},
            "purpose: this jurisdiction does not allow",
        ),
    ],
)
def test_what_the_policy_forbids_is_refused_with_its_reason(
    room: IntakeRoom, rows: list[str], changes: dict[str, Any], reason: str
) -> None:
    """A refusal is an outcome with reasons by field, not an error."""
    planned = room.compliance.plan_batch(room.stored(rows, **changes))
    assert planned.outcome == "refused"
    assert any(found.startswith(reason) for found in planned.reasons)
    assert planned.gates == {}


def test_more_subjects_than_the_policy_allows_are_refused(room: IntakeRoom) -> None:
    """The cap per batch is the policy's."""
    _edit_policy(room, "subjects_per_batch = 1_000_000", "subjects_per_batch = 2")
    planned = room.compliance.plan_batch(room.stored(people(3)))
    assert planned.outcome == "refused"
    assert "source: at most 2 subjects are allowed in a batch" in planned.reasons


def test_wallets_a_subject_has_already_count_against_the_cap(room: IntakeRoom, databases: Databases) -> None:
    """Wallets of the tenant's ended batches count, until they are revoked; other tenants' do not."""
    _edit_policy(room, "wallets_per_subject = 12", "wallets_per_subject = 1")
    tenant = new_id("tenant")
    earlier = room.stored(people(2), tenant=tenant)
    assert room.compliance.plan_batch(earlier).outcome == "needs_approvals"
    number = room.number(earlier)
    some_wallets(databases, number)
    _finished(room, earlier)
    refused = room.compliance.plan_batch(room.stored([row("s-1")], tenant=tenant))
    assert refused.outcome == "refused"
    assert "chains: a subject may have at most 1 wallets with this tenant" in refused.reasons
    other_subject = room.compliance.plan_batch(room.stored([row("s-9")], tenant=tenant))
    other_tenant = room.compliance.plan_batch(room.stored([row("s-1")], tenant=new_id("tenant")))
    assert other_subject.outcome == other_tenant.outcome == "needs_approvals"
    run(databases.custody, "UPDATE wallets SET state = 'revoked' WHERE batch_no = :no", no=number)
    freed = room.compliance.plan_batch(room.stored([row("s-1")], tenant=tenant))
    assert freed.outcome == "needs_approvals"


def test_a_running_batch_counts_with_all_it_may_make(room: IntakeRoom) -> None:
    """Two batches under way at once cannot pass the cap together; a refused one holds nothing."""
    _edit_policy(room, "wallets_per_subject = 12", "wallets_per_subject = 3")
    tenant = new_id("tenant")
    both = {"tenant": tenant, "chains": ["ethereum", "bsc"]}
    first, second, third = (room.stored(people(2), **both) for _ in range(3))
    assert room.compliance.plan_batch(first).outcome == "needs_approvals"
    assert room.compliance.plan_batch(second).outcome == "refused"
    assert room.compliance.plan_batch(third).outcome == "refused"
    _finished(room, first)
    fourth = room.compliance.plan_batch(room.stored(people(2), **both))
    assert fourth.outcome == "needs_approvals"


def test_a_stale_fence_plans_nothing(room: IntakeRoom) -> None:
    """Once the fence is raised, no plan appears."""
    step = room.stored(people(3))
    register = BatchRegisterActivities(database=room.database)
    register.raise_fence(RaiseFence(batch_id=step.batch_id, fence=step.fence, reason="aborted"))
    with pytest.raises(StaleFenceError):
        room.compliance.plan_batch(step)
    assert _plans(room, step) == []


def _plans(room: IntakeRoom, step: BatchStep) -> list[Any]:
    found = "SELECT 1 FROM plans p JOIN batches b USING (batch_no) WHERE batch_id = :id"
    return run(room.database, found, id=step.batch_id)


def test_a_fence_raised_while_the_plan_is_made_leaves_none(room: IntakeRoom) -> None:
    """The plan is stored under the fence as it is at that moment, not as it was when it was begun."""
    step = room.stored(people(3))
    path = room.folder / "policies" / "SG.toml"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        planning = pool.submit(room.compliance.plan_batch, step)
        with path.open("w", encoding="utf-8") as pipe:  # opens once the other end reads the policy
            register = BatchRegisterActivities(database=room.database)
            register.raise_fence(RaiseFence(batch_id=step.batch_id, fence=step.fence, reason="aborted"))
            pipe.write(text)
        with pytest.raises(StaleFenceError):
            planning.result()
    assert _plans(room, step) == []


def test_a_tenants_plans_are_made_one_at_a_time(room: IntakeRoom) -> None:
    """Each counts the wallets that the one before it may make."""
    tenant = new_id("tenant")
    step = room.stored(people(3), tenant=tenant)
    planned = behind(
        room.database,
        lambda connection: lock(connection, f"plan/{tenant}"),
        lambda: room.compliance.plan_batch(step),
    )
    assert planned.outcome == "needs_approvals"


def test_a_plan_altered_in_the_store_is_not_given_out(room: IntakeRoom, databases: Databases) -> None:
    """What people are asked to approve is what the digest is over."""
    step = room.stored(people(3))
    room.compliance.plan_batch(step)
    run(databases.owner, "ALTER TABLE plans DISABLE TRIGGER USER")
    altered = (
        "UPDATE plans SET subject_count = 4"
        " WHERE batch_no = (SELECT batch_no FROM batches WHERE batch_id = :id)"
    )
    run(databases.owner, altered, id=step.batch_id)
    run(databases.owner, "ALTER TABLE plans ENABLE TRIGGER USER")
    with pytest.raises(IntegrityError, match="does not have its digest"):
        room.compliance.plan_batch(step)


def test_a_requester_who_was_revoked_meanwhile_is_refused(room: IntakeRoom) -> None:
    """A signature is judged again when the plan is made."""
    step = room.stored(people(3), signer=OPS)
    named = '[persons."ops@acme.example"]\n'
    assert named in trust_text()
    revoked = trust_text().replace(named, f'{named}revoked_at = "2020-01-01T00:00:00Z"\n')
    (room.folder / "trust.toml").write_text(revoked)
    with pytest.raises(InvalidRequestError, match="signature"):
        room.compliance.plan_batch(step)


def test_a_trust_file_that_cannot_be_used_is_waited_for(room: IntakeRoom) -> None:
    """Trouble of the deployment refuses nobody: the batch goes on when the file is whole again."""
    step = room.stored(people(3), signer=OPS)
    (room.folder / "trust.toml").write_text("not a trust file")
    with pytest.raises(ServiceUnavailableError, match="trust file"):
        room.compliance.plan_batch(step)
    (room.folder / "trust.toml").write_text(trust_text())
    assert room.compliance.plan_batch(step).outcome == "needs_approvals"


def _preview(room: IntakeRoom, rows: list[str], **changes: Any) -> PlannedBatch:
    request = room.request(file_of(rows), **changes)
    return room.compliance.preview_plan(PreviewPlan(request=request, subject_count=len(rows)))


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (people(1500), {}),
        (people(3), {"signer": OPS}),
        ([*people(1100), row("x", kyc="")], {}),
        (people(3), {"rollout": {"waves_percent": [50, 100]}}),
    ],
)
def test_a_preview_decides_as_the_plan_would_and_stores_nothing(
    room: IntakeRoom, rows: list[str], changes: dict[str, Any]
) -> None:
    """Before anything is claimed the requester hears what the policy will say."""
    count = "SELECT count(*) FROM batches"
    before = run(room.database, count)
    preview = _preview(room, rows, **changes)
    assert run(room.database, count) == before
    planned = room.compliance.plan_batch(room.stored(rows, **changes))
    assert preview == replace(planned, plan_digest="", documents={})


def test_a_preview_knows_the_wallets_that_subjects_have_already(room: IntakeRoom) -> None:
    """The cap per subject is asked about before the batch exists; the batch itself does not count."""
    _edit_policy(room, "wallets_per_subject = 12", "wallets_per_subject = 1")
    tenant = new_id("tenant")
    step = room.stored(people(2), tenant=tenant)
    room.compliance.plan_batch(step)
    assert _preview(room, [*people(1), row("s-9")], tenant=tenant).outcome == "refused"
    assert _preview(room, [row("s-9")], tenant=tenant).outcome == "needs_approvals"
    assert _preview(room, people(2), tenant=tenant, batch_id=step.batch_id).outcome == "needs_approvals"
