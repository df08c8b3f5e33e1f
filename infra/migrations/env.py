"""What Alembic runs to apply revisions: one transaction over the connection that the package hands in."""

from alembic import context

from activities.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
