"""Transactions on the store, and the one place where database errors become ours.

A lost connection, a deadlock or a failover is ServiceUnavailableError; a stale fence is StaleFenceError.
No statement text and no parameter leaves in an error.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    ServiceUnavailableError,
    StaleFenceError,
    WalletworksError,
)

STALE_FENCE = "WW001"
"""SQLSTATE raised by `hold_fence` when the batch's fence is not the caller's."""

_RETRYABLE = ("08", "40", "53", "57", "58", "25006", "25P03", "55P03")
"""SQLSTATE prefixes: connection, rollback, resources, operator, system, read-only, own silence, lock wait."""

_CREDENTIALS_REFUSED = ("42501", "28")
"""SQLSTATE prefixes: insufficient privilege, invalid authorisation."""

_LOGIN_REFUSALS = ("password authentication failed", "not permitted to log in", "no pg_hba.conf entry")
"""A refused connection carries no SQLSTATE, only the server's sentence."""

_SESSION_SETTINGS = {
    "lock_timeout": "60s",  # raising a fence waits for slices in flight, which take seconds
    "idle_in_transaction_session_timeout": "300s",  # a stopped process must not hold a fence for ever
    "statement_timeout": "900s",  # the set-based undoing of the largest batch takes minutes
    "tcp_keepalives_idle": "15",  # a host that vanished in the middle of a COPY must not hold one either
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


_FENCE_IDLE = "30s"
"""How long a transaction that holds a fence may be silent: a stopped process keeps no batch from being left.

Between two statements of such a transaction lie milliseconds; its worker counts as dead after ten seconds.
"""


class Database:
    """One role's way to the store."""

    def __init__(self, url: str, *, pool_size: int = 8, pool_wait_seconds: float = 30.0) -> None:
        self._engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_wait_seconds,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 5,
                "application_name": "walletworks",
                "options": " ".join(f"-c {name}={value}" for name, value in _SESSION_SETTINGS.items()),
            },
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commits when the block ends, rolls back when it raises.

        Raises: ServiceUnavailableError, StaleFenceError, AccessDeniedError, IntegrityError.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except (StatementError, PoolTimeoutError, psycopg.Error) as error:
            translated = _translated(error)
        else:
            return
        try:
            raise translated from None
        finally:
            # The block's own exception is still being handled outside: keep it out of the failure.
            translated.__context__ = None

    def close(self) -> None:
        """Closes every pooled connection."""
        self._engine.dispose()


def hold_fence(connection: Connection, *, batch_id: str, fence: int) -> int:
    """Gives the batch's number and keeps its fence from being raised until this transaction ends.

    The server ends the session of a holder that falls silent for `_FENCE_IDLE`.

    Raises: StaleFenceError when the fence is not the caller's.
    """
    found = connection.execute(
        text(
            "SELECT hold_fence(:batch_id, :fence),"
            " set_config('idle_in_transaction_session_timeout', :idle, true)"
        ),
        {"batch_id": batch_id, "fence": fence, "idle": _FENCE_IDLE},
    )
    return int(found.one()[0])


def copy_rows(
    connection: Connection,
    *,
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    """Writes rows by binary COPY inside the connection's transaction; `types` are PostgreSQL type names."""
    driver: Any = connection.connection.driver_connection
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(list(types))
        for row in rows:
            copy.write_row(row)


def _translated(error: Exception) -> WalletworksError:
    original = error.orig if isinstance(error, StatementError) else error
    state = getattr(original, "sqlstate", None)
    if state is None:
        return _translated_without_state(original)
    if state == STALE_FENCE:
        return StaleFenceError("the batch's fence was raised since this step was scheduled")
    if state.startswith(_RETRYABLE):
        return ServiceUnavailableError("database")
    if state.startswith(_CREDENTIALS_REFUSED):
        return AccessDeniedError("the database role may not do this", state)
    return IntegrityError("the database refused the change", state)


def _translated_without_state(original: BaseException | None) -> WalletworksError:
    """What never reached the server: no connection or no answer is worth a retry, a wrong call is not."""
    if not isinstance(original, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeoutError):
        return IntegrityError("the database could not be asked this way")
    if any(refusal in str(original) for refusal in _LOGIN_REFUSALS):
        return AccessDeniedError("the database refused the role's credentials")
    return ServiceUnavailableError("database")
