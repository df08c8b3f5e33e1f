"""Forged evidence, verdicts, holds and tasks: custody believes only what was signed over."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, text

from activities.contracts.shapes import BatchStep, SliceResult, SliceStep, TrancheStep
from activities.custody.activities import CustodyActivities
from activities.failures import PolicyViolationError, StaleFenceError, WalletworksError
from activities.store import slices
from activities.store import tables as t
from tests.integration.custody.batches import (
    HELD_EARLY,
    HELD_LATE,
    LISTS,
    REFUSED,
    AskedBatch,
    refuses_keyring,
    refuses_wallets,
)
from tests.integration.custody.room import Room


def test_evidence_that_was_never_sealed(room: Room, custody: CustodyActivities) -> None:
    """No evidence, no key; and approvals of the main tranche carry no late one."""
    batch = AskedBatch(room=room)
    batch.claim()
    batch.plan()
    batch.approve("compliance", batch.plan_digest, by=[room.lee, room.kim])
    refuses_keyring(custody, batch, "verdicts are not sealed")


def test_a_tranche_that_does_not_exist(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """The task names the tranche; only sealed evidence makes one."""
    for tranche in (1, 7, -1):
        with pytest.raises(PolicyViolationError, match="not sealed"):
            custody.derive_slice(opened_batch.slice_step(tranche=tranche, length=1))


def test_evidence_for_other_lists(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A list pinned or exchanged after the sealing makes another evidence than was signed."""
    batch.sign_gates()
    with batch.writing() as connection:
        batch.pin(connection, "eu-consolidated", "44" * 32)
    refuses_keyring(custody, batch, "evidence is not what its digest says")


def test_a_list_applied_before_a_wave_is_no_part_of_the_evidence(
    batch: AskedBatch, custody: CustodyActivities
) -> None:
    """What changed after the sealing is applied to waves and leaves what was signed as it is."""
    batch.sign_gates()
    change = {"list_id": "ofac-sdn", "digest": b"\x55" * 32, "applied_in_wave": 1}
    with batch.writing() as connection:
        connection.execute(insert(t.batch_lists).values(batch_no=batch.batch_no, **change))
    assert custody.open_keyring(batch.tranche_step()).keyring_id


class _OneDecision(AskedBatch):
    """A batch whose holds all have one digest."""

    def hold_digest(self, ordinal: int) -> str:
        """The same for everybody."""
        return super().hold_digest(ordinal * 0)


def test_one_decision_for_two_holds(room: Room, custody: CustodyActivities) -> None:
    """People decide on each hold; one decision does not clear two."""
    batch = _OneDecision(room=room)
    batch.claim()
    batch.plan()
    batch.screen()
    for ordinal in (HELD_EARLY, HELD_LATE):
        batch.settle(ordinal, "clear", by=[room.lee])
    batch.seal_evidence(0)
    batch.sign_gates()
    custody.open_keyring(batch.tranche_step())
    refuses_wallets(custody, batch, "one decision clears more than one hold")


@pytest.mark.parametrize("ordinal", [HELD_LATE, REFUSED], ids=["held", "never held"])
def test_a_decision_on_another_hold(
    opened_batch: AskedBatch, custody: CustodyActivities, ordinal: int
) -> None:
    """A signed decision clears the hold it names and not whatever row names it."""
    other = "99" * 32
    opened_batch.attempt(opened_batch.room.lee, "hold", other, decision="clear")
    with opened_batch.writing() as connection:
        connection.execute(
            insert(t.adjudications).values(
                batch_no=opened_batch.batch_no,
                ordinal=ordinal,
                hold_digest=bytes.fromhex(other),
                decision="clear",
            )
        )
    opened_batch.seal_evidence(1)
    opened_batch.approve("issuance", opened_batch.evidence_digests[1], by=[opened_batch.room.lee])
    with pytest.raises(PolicyViolationError, match="not the one that was signed"):
        custody.derive_slice(opened_batch.slice_step(tranche=1, length=1))
    assert opened_batch.wallets() == []


def test_evidence_without_a_mandatory_list(room: Room, custody: CustodyActivities) -> None:
    """Signed evidence does not replace a list that the policy makes mandatory."""
    batch = AskedBatch(room=room)
    batch.claim()
    batch.plan()
    batch.screen(lists={"ofac-sdn": LISTS["ofac-sdn"]})
    batch.seal_evidence(0)
    batch.sign_gates()
    refuses_keyring(custody, batch, "mandatory list")


def test_signed_counts_that_are_not_the_verdicts(room: Room, custody: CustodyActivities) -> None:
    """What approvers saw in the evidence must be what the verdicts hold."""
    batch = AskedBatch(room=room)
    batch.claim()
    batch.plan()
    batch.screen()
    batch.seal_evidence(0, clear=3)
    batch.sign_gates()
    refuses_keyring(custody, batch, "counts other subjects")


