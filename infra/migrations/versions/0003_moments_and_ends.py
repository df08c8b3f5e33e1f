"""What is recorded of gates and decisions is dated when it is written; an early end leaves nothing usable.

Locks taken: none on rows; the triggers on gates, adjudications and batches wait for transactions that write
these tables, and going back also for those that read them. What is recorded already is not looked at.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_JUDGE_MOMENT = """
CREATE OR REPLACE FUNCTION judge_moment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is recorded in % is dated when it is recorded', TG_TABLE_NAME
        USING ERRCODE = 'WW002';
END $$
"""

_JUDGE_RECEIPT = """
CREATE OR REPLACE FUNCTION judge_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an attempt is received when it is recorded' USING ERRCODE = 'WW002';
END $$
"""
"""As revision 0002 made it."""

_MOMENTS = {
    "gates_opened_now": ("INSERT ON gates", ("opened_at", "closed_at")),
    "gates_closed_now": ("UPDATE OF closed_at ON gates", ("closed_at",)),
    "adjudications_decided_now": ("INSERT ON adjudications", ("decided_at",)),
}
"""Each looks at the moments that its statement writes; one that is null is not written."""

_REQUIRE_UNDONE = """
CREATE FUNCTION require_undone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.wallets w
        WHERE w.batch_no = NEW.batch_no AND w.state IN ('derived', 'ready', 'active')
    ) OR EXISTS (
        SELECT FROM public.keyring_accounts k WHERE k.batch_no = NEW.batch_no AND k.burned_at IS NULL
    ) AND NOT EXISTS (
        SELECT FROM public.wallets w WHERE w.batch_no = NEW.batch_no AND w.state = 'frozen'
    ) THEN
        RAISE EXCEPTION 'a batch that ends early is undone before' USING ERRCODE = 'WW002';
    END IF;
    RETURN NEW;
END $$
"""
"""Wallets revoked or frozen, accounts burned unless they hold frozen ones; looks at the batch's own rows."""

_ENDED_UNDONE = """
CREATE TRIGGER batches_ended_undone BEFORE UPDATE OF outcome ON batches FOR EACH ROW
    WHEN (OLD.outcome IS NULL AND NEW.outcome NOT IN ('completed', 'completed_with_exceptions'))
    EXECUTE FUNCTION require_undone()
"""


def upgrade() -> None:
    # The trigger on attempts goes on with the function under its new name: no lock on that table.
    op.execute("ALTER FUNCTION judge_receipt() RENAME TO judge_moment")
    op.execute(_JUDGE_MOMENT)
    for name, (event, columns) in _MOMENTS.items():
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW"
            f" WHEN ({' OR '.join(map(_is_another_time, columns))}) EXECUTE FUNCTION judge_moment()"
        )
    op.execute(_REQUIRE_UNDONE)
    op.execute("REVOKE EXECUTE ON FUNCTION require_undone() FROM PUBLIC")
    op.execute(_ENDED_UNDONE)


def downgrade() -> None:
    op.execute("DROP TRIGGER batches_ended_undone ON batches")
    op.execute("DROP FUNCTION require_undone()")
    for name, (event, _) in _MOMENTS.items():
        op.execute(f"DROP TRIGGER {name} ON {event.partition(' ON ')[2]}")
    op.execute("ALTER FUNCTION judge_moment() RENAME TO judge_receipt")
    op.execute(_JUDGE_RECEIPT)


def _is_another_time(column: str) -> str:
    """A minute is room for a slow transaction, as of an attempt's receipt."""
    return f"abs(extract(epoch FROM NEW.{column} - clock_timestamp())) > 60"
