"""Proof that a call waits for a transaction that goes before it: no race has to be won for it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, text

from activities.store.database import Database
from tests.waiting import eventually

Answer = TypeVar("Answer")

_WAITERS = text(
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
)


def behind(database: Database, first: Callable[[Connection], object], call: Callable[[], Answer]) -> Answer:
    """Calls while a transaction that did `first` is open, sees it wait, and gives its answer after that."""
    (answer,) = all_behind(database, first, [call])
    return answer


def all_behind(
    database: Database,
    first: Callable[[Connection], object],
    calls: Sequence[Callable[[], Answer]],
    *,
    then: Callable[[], object] = lambda: None,
) -> list[Answer]:
    """The same with several calls at once; once all of them wait, `then` is done and they go on."""
    with ThreadPoolExecutor(len(calls)) as pool:
        with database.transaction() as connection:
            first(connection)
            pending = [pool.submit(call) for call in calls]

            def all_wait() -> bool:
                waiting: int = connection.execute(_WAITERS).scalar_one()
                return waiting == len(calls) or any(each.done() for each in pending)

            eventually(all_wait, 20, what="the calls")
            assert not any(each.done() for each in pending), "one did not wait"
            then()
        return [each.result() for each in pending]
