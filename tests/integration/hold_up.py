"""Holds a step up in the middle of its work, at a place of the test's choice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from infra.devstack import Stack


@contextmanager
def hold_up(stack: Stack, table: str) -> Iterator[Callable[[], bool]]:
    """Keeps a table locked, so that whoever needs it waits; gives a function that tells whether one does."""
    owner = stack.database_url("owner")
    with psycopg.connect(owner, autocommit=True) as looking, psycopg.connect(owner) as holding:
        holding.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        waiting = "SELECT count(*) > 0 FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
        yield lambda: looking.execute(waiting, [table]).fetchone() == (True,)
        holding.rollback()
