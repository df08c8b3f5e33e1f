"""Schema migrations: applied by the owner role, in one transaction each run, one run at a time.

Workers may be at work: a run waits a second for a table, lets everybody pass who queued behind it, and tries
again. The roles of the processes must exist before; migrations grant to them and never create them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

OWNER = "walletworks_owner"
"""The role that owns every table and function; whoever migrates must be it or a member of it."""

PROCESS_ROLES = ("walletworks_provisioning", "walletworks_custody", "walletworks_console")
"""The login roles that grants are made to."""

_ONE_RUN_AT_A_TIME = 7_405_113_001
"""Key of the advisory lock under which migrations run."""


LOCK_SECONDS = 1.0
"""How long a migration waits for a table; whoever comes after it waits as long, so it is little."""

PAUSE_SECONDS = 1.0
"""Between two tries, for those who queued behind the last one."""

PATIENCE_SECONDS = 600.0
"""How long a migration is tried: longer than any one statement of a batch holds its tables."""

_TABLE_IN_USE = ("55P03", "40P01")
"""SQLSTATEs: a lock was not had in time, or a deadlock was broken."""


class MigrationRefusedError(Exception):
    """The database is not ready to be migrated; the message says what is missing."""


def upgrade(owner_url: str, revision: str = "head", *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Brings the schema up to a revision; one that is already there, or ahead of this release, is left so.

    Raises: MigrationRefusedError naming the role that is missing, or saying that tables stay in use.
    """
    _migrate(owner_url, lambda config: command.upgrade(config, revision), patience_seconds)


def downgrade(owner_url: str, revision: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Takes the schema back to a revision; `base` removes everything.

    Raises: MigrationRefusedError as `upgrade` does, and for a schema ahead of this release.
    """
    if is_ahead(current(owner_url)):
        raise MigrationRefusedError("the schema is newer than this release: the newer one takes it back")
    _migrate(owner_url, lambda config: command.downgrade(config, revision), patience_seconds)


def current(url: str) -> str | None:
    """Gives the revision the schema stands at, or None when nothing was applied."""
    with _connection(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def latest() -> str | None:
    """Gives the newest revision there is."""
    return _scripts().get_current_head()


def revisions() -> list[str]:
    """Gives every revision, the newest first."""
    return [script.revision for script in _scripts().walk_revisions()]


def is_ahead(revision: str | None) -> bool:
    """Tells whether a schema stands at a revision that only a newer release has."""
    return revision is not None and revision not in revisions()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))


def _migrate(owner_url: str, change: Callable[[Config], None], patience_seconds: float) -> None:
    deadline = time.monotonic() + patience_seconds
    while not _changed(owner_url, change):
        if time.monotonic() > deadline:
            raise MigrationRefusedError("tables stay in use by a long transaction: end it, or try later")
        time.sleep(PAUSE_SECONDS)


def _changed(owner_url: str, change: Callable[[Config], None]) -> bool:
    """Applies the change; gives false when a table was in use, with nothing changed."""
    try:
        with _owned(owner_url) as connection:
            if not is_ahead(MigrationContext.configure(connection).get_current_revision()):
                change(_config(connection))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) not in _TABLE_IN_USE:
            raise
        return False
    return True


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), hide_parameters=True)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _owned(url: str) -> Iterator[Connection]:
    """A transaction as the owner role, alone among migrations."""
    with _connection(url) as connection:
        _require_roles(connection)
        connection.execute(text(f"SET LOCAL ROLE {OWNER}"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_RUN_AT_A_TIME})
        # Only now: another migration is waited for, however long it takes.
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'"))
        yield connection


def _require_roles(connection: Connection) -> None:
    wanted = (OWNER, *PROCESS_ROLES)
    rows = connection.execute(
        text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)"), {"names": list(wanted)}
    )
    found = {row.rolname for row in rows}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise MigrationRefusedError(f"create these database roles before migrating: {', '.join(missing)}")
    if not connection.execute(text("SELECT pg_has_role(:owner, 'MEMBER')"), {"owner": OWNER}).scalar_one():
        raise MigrationRefusedError(f"migrate as {OWNER} or as a member of it")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
