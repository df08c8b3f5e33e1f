"""Who can reach the custody queue and write to the store still gets no key: each test is one way to try."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from activities.contracts.shapes import batch_chain, shard_chain
from activities.custody.activities import CustodyActivities
from activities.failures import PolicyViolationError, ServiceUnavailableError
from tests.integration.custody.batches import (
    POLICY,
    AskedBatch,
    refuses_keyring,
)
from tests.integration.custody.room import POLICIES, Room
from tests.signers import Signer


def test_no_approvals(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A batch that nobody signed gets no key, whatever is sealed."""
    refuses_keyring(custody, batch, "gate compliance")


def test_one_approval_of_two(batch: AskedBatch, custody: CustodyActivities) -> None:
    """One person, though signing twice, fills one seat."""
    batch.approve("compliance", batch.plan_digest, by=[batch.room.ana, batch.room.ana])
    refuses_keyring(custody, batch, "gate compliance")


def test_the_plan_approved_but_not_the_evidence(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Approvals of the plan carry no key until the evidence is signed too."""
    batch.approve("compliance", batch.plan_digest, by=[batch.room.lee, batch.room.kim])
    refuses_keyring(custody, batch, "gate issuance")


def test_approvals_by_the_requester(batch: AskedBatch, custody: CustodyActivities) -> None:
    """The requester never counts, with every role and a key of their own."""
    batch.approve("compliance", batch.plan_digest, by=[batch.room.lee, batch.room.ops])
    refuses_keyring(custody, batch, "gate compliance")


def test_an_approver_signs_the_request_for_somebody_else(room: Room, custody: CustodyActivities) -> None:
    """The key that signed the request never approves, also where it signed for another."""
    batch = AskedBatch(room=room, requester=room.kim)
    batch.prepare()
    batch.approve("compliance", batch.plan_digest, by=[room.ana])
    refuses_keyring(custody, batch, "gate compliance")


def test_an_unsigned_request_with_the_usual_approvals(room: Room, custody: CustodyActivities) -> None:
    """Without the requester's signature one person more must sign, at every gate."""
    batch = AskedBatch(room=room, signed=False)
    batch.prepare()
    refuses_keyring(custody, batch, "gate compliance")
    batch.approve("compliance", batch.plan_digest, by=[room.ana])
    refuses_keyring(custody, batch, "gate issuance")
    batch.approve("issuance", batch.evidence_digests[0], by=[room.ana])
    assert custody.open_keyring(batch.tranche_step()).keyring_id


def test_a_key_that_only_the_provisioning_worker_trusts(batch: AskedBatch, room: Room) -> None:
    """Custody counts by its own trust file; the same approvals count where that file knows the key."""
    batch.approve("compliance", batch.plan_digest, by=[room.lee, room.mallory])
    batch.approve("issuance", batch.evidence_digests[0], by=[room.lee])
    refuses_keyring(room.custody(), batch, "gate compliance")
    generous = room.trust_text(more={room.mallory: ["wallet_officer"]})
    assert room.custody(trust=generous).open_keyring(batch.tranche_step()).keyring_id


def test_an_approver_revoked_since(batch: AskedBatch, room: Room) -> None:
    """Revocation is judged now: what a revoked person signed before carries no key any more."""
    batch.sign_gates()
    revoked = room.custody(trust=room.trust_text(revoked=room.lee.name))
    refuses_keyring(revoked, batch, "gate compliance")


def test_fewer_approvals_than_the_deployment_asks_for(batch: AskedBatch, room: Room) -> None:
    """The floor in custody's trust file holds whatever the policy says."""
    batch.sign_gates()
    refuses_keyring(room.custody(trust=room.trust_text(floor=3)), batch, "gate compliance")


def test_an_attempt_forged_as_counted(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A row that says it counted is judged by its signature: another key's, and one that is none."""
    batch.approve("compliance", batch.plan_digest, by=[batch.room.lee])
    statement = batch.statement(batch.room.kim.name, "compliance", batch.plan_digest)
    stranger = Signer(name=batch.room.kim.name)
    for signature in (stranger.sign(statement), "-----BEGIN SSH SIGNATURE-----", ""):
        batch.write_attempt("compliance", batch.plan_digest, statement=statement, signature=signature)
    refuses_keyring(custody, batch, "gate compliance")


@pytest.mark.parametrize("column", ["statement", "signature"])
def test_an_attempt_that_lacks_a_part_stops_nobody(
    batch: AskedBatch, custody: CustodyActivities, column: str
) -> None:
    """A row without its text or its signature fills no seat, and stops nobody who may go on."""
    batch.attempt(batch.room.kim, "compliance", batch.plan_digest)
    batch.tamper("attempts", f"{column} = NULL WHERE gate = 'compliance'")
    batch.approve("compliance", batch.plan_digest, by=[batch.room.lee])
    refuses_keyring(custody, batch, "gate compliance")
    batch.approve("compliance", batch.plan_digest, by=[batch.room.kim])
    batch.approve("issuance", batch.evidence_digests[0], by=[batch.room.lee])
    assert custody.open_keyring(batch.tranche_step()).keyring_id


def test_a_statement_altered_after_it_was_signed(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A rejection whose text was turned into an approval does not count."""
    batch.approve("compliance", batch.plan_digest, by=[batch.room.lee])
    signed = batch.statement(batch.room.kim.name, "compliance", batch.plan_digest, decision="reject")
    signature = batch.room.kim.sign(signed)
    altered = signed.replace('"decision":"reject"', '"decision":"approve"')
    assert altered != signed
    batch.write_attempt("compliance", batch.plan_digest, statement=altered, signature=signature)
    refuses_keyring(custody, batch, "gate compliance")


def test_a_rejection_beside_enough_approvals(batch: AskedBatch, custody: CustodyActivities) -> None:
    """One counted rejection is final for its gate."""
    batch.sign_gates()
    batch.attempt(batch.room.ana, "compliance", batch.plan_digest, decision="reject")
    refuses_keyring(custody, batch, "gate compliance")


def test_approvals_over_another_digest(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Statements over another plan do not count, though their row names this one's digest."""
    for signer in (batch.room.lee, batch.room.kim):
        statement = batch.statement(signer.name, "compliance", "ef" * 32)
        batch.write_attempt(
            "compliance", batch.plan_digest, statement=statement, signature=signer.sign(statement)
        )
    refuses_keyring(custody, batch, "gate compliance")


def test_approvals_of_another_batch(room: Room, batch: AskedBatch, custody: CustodyActivities) -> None:
    """Statements for one batch carry no other, though both digests are right."""
    other = AskedBatch(room=room)
    for signer in (room.lee, room.kim):
        statement = other.statement(signer.name, "compliance", batch.plan_digest)
        batch.write_attempt(
            "compliance", batch.plan_digest, statement=statement, signature=signer.sign(statement)
        )
    refuses_keyring(custody, batch, "gate compliance")


def test_an_approval_dated_into_the_future(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A row whose time has not come is no record of anything."""
    batch.sign_gates()
    batch.tamper("attempts", "received_at = received_at + interval '1 day' WHERE gate = 'issuance'")
    refuses_keyring(custody, batch, "gate issuance")


@pytest.mark.parametrize("method", ["derive_slice", "verify_range"])
def test_records_of_a_slice_on_another_chain(
    opened_batch: AskedBatch, custody: CustodyActivities, method: str
) -> None:
    """No task makes the chain of another batch longer, nor one that belongs to no shard of its own."""
    step, own = opened_batch.slice_step(), batch_chain(opened_batch.batch_id)
    if method == "verify_range":
        custody.derive_slice(step)
    others = (batch_chain("victim"), shard_chain("victim", "derive", 0), "tenant/acme", "custody/refused")
    for chain in (*others, own, f"{own}/", f"{own}/derive", f"{own}/derive/0000/0", f"x{step.audit_chain}"):
        with pytest.raises(PolicyViolationError, match="audit chain"):
            getattr(custody, method)(replace(step, audit_chain=chain))
    assert getattr(custody, method)(step)


def test_a_policy_that_custody_has_not_mounted(batch: AskedBatch, room: Room, tmp_path: Path) -> None:
    """A policy's text must be one of those that custody holds itself."""
    batch.sign_gates()
    (tmp_path / "DE.toml").write_text((POLICIES / "DE.toml").read_text())
    refuses_keyring(room.custody(policies=tmp_path), batch, "policy is not mounted")


def test_a_policy_edited_after_the_plan(batch: AskedBatch, room: Room, tmp_path: Path) -> None:
    """What custody does not hold it derives nothing by; kept beside the new, the old text serves."""
    batch.sign_gates()
    (tmp_path / "SG.toml").write_text(f"{POLICY}# edited since\n")
    custody = room.custody(policies=tmp_path)
    with pytest.raises(PolicyViolationError, match="its policy is not mounted"):
        custody.open_keyring(batch.tranche_step())
    (tmp_path / "superseded").mkdir()
    (tmp_path / "superseded" / "SG.toml").write_text(POLICY)
    assert custody.open_keyring(batch.tranche_step()).keyring_id


def test_a_policy_that_is_being_edited_is_waited_for(batch: AskedBatch, room: Room, tmp_path: Path) -> None:
    """A file that is half written is the deployment's trouble and fails no batch."""
    batch.sign_gates()
    (tmp_path / "SG.toml").write_text(POLICY)
    (tmp_path / "DE.toml").write_text((POLICIES / "DE.toml").read_text()[:100])
    custody = room.custody(policies=tmp_path)
    with pytest.raises(ServiceUnavailableError, match="policies"):
        custody.open_keyring(batch.tranche_step())
    (tmp_path / "DE.toml").write_text((POLICIES / "DE.toml").read_text())
    assert custody.open_keyring(batch.tranche_step()).keyring_id


def test_a_policy_made_up_for_the_batch(room: Room, custody: CustodyActivities) -> None:
    """A milder text is refused even when plan, evidence and approvals are all made over it."""
    milder = POLICY.replace("compliance_officer = 1, wallet_officer = 1", "compliance_officer = 1")
    assert milder != POLICY
    batch = AskedBatch(room=room, policy=milder)
    batch.prepare()
    refuses_keyring(custody, batch, "policy is not mounted")


def test_a_policy_row_edited(batch: AskedBatch, custody: CustodyActivities) -> None:
    """The owner of the store can exchange the text for another mounted one, but not what people signed."""
    batch.sign_gates()
    other = (POLICIES / "default.toml").read_text()
    batch.tamper("plans", "policy_text = :other WHERE true", other=other)
    refuses_keyring(custody, batch, "plan is not what its digest says")


def test_a_request_edited_after_its_approval(batch: AskedBatch, custody: CustodyActivities) -> None:
    """The plan digest is made again from the stored request."""
    batch.sign_gates()
    batch.tamper("batches", "request = jsonb_set(request, '{chains}', '[\"polygon\"]') WHERE true")
    refuses_keyring(custody, batch, "plan is not what its digest says")


def test_a_request_of_another_batch(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A row whose request names another batch is nobody's to approve."""
    batch.sign_gates()
    batch.tamper("batches", "request = jsonb_set(request, '{batch_id}', '\"another\"') WHERE true")
    refuses_keyring(custody, batch, "another batch's")


@pytest.mark.parametrize("mode", ["self_custody", "watch_only"])
def test_a_batch_whose_keys_are_others(room: Room, custody: CustodyActivities, mode: str) -> None:
    """Custody makes keys for custodial batches only, whatever was approved."""
    batch = AskedBatch(room=room)
    batch.claim(custody=mode)
    batch.plan()
    batch.screen()
    batch.seal_evidence(0)
    batch.sign_gates()
    refuses_keyring(custody, batch, "not ours to make")


def test_a_batch_that_its_policy_refuses(room: Room) -> None:
    """No approval carries what the policy does not allow."""
    batch = AskedBatch(room=room, chains=("ethereum", "bsc", "polygon"))
    batch.policy = re.sub(r"wallets_per_subject = \d+", "wallets_per_subject = 2", POLICY)
    folder = room.folder / "stricter"
    folder.mkdir()
    (folder / "SG.toml").write_text(batch.policy)
    batch.prepare()
    refuses_keyring(room.custody(policies=folder), batch, "its policy refuses it")


def test_a_plan_of_more_subjects_than_were_read(batch: AskedBatch, custody: CustodyActivities) -> None:
    """The manifest's slices are counted before they are believed."""
    batch.sign_gates()
    batch.tamper("plans", "subject_count = 5000 WHERE true")
    refuses_keyring(custody, batch, "slices are not whole")


def test_a_manifest_slice_exchanged(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Other subjects make another manifest root, and so another plan."""
    batch.sign_gates()
    batch.tamper("slices", "root = sha256('others') WHERE stage = 'intake'")
    refuses_keyring(custody, batch, "plan is not what its digest says")
