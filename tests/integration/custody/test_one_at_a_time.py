"""Custody's steps one after the other, each over what is its own: what waits, and what is left alone."""

from functools import partial

import pytest
from sqlalchemy import select

from activities.custody.activities import CustodyActivities
from activities.failures import IntegrityError, PolicyViolationError
from activities.store import tables as t
from activities.store.locks import lock, lock_slice
from infra.devstack import Stack
from tests.integration.custody.batches import HELD_EARLY, HELD_LATE, HELD_REFUSED, AskedBatch
from tests.integration.custody.room import Room
from tests.integration.one_at_a_time import all_behind, behind


def test_keyring_waits_for_the_one_being_made(batch: AskedBatch, custody: CustodyActivities) -> None:
    """Two openings at once seal one after the other, so that the second finds the first."""
    batch.sign_gates()
    opened = behind(
        batch.room.databases.custody,
        lambda connection: lock(connection, f"keyring/{batch.batch_id}"),
        lambda: custody.open_keyring(batch.tranche_step()),
    )
    assert [row.keyring_id for row in batch.keyrings()] == [opened.keyring_id]


def test_slice_and_range_wait_for_their_other_attempt(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """An attempt that comes while another one stores finds what that one stored."""
    step, database = opened_batch.slice_step(), opened_batch.room.databases.custody
    derived = behind(
        database,
        lambda connection: lock_slice(connection, "derive", step),
        lambda: custody.derive_slice(step),
    )
    verified = behind(
        database,
        lambda connection: lock_slice(connection, "verify", step),
        lambda: custody.verify_range(step),
    )
    assert (custody.derive_slice(step), custody.verify_range(step)) == (derived, verified)
    assert {row.state for row in opened_batch.wallets()} == {"ready"}


def test_two_attempts_at_once_store_a_range_once(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """Both have looked before either stored: the later one tells what the other stored, without a failure."""
    step, database = opened_batch.slice_step(), opened_batch.room.databases.custody
    for stage, call in (("derive", custody.derive_slice), ("verify", custody.verify_range)):
        first, second = all_behind(
            database, partial(lock_slice, stage=stage, step=step), [partial(call, step) for _ in range(2)]
        )
        assert first == second


def test_answers_from_the_record_need_no_key_service(
    opened_batch: AskedBatch, custody: CustodyActivities, stack: Stack
) -> None:
    """What was done is told again as it was, without another key being asked for."""
    step = opened_batch.slice_step()
    calls = (
        lambda: custody.open_keyring(opened_batch.tranche_step()),
        lambda: custody.derive_slice(step),
        lambda: custody.verify_range(step),
        lambda: custody.attest_head(opened_batch.batch_step()),
    )
    done = [call() for call in calls]
    stack.openbao.seal()
    try:
        assert [call() for call in calls] == done
    finally:
        stack.openbao.unseal()


def test_late_range_is_made_ready_alone(room: Room, custody: CustodyActivities) -> None:
    """Who lies between two who were cleared late, or stands in another batch, waits for their own range."""
    batch, other = AskedBatch(room=room), AskedBatch(room=room)
    for each in (batch, other):
        each.claim()
        each.plan()
        each.screen()
        each.settle(HELD_EARLY, "clear", by=[room.lee])
        each.seal_evidence(0)
        each.sign_gates()
        custody.open_keyring(each.tranche_step())
        custody.derive_slice(each.slice_step())
    for ordinal in (HELD_LATE, HELD_REFUSED):
        batch.settle(ordinal, "clear", by=[room.lee])
    batch.seal_evidence(1)
    batch.approve("issuance", batch.evidence_digests[1], by=[room.lee])
    late = batch.slice_step(tranche=1, length=2)
    custody.derive_slice(late)
    assert custody.verify_range(late).checked == 2
    assert {row.ordinal for row in batch.wallets() if row.state == "ready"} == {HELD_LATE, HELD_REFUSED}
    assert custody.verify_range(batch.slice_step()).checked == batch.count - 3
    assert {row.state for row in batch.wallets()} == {"ready"}
    assert {row.state for row in other.wallets()} == {"derived"}


def test_revoked_wallet_is_not_made_ready(opened_batch: AskedBatch, custody: CustodyActivities) -> None:
    """What has ended in a range stays as it ended, and the others of the range become ready."""
    custody.derive_slice(opened_batch.slice_step())
    opened_batch.tamper("wallets", "state = 'revoked' WHERE ordinal = 3")
    custody.verify_range(opened_batch.slice_step())
    assert {row.ordinal for row in opened_batch.wallets() if row.state != "ready"} == {3}


def test_undoing_is_one_batchs_own(room: Room, custody: CustodyActivities) -> None:
    """Another batch keeps its wallets and its account, and its revoked ones are not counted here."""
    batches = [AskedBatch(room=room) for _ in range(3)]
    for batch in batches:
        batch.prepare()
        custody.open_keyring(batch.tranche_step())
        custody.derive_slice(batch.slice_step())
    for batch in batches[:2]:
        batch.raise_fence()
        undone = custody.undo_derivation(batch.batch_step()).counts
        assert undone == {"revoked": len(batch.wallets()), "burned_accounts": 1}
    assert {row.state for row in batches[2].wallets()} == {"derived"}
    own = t.keyring_accounts.c
    with room.databases.owner.transaction() as connection:
        burned = select(own.burned_at).where(own.batch_no == batches[2].batch_no)
        assert connection.execute(burned).scalars().all() == [None]


def test_other_range_under_a_verified_number_is_refused(
    opened_batch: AskedBatch, custody: CustodyActivities
) -> None:
    """What was verified under a number is no answer for any other range."""
    custody.derive_slice(opened_batch.slice_step())
    custody.verify_range(opened_batch.slice_step())
    for other in ({"length": opened_batch.count - 1}, {"offset": 1}):
        with pytest.raises(PolicyViolationError, match="another range was verified"):
            custody.verify_range(opened_batch.slice_step(**other))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("tranche = 1 WHERE ordinal = 3", "another number of wallets"),
        ("keyring_no = keyring_no + 1000 WHERE ordinal = 3", "another keyring"),
        ("account = 1 WHERE ordinal = 3", "another keyring"),
    ],
)
def test_wallet_moved_in_the_store_stops_the_range(
    opened_batch: AskedBatch, custody: CustodyActivities, change: str, told: str
) -> None:
    """A range is derived again as it was derived: nobody missing, all under the batch's own account."""
    custody.derive_slice(opened_batch.slice_step())
    opened_batch.tamper("wallets", change)
    with pytest.raises(IntegrityError, match=told):
        custody.verify_range(opened_batch.slice_step())
    assert {row.state for row in opened_batch.wallets()} == {"derived"}
