"""Transactions on the store, and the one place where database errors become ours.

A lost connection, a deadlock or a failover is ServiceUnavailableError; a stale fence is StaleFenceError.
No statement text and no parameter leaves in an error.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError

from activities.failures import (
    AccessDeniedError,
    IntegrityError,
    ServiceUnavailableError,
    StaleFenceError,
    WalletworksError,
)

STALE_FENCE = "WW001"
"""SQLSTATE raised by `hold_fence` when the batch's fence is not the caller's."""

_RETRYABLE_CLASSES = ("08", "40", "53", "57", "58", "25")
"""SQLSTATE classes: connection, rollback, resources, operator intervention, system, read-only."""


class Database:
    """One role's way to the store."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self._engine = create_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1),
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"connect_timeout": 5, "application_name": "walletworks"},
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commits when the block ends, rolls back when it raises.

        Raises: ServiceUnavailableError, StaleFenceError, AccessDeniedError, IntegrityError.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except WalletworksError:
            raise
        except (DBAPIError, psycopg.Error) as error:
            translated = _translated(error)
        else:
            return
        raise translated from None

    def close(self) -> None:
        """Closes every pooled connection."""
        self._engine.dispose()


def hold_fence(connection: Connection, *, batch_id: str, fence: int) -> int:
    """Gives the batch's number and keeps its fence from being raised until this transaction ends.

    Raises: StaleFenceError when the fence is not the caller's.
    """
    found = connection.execute(
        text("SELECT hold_fence(:batch_id, :fence)"), {"batch_id": batch_id, "fence": fence}
    )
    return int(found.scalar_one())


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


def _translated(error: DBAPIError | psycopg.Error) -> WalletworksError:
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None)
    if state == STALE_FENCE:
        return StaleFenceError("the batch's fence was raised since this step was scheduled")
    if state is None or state.startswith(_RETRYABLE_CLASSES):
        return ServiceUnavailableError("database")
    if state in {"42501", "28000", "28P01"}:
        return AccessDeniedError("the database role may not do this", state)
    return IntegrityError("the database refused the change", state)
