"""The fence between two connections: effects in flight finish, later ones change nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from activities.contracts.batches import RaiseFence
from activities.failures import ServiceUnavailableError, StaleFenceError
from activities.register import BatchRegisterActivities
from activities.store.database import hold_fence
from tests.integration.store_fixtures import Databases
from tests.integration.store_rows import a_batch, await_lock_wait, on, run, run_all, some_wallets

READY = "UPDATE wallets SET state = 'ready' WHERE batch_no = :no"


def in_background(pool: ThreadPoolExecutor, databases: Databases, batch_id: str) -> Future[int]:
    """Raises the fence from 1 in another thread."""
    register = BatchRegisterActivities(database=databases.provisioning)
    step = RaiseFence(batch_id=batch_id, fence=1, reason="aborted")
    return pool.submit(lambda: register.raise_fence(step).fence)


def test_slice_in_flight_commits_before_the_fence_rises(databases: Databases) -> None:
    """Raising waits for the holder; what the holder wrote stands."""
    batch_id, batch_no = a_batch(databases)
    some_wallets(databases, batch_no)
    with ThreadPoolExecutor(1) as pool:
        with databases.custody.transaction() as connection:
            hold_fence(connection, batch_id=batch_id, fence=1)
            raised = in_background(pool, databases, batch_id)
            await_lock_wait(databases)
            on(connection, READY, no=batch_no)
            assert not raised.done()
        assert raised.result() == 2
    rows = run(databases.owner, "SELECT DISTINCT state FROM wallets WHERE batch_no = :no", no=batch_no)
    assert [row.state for row in rows] == ["ready"]


def test_holder_that_falls_silent_loses_the_fence(databases: Databases) -> None:
    """The server ends its session: the fence rises without it, and what it comes back with is refused."""
    batch_id, batch_no = a_batch(databases)
    some_wallets(databases, batch_no)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ServiceUnavailableError):
        _fall_silent(pool, databases, batch_id, batch_no)
    rows = run(databases.owner, "SELECT DISTINCT state FROM wallets WHERE batch_no = :no", no=batch_no)
    assert [row.state for row in rows] == ["derived"]


def test_silence_is_bounded_for_whoever_holds_a_fence(databases: Databases) -> None:
    """Thirty seconds within the transaction, and as before after it."""
    batch_id, _ = a_batch(databases)
    show = "SHOW idle_in_transaction_session_timeout"
    with databases.custody.transaction() as connection:
        hold_fence(connection, batch_id=batch_id, fence=1)
        assert on(connection, show)[0][0] == "30s"
    assert run(databases.custody, show)[0][0] == "5min"


def test_slices_hold_the_fence_together(databases: Databases) -> None:
    """Shards never wait for each other."""
    batch_id, batch_no = a_batch(databases)
    with databases.provisioning.transaction() as one, databases.custody.transaction() as other:
        assert hold_fence(one, batch_id=batch_id, fence=1) == batch_no
        assert hold_fence(other, batch_id=batch_id, fence=1) == batch_no


@pytest.mark.parametrize("fence", [0, 1, 3])
def test_zombie_of_another_fence_changes_nothing(databases: Databases, fence: int) -> None:
    """Only the current fence holds; a transaction refused by it is rolled back whole."""
    batch_id, batch_no = a_batch(databases)
    some_wallets(databases, batch_no)
    run(databases.provisioning, "UPDATE batches SET fence = 2 WHERE batch_no = :no", no=batch_no)
    hold = "SELECT hold_fence(:batch_id, :fence)"
    with pytest.raises(StaleFenceError):
        run_all(databases.custody, READY, hold, no=batch_no, batch_id=batch_id, fence=fence)
    rows = run(databases.owner, "SELECT DISTINCT state FROM wallets WHERE batch_no = :no", no=batch_no)
    assert [row.state for row in rows] == ["derived"]


def test_zombie_that_waited_for_the_raise_is_refused(databases: Databases) -> None:
    """A slice that asks while the fence is being raised sees the raised fence, not the one before."""
    batch_id, batch_no = a_batch(databases)
    with ThreadPoolExecutor(1) as pool:
        with databases.provisioning.transaction() as connection:
            on(connection, "UPDATE batches SET fence = 2 WHERE batch_no = :no", no=batch_no)
            zombie = pool.submit(_hold_and_leave, databases, batch_id)
            await_lock_wait(databases, role="walletworks_custody")
        with pytest.raises(StaleFenceError):
            zombie.result()


def test_unknown_batch_has_no_fence(databases: Databases) -> None:
    """A batch nobody claimed cannot be worked on."""
    with pytest.raises(StaleFenceError), databases.provisioning.transaction() as connection:
        hold_fence(connection, batch_id="never-claimed", fence=1)


def test_raising_is_not_overtaken_by_slices_that_come_later(databases: Databases) -> None:
    """Slices that overlap without a gap must not keep the fence from rising."""
    batch_id, _ = a_batch(databases)
    with ThreadPoolExecutor(2) as pool:
        with databases.custody.transaction() as connection:
            hold_fence(connection, batch_id=batch_id, fence=1)
            raised = in_background(pool, databases, batch_id)
            await_lock_wait(databases)
            late = pool.submit(_hold_and_leave, databases, batch_id)
            await_lock_wait(databases, role="walletworks_custody")
        assert raised.result() == 2
        with pytest.raises(StaleFenceError):
            late.result()


def test_fence_is_raised_once_by_many(databases: Databases) -> None:
    """Concurrent attempts to raise the same fence leave it one higher, with one audit entry."""
    batch_id, _ = a_batch(databases)
    with ThreadPoolExecutor(6) as pool:
        together = threading.Barrier(6)
        raises = [pool.submit(_raise_together, databases, batch_id, together.wait) for _ in range(6)]
        assert {future.result() for future in raises} == {2}
    entries = run(
        databases.provisioning,
        "SELECT body FROM audit_entries WHERE chain = :chain AND body LIKE '%fence.raised%'",
        chain=f"batch/{batch_id}",
    )
    assert len(entries) == 1


def _fall_silent(pool: ThreadPoolExecutor, databases: Databases, batch_id: str, batch_no: int) -> None:
    with databases.custody.transaction() as connection:
        hold_fence(connection, batch_id=batch_id, fence=1)
        on(connection, READY, no=batch_no)
        on(connection, "SET LOCAL idle_in_transaction_session_timeout = '300ms'")
        assert in_background(pool, databases, batch_id).result(30) == 2


def _raise_together(databases: Databases, batch_id: str, wait: Callable[[], int]) -> int:
    register = BatchRegisterActivities(database=databases.provisioning)
    wait()
    return register.raise_fence(RaiseFence(batch_id=batch_id, fence=1, reason="aborted")).fence


def _hold_and_leave(databases: Databases, batch_id: str) -> int:
    with databases.custody.transaction() as connection:
        return hold_fence(connection, batch_id=batch_id, fence=1)
