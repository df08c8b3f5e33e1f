"""Schema migrations: applied by the owner role, in one transaction each run, one run at a time.

The roles of the processes must exist before; migrations grant to them and never create them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text

OWNER = "walletworks_owner"
"""The role that owns every table and function; whoever migrates must be it or a member of it."""

PROCESS_ROLES = ("walletworks_provisioning", "walletworks_custody", "walletworks_console")
"""The login roles that grants are made to."""

_ONE_RUN_AT_A_TIME = 7_405_113_001
"""Key of the advisory lock under which migrations run."""


class MigrationRefusedError(Exception):
    """The database is not ready to be migrated; the message says what is missing."""


def upgrade(owner_url: str, revision: str = "head") -> None:
    """Brings the schema up to a revision; a schema that is already there is left as it is.

    Raises: MigrationRefusedError naming the role that is missing.
    """
    with _owned(owner_url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(owner_url: str, revision: str) -> None:
    """Takes the schema back to a revision; `base` removes everything."""
    with _owned(owner_url) as connection:
        command.downgrade(_config(connection), revision)


def current(url: str) -> str | None:
    """Gives the revision the schema stands at, or None when nothing was applied."""
    with _connection(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def latest() -> str | None:
    """Gives the newest revision there is."""
    return ScriptDirectory(str(Path(__file__).parent)).get_current_head()


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
