"""Tables of the first revision: gates, keys, wallets, waves, and the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

NAMES = (
    "gates",
    "attempts",
    "keyrings",
    "keyring_accounts",
    "wallets",
    "waves",
    "outbox",
    "audit_heads",
    "audit_entries",
    "attestations",
)
"""Parents before children."""


def create() -> None:
    """Creates them, parents first."""
    _gates()
    _attempts()
    _keyrings()
    _keyring_accounts()
    _wallets()
    _waves()
    _outbox()
    _audit_heads()
    _audit_entries()
    _attestations()


def _gates() -> None:
    op.create_table(
        "gates",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("terms", postgresql.JSONB(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('approved','rejected','expired','cancelled')", name=op.f("gates_outcome_check")
        ),
        sa.CheckConstraint("(outcome IS NULL) = (closed_at IS NULL)", name=op.f("gates_closed_check")),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("gates_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "gate", "digest", name=op.f("gates_pkey")),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("attempt_key", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("approver", sa.Text(), nullable=True),
        sa.Column("key_fingerprint", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("answer", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("attempts_batch_no_fkey")),
        sa.PrimaryKeyConstraint("attempt_key", name=op.f("attempts_pkey")),
    )
    op.create_index(
        "attempts_nonce_counts_once",
        "attempts",
        ["nonce"],
        unique=True,
        postgresql_where=sa.text("counted AND nonce IS NOT NULL"),
    )
    op.create_index("attempts_by_gate", "attempts", ["batch_no", "gate"], unique=False)


def _keyrings() -> None:
    op.create_table(
        "keyrings",
        sa.Column("keyring_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("keyring_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("batch_no", sa.BigInteger(), nullable=True),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(scope = 'batch') = (batch_no IS NOT NULL)", name=op.f("keyrings_batch_scope_check")
        ),
        sa.CheckConstraint("scope IN ('batch','tenant')", name=op.f("keyrings_scope_check")),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("keyrings_batch_no_fkey")),
        sa.PrimaryKeyConstraint("keyring_no", name=op.f("keyrings_pkey")),
        sa.UniqueConstraint("batch_no", name=op.f("keyrings_batch_no_key")),
        sa.UniqueConstraint("keyring_id", name=op.f("keyrings_keyring_id_key")),
    )


def _keyring_accounts() -> None:
    op.create_table(
        "keyring_accounts",
        sa.Column("keyring_no", sa.BigInteger(), nullable=False),
        sa.Column("coin_type", sa.Integer(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column(
            "taken_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("burned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_no"], ["batches.batch_no"], name=op.f("keyring_accounts_batch_no_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["keyring_no"], ["keyrings.keyring_no"], name=op.f("keyring_accounts_keyring_no_fkey")
        ),
        sa.PrimaryKeyConstraint("keyring_no", "coin_type", "account", name=op.f("keyring_accounts_pkey")),
    )


def _wallets() -> None:
    op.create_table(
        "wallets",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("keyring_no", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("address_index", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("possession", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'derived'"), nullable=False),
        sa.Column("tranche", sa.SmallInteger(), nullable=False),
        sa.Column("wave", sa.SmallInteger(), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state IN ('active','frozen')) = (wave IS NOT NULL)", name=op.f("wallets_activated_check")
        ),
        sa.CheckConstraint(
            "state IN ('derived','ready','active','frozen','revoked')", name=op.f("wallets_state_check")
        ),
        sa.CheckConstraint("(activated_at IS NULL) = (wave IS NULL)", name=op.f("wallets_wave_check")),
        sa.CheckConstraint("address_index = ordinal", name=op.f("wallets_index_is_ordinal_check")),
        sa.PrimaryKeyConstraint("batch_no", "ordinal", "chain", name=op.f("wallets_pkey")),
        postgresql_with={"fillfactor": 70},
    )


def _waves() -> None:
    op.create_table(
        "waves",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("wave", sa.SmallInteger(), nullable=False),
        sa.Column("tranche", sa.SmallInteger(), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("percent", sa.SmallInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("outcome IN ('passed','failed','undone')", name=op.f("waves_outcome_check")),
        sa.CheckConstraint("(outcome IS NULL) = (closed_at IS NULL)", name=op.f("waves_closed_check")),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("waves_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "wave", name=op.f("waves_pkey")),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("event_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("outbox_batch_no_fkey")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("outbox_pkey")),
    )


def _audit_heads() -> None:
    op.create_table(
        "audit_heads",
        sa.Column("chain", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("audit_heads_pkey")),
    )


def _audit_entries() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("chain", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("prev", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "seq", name=op.f("audit_entries_pkey")),
    )


def _attestations() -> None:
    op.create_table(
        "attestations",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("chain", sa.Text(collation="C"), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column(
            "signed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("attestations_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "chain", "seq", name=op.f("attestations_pkey")),
    )
