"""How far a batch has come, by its audit log; intents are none, since a retry states its intent anew."""

from dataclasses import dataclass
from typing import Any, Final

import psycopg

from tests.chaos.faults.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Outcomes on record, the kinds of all entries, and whether the batch has ended."""

    outcomes: int = 0
    kinds: frozenset[str] = frozenset()
    ended: bool = False


class Watch:
    """Looks at the batch past every proxy."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._connection: psycopg.Connection[Any] | None = None

    def look(self) -> Progress | None:
        """How far the batch is; nothing while the database cannot say."""
        try:
            if self._connection is None:
                self._connection = self._world.admin()
            chain = {"chain": f"batch/{self._world.batch_id}"}
            row = self._connection.execute(_PROGRESS, chain).fetchone()
        except psycopg.OperationalError:
            self.close()
            return None
        assert row is not None
        return Progress(outcomes=row[0], kinds=frozenset(row[1]), ended=row[2])

    def close(self) -> None:
        """Closes the session."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_PROGRESS: Final = """
    SELECT count(*) FILTER (WHERE kind NOT LIKE '%%.intent'), coalesce(array_agg(DISTINCT kind), '{}'),
           coalesce(bool_or(kind = 'batch.ended'), false)
    FROM (SELECT body::jsonb->>'kind' AS kind FROM audit_entries
          WHERE chain = %(chain)s OR chain LIKE %(chain)s || '/%%') AS entries
"""
