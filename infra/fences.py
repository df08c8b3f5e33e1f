"""`python -m infra.fences BATCH [--end]`: the database sessions that keep a batch's fence, and their end.

For a worker whose process was stopped in the middle of a COPY, which no time limit of the server ends. The
login of the worker's own role may look and end, and so may a superuser; the schema's owner may not.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from infra.commands import (
    DONE,
    REFUSED,
    UNREACHABLE,
    CommandError,
    add_url_option,
    database_url,
    failed,
    say,
)

SILENT_SECONDS: Final = 5
"""Age of a transaction from which one that waits for its own process counts as stopped: slices take a second,
and what takes longer works on the server meanwhile. One ended by mistake is rolled back and done again."""

_SESSIONS: Final = """
    SELECT a.pid, a.usename AS role, l.granted AS holds,
           host(a.client_addr) AS host, a.client_port AS port,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float AS seconds,
           a.wait_event_type = 'Client' AND a.wait_event = 'ClientRead' AS waits_for_its_process
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND a.datname = current_database()
      AND l.database = a.datid
      AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('fence/' || %(batch_id)s, 0)
    ORDER BY l.granted DESC, a.xact_start
"""
"""The lock is the one that `hold_fence` takes; what a session does is null for who may not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session that holds a batch's fence or waits for it; None is what the login may not see."""

    pid: int
    role: str
    holds: bool
    host: str | None
    port: int | None
    seconds: float | None
    waits_for_its_process: bool | None

    @property
    def is_stopped(self) -> bool:
        """Whether its process says nothing although it is its turn."""
        old = self.seconds is not None and self.seconds >= SILENT_SECONDS
        return self.holds and old and bool(self.waits_for_its_process)

    def told(self) -> str:
        """One line."""
        does = "holds the fence" if self.holds else "waits for the fence"
        if self.seconds is None:
            return f"{self.pid:>8}  {self.role}  {does} (another role's: its login sees more)"
        waits = ", waits for its process" if self.waits_for_its_process else ""
        place = f"{self.host}:{self.port}" if self.host else "this host"
        return f"{self.pid:>8}  {self.role}  {does} for {self.seconds:.0f} s{waits}, from {place}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks, or ends; gives the exit code (0 done, 1 refused, 2 wrong use, 3 no database there)."""
    options = _parser().parse_args(arguments)
    try:
        url = database_url(options.url_file)
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            found = sessions_of(connection, options.batch_id)
            for session in found:
                say(session.told())
            if not found:
                say("nobody holds the batch's fence, or waits for it")
            if options.end:
                _end(connection, [session for session in found if session.is_stopped])
    except CommandError as error:
        return failed(str(error), error.code)
    except psycopg.errors.InsufficientPrivilege:
        return failed("this login may not end that session: use its own role's, or a superuser's", REFUSED)
    except psycopg.OperationalError:
        return failed("the database does not answer, or refuses this login", UNREACHABLE)
    return DONE


def sessions_of(connection: psycopg.Connection[Any], batch_id: str) -> list[Session]:
    """Gives the sessions that hold a batch's fence, and those that wait for it."""
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        return cursor.execute(_SESSIONS, {"batch_id": batch_id}).fetchall()


def _end(connection: psycopg.Connection[Any], stopped: Sequence[Session]) -> None:
    for session in stopped:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [session.pid])
        say(f"{session.pid:>8}  ended")
    if not stopped:
        say("no stopped session of this login's holds it: nothing to end")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.fences", description=__doc__)
    parser.add_argument("batch_id", metavar="BATCH")
    parser.add_argument(
        "--end", action="store_true", help="end the sessions of stopped processes that hold it"
    )
    add_url_option(parser, whose="a login's")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
