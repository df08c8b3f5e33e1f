"""The migrated schema is the one the code believes in, and migrating is safe to repeat."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql

from activities.store.database import Database
from activities.store.revision import REVISION
from activities.store.tables import metadata
from infra.migrations import OWNER, MigrationRefusedError, current, downgrade, latest, upgrade
from tests.integration.store_fixtures import Cluster, Databases, new_database
from tests.integration.store_rows import run

CATALOGUE = """
    SELECT 'column', c.relname::text, concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN 'not null' END, a.attidentity, l.collname,
        pg_get_expr(d.adbin, d.adrelid))
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname || ' ' || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'index', tablename::text, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'options', relname::text, array_to_string(reloptions, ',')
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[str]:
    """The name of a database with nothing in it that the owner role owns."""
    with new_database(cluster) as name:
        yield name


def catalogue(database: Database) -> set[tuple[Any, ...]]:
    """What the server says about every table of ours: columns, constraints, indexes, storage."""
    return {tuple(row) for row in run(database, CATALOGUE) if not row[1].startswith("alembic_version")}


def test_alembic_finds_nothing_to_change(databases: Databases) -> None:
    """A change of the tables in code without a migration is noticed."""
    options = {"compare_type": True, "compare_server_default": True}
    with databases.owner.transaction() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_migrated_schema_equals_the_one_made_from_code(
    databases: Databases, cluster: Cluster, empty: str
) -> None:
    """Checks, collations and storage, which Alembic does not compare, are the same too."""
    from_code = Database(cluster.url(OWNER, empty))
    with from_code.transaction() as connection:
        metadata.create_all(connection)
    assert catalogue(databases.owner) == catalogue(from_code)
    from_code.close()


def test_migrating_again_changes_nothing(databases: Databases) -> None:
    """Starting the stack a second time migrates a second time."""
    before = catalogue(databases.owner)
    upgrade(databases.url(OWNER))
    assert catalogue(databases.owner) == before


def test_schema_goes_down_and_up_again(cluster: Cluster, empty: str) -> None:
    """Nothing of ours is left behind below, and nothing is in the way above."""
    url = cluster.url(OWNER, empty)
    assert current(url) is None
    upgrade(url)
    assert current(url) == latest() == REVISION
    downgrade(url, "base")
    assert current(url) is None
    with psycopg.connect(url) as connection:
        left = connection.execute(
            "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
    assert left == [("alembic_version",)]
    upgrade(url)
    assert current(url) == latest()


def test_two_migrations_at_once_make_one_schema(cluster: Cluster, empty: str) -> None:
    """Two hosts that start together do not meet half way."""
    url = cluster.url(OWNER, empty)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(upgrade, [url, url]))
    assert current(url) == latest()


def test_missing_role_is_named(cluster: Cluster, empty: str) -> None:
    """Grants need their roles; the refusal says which to create, and nothing is half done."""
    rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
    role, away = sql.Identifier("walletworks_console"), sql.Identifier("renamed_away")
    cluster.run(rename.format(role, away))
    try:
        with pytest.raises(MigrationRefusedError, match=r": walletworks_console$"):
            upgrade(cluster.url(OWNER, empty))
    finally:
        cluster.run(rename.format(away, role))
    assert current(cluster.url(OWNER, empty)) is None


def test_process_role_cannot_migrate(databases: Databases) -> None:
    """Workers own no tables and change none."""
    with pytest.raises(MigrationRefusedError, match=OWNER):
        upgrade(databases.url("walletworks_provisioning"))


def test_superuser_migrates_as_the_owner(cluster: Cluster, empty: str) -> None:
    """Whoever applies it, the owner role owns the result."""
    upgrade(cluster.admin_url_of(empty))
    with psycopg.connect(cluster.url(OWNER, empty)) as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'"
            " UNION SELECT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert owners == [(OWNER,)]
