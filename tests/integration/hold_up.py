"""Holds a step up in the middle of its work, at a place of the test's choice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from infra.devstack import Stack

_WAITS = "SELECT count(*) > 0 FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
_WRITER_WAITS = """
    SELECT count(*) > 0 FROM pg_locks waits JOIN pg_locks fence USING (pid)
    WHERE waits.relation = %s::regclass AND NOT waits.granted
      AND fence.locktype = 'advisory' AND fence.granted
      AND (fence.classid::bigint << 32) | fence.objid::bigint = hashtextextended('fence/' || %s, 0)
"""
"""Whoever writes for a batch holds its fence meanwhile."""


@contextmanager
def hold_up(stack: Stack, table: str, *, writer_of: str = "") -> Iterator[Callable[[], bool]]:
    """Keeps a table locked, so that whoever needs it waits; gives a function that tells whether one does.

    Of a table that also the sweep looks at, it has to tell whether the writer of a certain batch waits.
    """
    owner = stack.database_url("owner")
    with psycopg.connect(owner, autocommit=True) as looking, psycopg.connect(owner) as holding:
        holding.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        query, values = (_WRITER_WAITS, [table, writer_of]) if writer_of else (_WAITS, [table])
        yield lambda: looking.execute(query, values).fetchone() == (True,)
        holding.rollback()
