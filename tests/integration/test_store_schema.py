"""The migrated schema is the one the code believes in."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from activities.store.tables import metadata
from tests.integration.store_fixtures import Databases


def test_migrated_schema_equals_the_tables_in_code(databases: Databases) -> None:
    """Alembic finds nothing to change between the migrated database and the metadata."""
    options = {"compare_type": True, "compare_server_default": True}
    with databases.owner.transaction() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
