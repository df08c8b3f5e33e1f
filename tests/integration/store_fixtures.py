"""Databases for store tests: one server per session, one freshly migrated database per module."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from activities.store.database import Database
from infra.migrations import OWNER, PROCESS_ROLES, upgrade


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running server: the superuser's URL, and the passwords of the roles that migrations grant to."""

    admin_url: str = field(repr=False)
    passwords: dict[str, str] = field(repr=False)

    def url(self, role: str, database: str) -> str:
        """Gives the URL of a role on one of the server's databases."""
        url = make_url(self.admin_url).set(username=role, password=self.passwords[role], database=database)
        return url.render_as_string(hide_password=False)

    def admin_url_of(self, database: str) -> str:
        """Gives the superuser's URL on one of the server's databases."""
        return make_url(self.admin_url).set(database=database).render_as_string(hide_password=False)

    def run(self, statement: sql.Composed) -> None:
        """Runs one statement as the superuser, outside a transaction."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """One migrated database, open as each role."""

    cluster: Cluster
    name: str
    owner: Database
    provisioning: Database
    custody: Database
    console: Database
    admin: Database

    def url(self, role: str) -> str:
        """Gives the URL of a role (`walletworks_...`) on this database."""
        return self.cluster.url(role, self.name)


def cluster_of(admin_url: str, state_dir: Path) -> Cluster:
    """Gives the running stack's server; every role's own URL lies among the stack's secrets."""
    passwords = {}
    for role in (OWNER, *PROCESS_ROLES):
        place = state_dir / "secrets" / role.removeprefix("walletworks_") / "database_url"
        passwords[role] = str(make_url(place.read_text().strip()).password)
    return Cluster(admin_url=admin_url, passwords=passwords)


@contextmanager
def new_database(cluster: Cluster, *, template: str = "template1") -> Iterator[str]:
    """Creates a database that the owner role owns, gives its name, and drops it."""
    name = f"store_{secrets.token_hex(4)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
    cluster.run(create.format(sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)))
    try:
        yield name
    finally:
        cluster.run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def new_template(cluster: Cluster) -> Iterator[str]:
    """Migrates the database that the others are copied from."""
    with new_database(cluster) as name:
        upgrade(cluster.url(OWNER, name))
        yield name


@contextmanager
def new_databases(cluster: Cluster, template: str) -> Iterator[Databases]:
    """Copies the template and opens the copy as every role."""
    with new_database(cluster, template=template) as name:
        admin = Database(cluster.admin_url_of(name))
        opened = {role: Database(cluster.url(role, name)) for role in (OWNER, *PROCESS_ROLES)}
        provisioning, custody, console = (opened[role] for role in PROCESS_ROLES)
        try:
            yield Databases(
                cluster=cluster,
                name=name,
                owner=opened[OWNER],
                provisioning=provisioning,
                custody=custody,
                console=console,
                admin=admin,
            )
        finally:
            for database in (admin, *opened.values()):
                database.close()
