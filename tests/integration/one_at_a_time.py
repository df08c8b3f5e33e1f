"""Proof that a call waits for a transaction that goes before it: no race has to be won for it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, text

from activities.store.database import Database
from tests.waiting import eventually

Answer = TypeVar("Answer")

_IS_WAITED_FOR = text(
    "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
)


def behind(database: Database, first: Callable[[Connection], object], call: Callable[[], Answer]) -> Answer:
    """Calls while a transaction that did `first` is open, sees it wait, and gives its answer after that."""
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as connection:
            first(connection)
            pending = pool.submit(call)
            eventually(
                lambda: pending.done() or connection.execute(_IS_WAITED_FOR).scalar_one(), 20, what="the call"
            )
            assert not pending.done(), "it did not wait"
        return pending.result()
