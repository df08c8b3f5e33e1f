"""Faults inside the real store, each for one batch: a write that is held up, refused n times, or left out.

The owner's triggers look up a table of faults before each write of the tables that every effect writes;
nothing else of the store is changed, and all of it goes when the faults do.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from infra.devstack import Stack
from tests.waiting import eventually_async

REFUSED: Final = "23514"
"""The SQLSTATE of a check that failed: no second try helps, so the step has failed for good."""

AWAY: Final = "40001"
"""The SQLSTATE of a transaction that may be tried again."""

FOR_GOOD: Final = 2**31

_LOCKS: Final = 7077
"""The first half of the advisory locks' keys, as in the trigger; nothing of ours uses it."""

_WRITES: Final[tuple[LiteralString, ...]] = (
    *("INSERT ON slices", "INSERT ON waves", "INSERT ON gates", "INSERT ON attestations"),
    *("INSERT ON audit_entries", "UPDATE ON wallets"),
)
_COMMITS: Final[tuple[LiteralString, ...]] = ("INSERT ON slices", "UPDATE ON batches")

_INSTALL: Final = """
CREATE SCHEMA faults;
CREATE TABLE faults.planned (
    fault integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id text NOT NULL, place text NOT NULL, matches jsonb NOT NULL,
    does text NOT NULL, sqlstate text NOT NULL, times bigint NOT NULL);
CREATE INDEX ON faults.planned (batch_id, place);
CREATE FUNCTION faults.act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written jsonb := to_jsonb(NEW);
    of_batch text;
    planned faults.planned;
BEGIN
    IF TG_TABLE_NAME = 'audit_entries' THEN
        of_batch := split_part(written ->> 'chain', '/', 2);
        written := (written ->> 'body')::jsonb;
    ELSE
        SELECT b.batch_id INTO of_batch FROM public.batches b WHERE b.batch_no = NEW.batch_no;
    END IF;
    FOR planned IN SELECT * FROM faults.planned p WHERE p.batch_id = of_batch
        AND p.place = TG_TABLE_NAME AND written @> p.matches
        AND (p.does = 'hold the commit') = (TG_WHEN = 'AFTER')
    LOOP
        IF planned.does IN ('hold', 'hold the commit') THEN
            PERFORM pg_advisory_xact_lock_shared(7077, planned.fault);
        ELSIF nextval('faults.calls_of_' || planned.fault) > planned.times THEN
            CONTINUE;
        ELSIF planned.does = 'leave out' THEN
            RETURN NULL;
        ELSE
            RAISE EXCEPTION 'broken by a test' USING ERRCODE = planned.sqlstate;
        END IF;
    END LOOP;
    RETURN NEW;
END $$;
REVOKE EXECUTE ON FUNCTION faults.act() FROM PUBLIC;
"""

_PLAN: Final = """
INSERT INTO faults.planned (batch_id, place, matches, does, sqlstate, times)
VALUES (%s, %s, %s, %s, %s, %s) RETURNING fault
"""

_HELD: Final = """
SELECT count(*) > 0 FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted AND objsubid = 2 AND classid = %s AND objid = %s
"""

_RAISING: Final = """
SELECT count(*) > 0 FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted AND objsubid = 1 AND mode = 'ExclusiveLock'
  AND (classid::bigint << 32) | objid::bigint = hashtextextended('fence/' || %s, 0)
"""


_CALLS: Final = (
    "SELECT coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = 'faults' AND sequencename = %s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A write: its table, and what the row (or an audit entry's body) holds among other things.

    `at_commit`: whoever is held up there has done all its work, and commits it whatever it is told meanwhile.
    """

    table: str
    matches: Mapping[str, Any] = field(default_factory=dict)
    at_commit: bool = False


class Hold:
    """A write of one batch that is held up in the middle of its transaction until it is let go."""

    def __init__(self, faults: "Faults", batch_id: str, fault: int) -> None:
        self._faults = faults
        self._batch_id = batch_id
        self._fault = fault
        faults.ask("SELECT 1 FROM pg_advisory_lock(%s, %s)", _LOCKS, fault)

    async def taken(self) -> None:
        """Waits until the write is held up."""
        await self._until(lambda: self._faults.ask(_HELD, _LOCKS, self._fault), "a write held up")

    async def fence_is_being_raised(self) -> None:
        """Waits until the batch's fence is to be raised, which has to wait for the write."""
        await self._until(lambda: self._faults.ask(_RAISING, self._batch_id), "a fence being raised")

    def let_go(self) -> None:
        """Lets the write go on."""
        self._faults.ask("SELECT pg_advisory_unlock(%s, %s)", _LOCKS, self._fault)

    async def _until(self, holds: Any, what: str) -> None:
        async def look() -> bool:
            return bool(holds())

        await eventually_async(look, 60, what=f"{self._batch_id}: {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A write of one batch that the store refuses for a while."""

    faults: "Faults"
    fault: int

    def calls(self) -> int:
        """How often the write was tried since, the refused tries included."""
        name = f"calls_of_{self.fault}"
        return int(self.faults.ask(_CALLS, name))


class Faults:
    """The faults of a store, planned by its owner."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def hold(self, batch_id: str, place: Place) -> Hold:
        """Holds up a write of a batch that comes later."""
        does = "hold the commit" if place.at_commit else "hold"
        return Hold(self, batch_id, self._plan(batch_id, place, does))

    def refuse(
        self, batch_id: str, place: Place, *, times: int = FOR_GOOD, sqlstate: str = REFUSED
    ) -> Refusal:
        """Refuses a write of a batch so many times."""
        fault = self._plan(batch_id, place, "refuse", times=times, sqlstate=sqlstate)
        return Refusal(faults=self, fault=fault)

    def leave_out(self, batch_id: str, place: Place) -> None:
        """Makes the store drop rows of a write, saying nothing."""
        self._plan(batch_id, place, "leave out")

    def ask(self, sql: Any, *values: Any) -> Any:
        """The one value a statement gives."""
        row = self._connection.execute(sql, values).fetchone()
        assert row is not None
        return row[0]

    def _plan(
        self, batch_id: str, place: Place, does: str, *, times: int = FOR_GOOD, sqlstate: str = REFUSED
    ) -> int:
        with self._connection.transaction():
            values = (batch_id, place.table, Jsonb(dict(place.matches)), does, sqlstate, times)
            fault = int(self.ask(_PLAN, *values))
            self._connection.execute(f"CREATE SEQUENCE faults.calls_of_{fault}".encode())
        return fault


@contextmanager
def breaking(stack: Stack) -> Iterator[Faults]:
    """Lets tests break the stack's store, and mends it afterwards."""
    with psycopg.connect(stack.database_url("owner"), autocommit=True) as owner:
        owner.execute(_INSTALL.encode())
        try:
            for number, write in enumerate(_WRITES):
                # The name is the first of its table's: what is left out is judged by no other rule.
                owner.execute(
                    f"CREATE TRIGGER a_fault_{number} BEFORE {write} FOR EACH ROW"
                    " EXECUTE FUNCTION faults.act()".encode()
                )
            for number, write in enumerate(_COMMITS):
                owner.execute(
                    f"CREATE CONSTRAINT TRIGGER z_fault_{number} AFTER {write}"
                    " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION faults.act()".encode()
                )
            yield Faults(owner)
        finally:
            owner.execute("DROP SCHEMA faults CASCADE")
