"""Transactions that the database gives up: real deadlocks, and serialisation failures raised by a trigger."""

import asyncio
from contextlib import suppress
from typing import Any, Final, LiteralString

import psycopg

from tests.chaos.faults.kinds import Fault
from tests.chaos.faults.world import World
from tests.waiting import eventually, let_time_pass

_WAITERS_WITHIN: Final = 8.0
_WAITERS: Final = "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"


async def deadlock(world: World, fault: Fault, victim: str) -> int:
    """A stranger takes the audit heads first and the batch's row last: PostgreSQL itself ends ours."""
    del fault, victim
    return await asyncio.to_thread(_deadlock, world)


def _deadlock(world: World) -> int:
    before = _deadlocks(world)
    with world.admin() as connection, suppress(psycopg.errors.Error):
        # Who has waited for so long looks for the cycle and is ended: that shall be the other one.
        connection.execute("SET deadlock_timeout = '60s'")
        connection.execute("SET lock_timeout = '10s'")
        with connection.transaction():
            connection.execute("SELECT 1 FROM audit_heads FOR UPDATE")
            if _somebody_waits(world, connection):
                connection.execute("SELECT 1 FROM batches WHERE batch_id = %s FOR UPDATE", [world.batch_id])
    return _deadlocks(world) - before


def _somebody_waits(world: World, connection: "psycopg.Connection[Any]") -> bool:
    with world.admin() as other, suppress(AssertionError):
        return (
            eventually(
                lambda: other.execute(_WAITERS, [connection.info.backend_pid]).fetchall(),
                _WAITERS_WITHIN,
                what="somebody who waits for the stranger",
            )
            != []
        )
    return False


def _deadlocks(world: World) -> int:
    with world.admin() as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(row[0]) if row else 0


SERIALISATION: Final = ("40001", "could not serialize access")
DEADLOCK: Final = ("40P01", "deadlock detected")
DISK_FULL: Final = ("53100", "could not extend file")

TABLES: Final[tuple[LiteralString, ...]] = ("audit_entries", "slices", "attempts", "waves", "gates", "outbox")
"""Where a trigger can make every effect fail."""

# Nothing may be granted to the workers' roles: they would refuse to start, and rightly so.
_MAKE: Final[LiteralString] = """
    CREATE SEQUENCE IF NOT EXISTS chaos_calls;
    CREATE OR REPLACE FUNCTION chaos_refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF nextval('public.chaos_calls') % TG_ARGV[0]::int = 0 THEN
            RAISE EXCEPTION USING ERRCODE = TG_ARGV[1], MESSAGE = TG_ARGV[2];
        END IF;
        RETURN NEW;
    END $$;
    REVOKE EXECUTE ON FUNCTION chaos_refuse() FROM PUBLIC;
"""


async def serialisation_failure(world: World, fault: Fault, victim: str) -> int:
    """Every third write of ours is given up by the database, while the fault lasts."""
    del victim
    return await refusing(world, fault, every=3, error=SERIALISATION)


async def refusing(world: World, fault: Fault, *, every: int, error: tuple[str, str]) -> int:
    """A trigger refuses every n-th write of ours with a SQLSTATE, while the fault lasts."""
    try:
        await asyncio.to_thread(_hang_triggers, world, every, error)
        await let_time_pass(fault.lasts_seconds)
    finally:
        bites = await asyncio.to_thread(_drop_triggers, world)
    return bites // every


def _hang_triggers(world: World, every: int, error: tuple[str, str]) -> None:
    state, sentence = error
    # A table at a time, each committed: two held at once would be a deadlock with a write of ours.
    with world.admin() as connection:
        connection.execute(_MAKE)
        connection.execute("SELECT setval('chaos_calls', 1, false)")
        for table in TABLES:
            connection.execute(
                psycopg.sql.SQL(
                    "CREATE TRIGGER chaos_refuse BEFORE INSERT ON {} FOR EACH ROW"
                    " EXECUTE FUNCTION chaos_refuse({}, {}, {})"
                ).format(psycopg.sql.Identifier(table), every, state, sentence)
            )


def _drop_triggers(world: World) -> int:
    with world.admin() as connection:
        for table in TABLES:
            connection.execute(
                psycopg.sql.SQL("DROP TRIGGER IF EXISTS chaos_refuse ON {}").format(
                    psycopg.sql.Identifier(table)
                )
            )
        row = connection.execute("SELECT last_value FROM chaos_calls").fetchone()
    return int(row[0]) if row else 0
