"""Ended batches hold no fence, and an attempt is received when it is received.

Locks taken: none on rows; the trigger on attempts waits for transactions that write attempts.
"""

from alembic import op

from infra.migrations.initial.functions import HOLD_FENCE

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_HOLD_FENCE_OF_ANY = HOLD_FENCE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")

_HOLD_FENCE = _HOLD_FENCE_OF_ANY.replace(
    "WHERE b.batch_id = $1 AND b.fence = $2 FOR SHARE",
    "WHERE b.batch_id = $1 AND b.fence = $2 AND b.outcome IS NULL FOR SHARE",
)

_JUDGE_RECEIPT = """
CREATE FUNCTION judge_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an attempt is received when it is recorded' USING ERRCODE = 'WW002';
END $$
"""

_RECEIVED_NOW = """
CREATE TRIGGER attempts_received_now BEFORE INSERT ON attempts FOR EACH ROW
    WHEN (abs(extract(epoch FROM NEW.received_at - clock_timestamp())) > 60)
    EXECUTE FUNCTION judge_receipt()
"""
"""A minute is room for a slow transaction; nobody dates an approval back behind an expiry."""


def upgrade() -> None:
    op.execute(_HOLD_FENCE)
    op.execute(_JUDGE_RECEIPT)
    op.execute("REVOKE EXECUTE ON FUNCTION judge_receipt() FROM PUBLIC")
    op.execute(_RECEIVED_NOW)


def downgrade() -> None:
    op.execute("DROP TRIGGER attempts_received_now ON attempts")
    op.execute("DROP FUNCTION judge_receipt()")
    op.execute(_HOLD_FENCE_OF_ANY)
