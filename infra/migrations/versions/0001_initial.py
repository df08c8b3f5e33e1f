"""The first revision: tables, functions, rules and grants."""

from alembic import op

from infra.migrations.initial import functions, grants, people_tables, rules, wallet_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    people_tables.create()
    wallet_tables.create()
    functions.create()
    rules.create()
    grants.create()


def downgrade() -> None:
    for table in (*wallet_tables.NAMES[::-1], *people_tables.NAMES[::-1]):
        op.drop_table(table)
    functions.drop()
