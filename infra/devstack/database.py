"""The database of the stack and the login roles of its processes; tables and grants are migrations."""

from importlib import import_module
from importlib.util import find_spec

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from infra.devstack.errors import StackError

DATABASE = "walletworks"
# What a process is called in settings and secrets, and the role it logs in as.
ROLES = {
    "owner": "walletworks_owner",
    "provisioning": "walletworks_provisioning",
    "custody": "walletworks_custody",
    "console": "walletworks_console",
}
WORKER_ROLES = ("walletworks_provisioning", "walletworks_custody")


def place_of(url: str) -> str:
    """Gives host and port of a database URL."""
    parts = conninfo_to_dict(url)
    return f"{parts.get('host', '127.0.0.1')}:{parts.get('port', 5432)}"


def url_for(admin_url: str, role: str, password: str) -> str:
    """Gives the URL of our database on the same server for another role."""
    return f"postgresql://{role}:{password}@{place_of(admin_url)}/{DATABASE}"


def create(admin_url: str, passwords: dict[str, str]) -> None:
    """Makes roles and database where they are missing, and sets the passwords.

    Raises:
        StackError: the URL's role may not do this.
    """
    try:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            for role in ROLES.values():
                _create_role(connection, role, passwords[role])
            _create_database(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StackError(
            "the role of DATABASE_URL may not create roles or the database: name one that may"
        ) from error


def _create_role(connection: psycopg.Connection, role: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    name = sql.Identifier(role)
    if known is None:
        connection.execute(sql.SQL("CREATE ROLE {} NOSUPERUSER NOCREATEDB NOCREATEROLE").format(name))
    # The hash is made here, so that no password is ever sent or logged in clear.
    scram = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(scram))
    connection.execute(statement)


def _create_database(connection: psycopg.Connection) -> None:
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
    database, owner = sql.Identifier(DATABASE), sql.Identifier(ROLES["owner"])
    if known is None:
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))
    revoke = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)
    connection.execute(revoke)
    for role in ROLES.values():
        # Temporary tables are how the workers bring in rows by COPY before a set-based statement.
        rights = sql.SQL("CONNECT, TEMPORARY" if role in WORKER_ROLES else "CONNECT")
        grant = sql.SQL("GRANT {} ON DATABASE {} TO {}")
        connection.execute(grant.format(rights, database, sql.Identifier(role)))


def migrate(owner_url: str) -> None:
    """Brings the schema to the newest migration, as its owner."""
    if find_spec("infra.migrations") is not None:
        import_module("infra.migrations").upgrade(owner_url)