def test_a_verdict_flipped_before_the_keyring(batch: AskedBatch, custody: CustodyActivities) -> None:
    """A refused subject made clear changes the counts that were signed."""
    batch.sign_gates()
    batch.tamper("verdicts", "verdict = 'clear' WHERE ordinal = :refused", refused=REFUSED)
    refuses_keyring(custody, batch, "counts other subjects")


def test_a_verdict_flipped_after_the_sealing(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """A held subject made clear leaves its slice without the root that was signed."""
    opened_batch.tamper("verdicts", "verdict = 'clear', hold_digest = NULL WHERE ordinal = 5")
    refuses_wallets(custody, opened_batch, "not the ones that were sealed")


def test_two_verdicts_exchanged(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Counts that stay the same do not hide that another subject is clear."""
    opened_batch.tamper(
        "verdicts",
        "verdict = CASE ordinal WHEN :refused THEN 'clear' ELSE 'refused' END WHERE ordinal IN (:refused, 9)",
        refused=REFUSED,
    )
    refuses_wallets(custody, opened_batch, "not the ones that were sealed")


def test_a_clear_verdict_at_a_score_that_must_be_held(room: Room, custody: CustodyActivities) -> None:
    """Verdicts are held against the policy's threshold, however well they are sealed and signed."""
    batch = AskedBatch(room=room)
    batch.claim()
    batch.plan()
    batch.screen(scores={11: 0.99})
    batch.seal_evidence(0)
    batch.sign_gates()
    custody.open_keyring(batch.tranche_step())
    refuses_wallets(custody, batch, "score that must be held")


def test_an_adjudication_without_a_signed_statement(room: Room, custody: CustodyActivities) -> None:
    """A hold that a row says was cleared carries no key: the decision itself must be signed."""
    batch = _cleared_by(room, [])
    custody.open_keyring(batch.tranche_step())
    refuses_wallets(custody, batch, "gate hold")


def test_a_hold_cleared_by_the_wrong_role(room: Room, custody: CustodyActivities) -> None:
    """A wallet officer clears nobody."""
    batch = _cleared_by(room, [room.kim])
    custody.open_keyring(batch.tranche_step())
    refuses_wallets(custody, batch, "gate hold")


def test_a_late_hold_without_a_signed_statement(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """The late tranche's evidence and approvals do not replace the decision on the hold."""
    opened_batch.settle(5, "clear", by=[])
    opened_batch.seal_evidence(1)
    opened_batch.approve("issuance", opened_batch.evidence_digests[1], by=[opened_batch.room.lee])
    with pytest.raises(PolicyViolationError, match="gate hold"):
        custody.derive_slice(opened_batch.slice_step(tranche=1, length=1))
    assert opened_batch.wallets() == []


def _cleared_by(room: Room, signers: list[Any]) -> AskedBatch:
    """A batch whose early hold is cleared by the statements of these."""
    batch = AskedBatch(room=room)
    batch.claim()
    batch.plan()
    batch.screen()
    batch.settle(HELD_EARLY, "clear", by=signers)
    batch.seal_evidence(0)
    batch.sign_gates()
    return batch


def test_a_decision_moved_to_another_hold(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """The decisions that the evidence took in are part of what was signed."""
    opened_batch.tamper(
        "adjudications",
        "hold_digest = :other WHERE ordinal = :held",
        other=bytes.fromhex(opened_batch.hold_digest(5)),
        held=HELD_EARLY,
    )
    refuses_wallets(custody, opened_batch, "evidence is not what its digest says")


def test_a_late_slice_of_other_positions(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Of the cleared holds too only whole slices are derived, each under its own number."""
    opened_batch.settle(HELD_LATE, "clear", by=[opened_batch.room.lee])
    opened_batch.seal_evidence(1)
    opened_batch.approve("issuance", opened_batch.evidence_digests[1], by=[opened_batch.room.lee])
    for index, offset, length in ((0, 0, 2), (0, 1, 1), (1, 0, 1), (1, 1024, 1), (-1, -1024, 1)):
        step = opened_batch.slice_step(tranche=1, index=index, offset=offset, length=length)
        with pytest.raises(PolicyViolationError, match="whole slices of cleared holds"):
            custody.derive_slice(step)
    beyond = replace(opened_batch.slice_step(tranche=1, index=1, offset=1024), length=0)
    with pytest.raises(PolicyViolationError, match="whole slices of cleared holds"):
        custody.derive_slice(beyond)
    assert opened_batch.wallets() == []


def test_what_others_have_under_the_same_numbers_is_theirs(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """Another batch's hold of the same ordinal, and a screened slice of another tranche, stop nothing."""
    lee = opened_batch.room.lee
    opened_batch.settle(HELD_LATE, "clear", by=[lee])
    opened_batch.seal_evidence(1)
    opened_batch.approve("issuance", opened_batch.evidence_digests[1], by=[lee])
    AskedBatch(room=opened_batch.room).prepare_unsigned()
    late = opened_batch.slice_step(tranche=1, length=1)
    with opened_batch.writing() as connection:
        slices.record(
            connection,
            batch_no=opened_batch.batch_no,
            stage="screen",
            step=late,
            result=SliceResult(row_count=1, root="00" * 32),
        )
    assert custody.derive_slice(opened_batch.slice_step()).row_count > 0
    assert custody.derive_slice(late).row_count == len(opened_batch.chains)


def test_a_slice_cut_otherwise_than_it_was_screened(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """Only whole screened slices are derived, each under its own number."""
    whole = opened_batch.count
    for index, offset, length in ((0, 0, whole - 1), (0, 1, whole - 1), (1, 0, whole), (-1, 0, whole)):
        with pytest.raises(PolicyViolationError, match="whole screened slices"):
            custody.derive_slice(opened_batch.slice_step(index=index, offset=offset, length=length))
    assert opened_batch.wallets() == []


def test_a_slice_that_was_screened_out_of_its_place(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """A slice's number is its place: one recorded elsewhere is derived under neither."""
    opened_batch.tamper("slices", "first_position = 1, length = length - 1 WHERE stage = 'screen'")
    moved = opened_batch.slice_step(offset=1, length=opened_batch.count - 1)
    with pytest.raises(PolicyViolationError, match="whole screened slices"):
        custody.derive_slice(moved)


def test_a_range_verified_before_it_is_derived(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """An empty range is not taken for a verified one, so that its wallets can still become ready."""
    with pytest.raises(PolicyViolationError, match="all of its slices"):
        custody.verify_range(opened_batch.slice_step())
    custody.derive_slice(opened_batch.slice_step())
    with pytest.raises(PolicyViolationError, match="all of its slices"):
        custody.verify_range(opened_batch.slice_step(length=3))
    with pytest.raises(PolicyViolationError, match="all of its slices"):
        custody.verify_range(replace(opened_batch.slice_step(), length=0))
    assert custody.verify_range(opened_batch.slice_step()).checked


def test_a_slice_before_there_is_a_keyring(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Deriving never makes a seed by the way."""
    batch.sign_gates()
    refuses_wallets(custody, batch, "no keyring")
    assert batch.keyrings() == []


def test_a_batch_that_has_ended(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """An ended batch gets no more keys, with every approval it ever had."""
    with opened_batch.writing() as connection:
        connection.execute(
            text(
                "UPDATE batches SET outcome = 'completed', result = '{}', ended_at = clock_timestamp()"
                " WHERE batch_id = :batch_id"
            ),
            {"batch_id": opened_batch.batch_id},
        )
    refuses_wallets(custody, opened_batch, "no running batch")


def test_undoing_a_batch_that_goes_on(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """Nothing is revoked before the fence was raised, which is how leaving early begins."""
    custody.derive_slice(opened_batch.slice_step())
    with pytest.raises(PolicyViolationError, match="fence was raised"):
        custody.undo_derivation(opened_batch.batch_step())
    assert {row.state for row in opened_batch.wallets()} == {"derived"}


def test_a_batch_that_does_not_exist(custody: CustodyActivities) -> None:
    """Every activity refuses an unknown id with an error that is never retried."""
    unknown = f"batch-{uuid4().hex[:12]}"
    chain = f"batch/{unknown}"
    piece = SliceStep(
        batch_id=unknown,
        fence=2,
        tranche=0,
        slice_index=0,
        offset=0,
        length=1,
        audit_chain=chain,
    )
    calls: list[tuple[Callable[[], object], type[WalletworksError]]] = [
        (lambda: custody.open_keyring(TrancheStep(batch_id=unknown, fence=2)), PolicyViolationError),
        (lambda: custody.derive_slice(piece), PolicyViolationError),
        (lambda: custody.verify_range(piece), PolicyViolationError),
        (lambda: custody.attest_head(BatchStep(batch_id=unknown, fence=2)), PolicyViolationError),
        (lambda: custody.undo_derivation(BatchStep(batch_id=unknown, fence=2)), StaleFenceError),
    ]
    for call, expected in calls:
        with pytest.raises(expected) as caught:
            call()
        assert caught.value.non_retryable


def test_a_batch_that_was_never_planned(room: Room, custody: CustodyActivities) -> None:
    """A claimed batch without a plan has nothing that anybody could have approved."""
    batch = AskedBatch(room=room)
    batch.claim()
    refuses_keyring(custody, batch, "no running batch of this id is planned")


def test_the_provisioning_role_writes_an_address(opened_batch: AskedBatch) -> None:
    """Only custody's role writes wallets at all."""
    row = {
        "batch_no": opened_batch.batch_no,
        "ordinal": 0,
        "chain": "ethereum",
        "keyring_no": opened_batch.keyrings()[0].keyring_no,
        "account": 0,
        "address_index": 0,
        "address": "0x" + "00" * 20,
        "possession": b"",
        "tranche": 0,
    }
    with pytest.raises(WalletworksError, match="may not"), opened_batch.writing() as connection:
        connection.execute(insert(t.wallets).values(**row))
    assert opened_batch.wallets() == []
