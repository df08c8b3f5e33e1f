"""Tables of the first revision: batches, their subjects, and what compliance and screening decided."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

NAMES = (
    "batches",
    "pii_keys",
    "plans",
    "subjects",
    "slices",
    "list_versions",
    "batch_lists",
    "verdicts",
    "withholdings",
    "adjudications",
    "evidence",
)
"""Parents before children."""


def create() -> None:
    """Creates them, parents first."""
    _batches()
    _pii_keys()
    _plans()
    _subjects()
    _slices()
    _list_versions()
    _batch_lists()
    _verdicts()
    _withholdings()
    _adjudications()
    _evidence()


def _batches() -> None:
    op.create_table(
        "batches",
        sa.Column("batch_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("custody", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("chains", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("claimed_by_run", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column(
            "claimed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('refused','rejected','expired','aborted','rolled_back','completed',"
            "'completed_with_exceptions','failed','cancelled')",
            name=op.f("batches_outcome_check"),
        ),
        sa.CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name=op.f("batches_ended_check")),
        sa.PrimaryKeyConstraint("batch_no", name=op.f("batches_pkey")),
        sa.UniqueConstraint("batch_id", name=op.f("batches_batch_id_key")),
    )


def _pii_keys() -> None:
    op.create_table(
        "pii_keys",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("pii_keys_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", name=op.f("pii_keys_pkey")),
    )


def _plans() -> None:
    op.create_table(
        "plans",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("manifest_root", sa.LargeBinary(), nullable=False),
        sa.Column("subject_count", sa.Integer(), nullable=False),
        sa.Column("policy_text", sa.Text(), nullable=False),
        sa.Column("policy_digest", sa.LargeBinary(), nullable=False),
        sa.Column("plan_digest", sa.LargeBinary(), nullable=False),
        sa.Column("decision", postgresql.JSONB(), nullable=False),
        sa.Column(
            "planned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("plans_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", name=op.f("plans_pkey")),
    )


def _subjects() -> None:
    op.create_table(
        "subjects",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("ordinal >= 0", name=op.f("subjects_ordinal_check")),
        sa.PrimaryKeyConstraint("batch_no", "ordinal", name=op.f("subjects_pkey")),
        sa.UniqueConstraint("subject_id", "batch_no", name=op.f("subjects_subject_id_batch_no_key")),
    )


def _slices() -> None:
    op.create_table(
        "slices",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("tranche", sa.SmallInteger(), nullable=False),
        sa.Column("slice_index", sa.Integer(), nullable=False),
        sa.Column("first_position", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("source_cursor", sa.BigInteger(), nullable=True),
        sa.Column(
            "done_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("stage <> 'derive' OR signature IS NOT NULL", name=op.f("slices_signed_check")),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("slices_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "stage", "tranche", "slice_index", name=op.f("slices_pkey")),
    )


def _list_versions() -> None:
    op.create_table(
        "list_versions",
        sa.Column("list_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("published_on", sa.Text(), nullable=False),
        sa.Column("entry_count", sa.Integer(), nullable=False),
        sa.Column("archive_uri", sa.Text(), nullable=False),
        sa.Column(
            "accepted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("list_id", "digest", name=op.f("list_versions_pkey")),
    )


def _batch_lists() -> None:
    op.create_table(
        "batch_lists",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("applied_in_wave", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "pinned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("batch_lists_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "list_id", "digest", name=op.f("batch_lists_pkey")),
    )


def _verdicts() -> None:
    op.create_table(
        "verdicts",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("score", sa.REAL(), server_default=sa.text("0"), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("hold_digest", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_detail", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(verdict = 'held') = (hold_digest IS NOT NULL)", name=op.f("verdicts_hold_check")
        ),
        sa.CheckConstraint("verdict IN ('clear','held','refused')", name=op.f("verdicts_verdict_check")),
        sa.PrimaryKeyConstraint("batch_no", "ordinal", name=op.f("verdicts_pkey")),
    )
    op.create_index(
        "verdicts_holds",
        "verdicts",
        ["batch_no", "hold_digest"],
        unique=False,
        postgresql_where=sa.text("verdict = 'held'"),
    )


def _withholdings() -> None:
    op.create_table(
        "withholdings",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("list_id", sa.Text(), nullable=False),
        sa.Column("list_digest", sa.LargeBinary(), nullable=False),
        sa.Column("before_wave", sa.SmallInteger(), nullable=False),
        sa.Column("sealed_detail", sa.LargeBinary(), nullable=False),
        sa.Column(
            "withheld_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("withholdings_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "ordinal", name=op.f("withholdings_pkey")),
    )


def _adjudications() -> None:
    op.create_table(
        "adjudications",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("hold_digest", sa.LargeBinary(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("tranche", sa.SmallInteger(), nullable=True),
        sa.Column(
            "decided_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "decision IN ('clear','refuse','cancelled')", name=op.f("adjudications_decision_check")
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("adjudications_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "ordinal", name=op.f("adjudications_pkey")),
    )


def _evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("batch_no", sa.BigInteger(), nullable=False),
        sa.Column("tranche", sa.SmallInteger(), nullable=False),
        sa.Column("list_digests", postgresql.JSONB(), nullable=False),
        sa.Column("verdict_root", sa.LargeBinary(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("evidence_digest", sa.LargeBinary(), nullable=False),
        sa.Column(
            "sealed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["batch_no"], ["batches.batch_no"], name=op.f("evidence_batch_no_fkey")),
        sa.PrimaryKeyConstraint("batch_no", "tranche", name=op.f("evidence_pkey")),
    )
