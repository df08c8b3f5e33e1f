"""The tables, as SQLAlchemy Core sees them; the migrations create them, with triggers and grants.

Digests and roots are raw bytes in columns and hex outside. Personal data is only ever in `sealed`
columns. Secrets are only in `keyrings`, sealed by the key service.
"""

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def _batch_no() -> Column[int]:
    return Column("batch_no", BigInteger, ForeignKey("batches.batch_no"), nullable=False)


def _bulk_batch_no() -> Column[int]:
    """For the tables of one row per subject: a trigger checks each statement's parents at once.

    A foreign key looks every row up on its own and makes bulk copy several times slower. Batches are
    never deleted, so that a check at insertion is enough.
    """
    return Column("batch_no", BigInteger, nullable=False)


def _moment(name: str, *, stamped: bool = True) -> Column[object]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=not stamped,
        server_default=func.clock_timestamp() if stamped else None,
    )


batches = Table(
    "batches",
    metadata,
    Column("batch_no", BigInteger, Identity(always=True), primary_key=True),
    Column("batch_id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("custody", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("chains", ARRAY(Text), nullable=False),
    Column("request", JSONB, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("claimed_by_run", Text, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default=text("1")),
    Column("outcome", Text),
    Column("result", JSONB),
    _moment("claimed_at"),
    _moment("ended_at", stamped=False),
    CheckConstraint(
        "outcome IN ('refused','rejected','expired','aborted','rolled_back','completed',"
        "'completed_with_exceptions','failed','cancelled')",
        name="outcome",
    ),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ended"),
)

pii_keys = Table(
    "pii_keys",
    metadata,
    Column("batch_no", BigInteger, ForeignKey("batches.batch_no"), primary_key=True),
    Column("wrapped_key", Text, nullable=False),
    _moment("created_at"),
)
"""The batch's data key for personal data, wrapped by transit key `pii`."""

plans = Table(
    "plans",
    metadata,
    Column("batch_no", BigInteger, ForeignKey("batches.batch_no"), primary_key=True),
    Column("manifest_root", LargeBinary, nullable=False),
    Column("subject_count", Integer, nullable=False),
    Column("policy_text", Text, nullable=False),
    Column("policy_digest", LargeBinary, nullable=False),
    Column("plan_digest", LargeBinary, nullable=False),
    Column("decision", JSONB, nullable=False),
    _moment("planned_at"),
)

subjects = Table(
    "subjects",
    metadata,
    _bulk_batch_no(),
    Column("ordinal", Integer, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("salt", LargeBinary),
    Column("sealed", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    PrimaryKeyConstraint("batch_no", "ordinal"),
    UniqueConstraint("subject_id", "batch_no"),
    CheckConstraint("ordinal >= 0", name="ordinal"),
)
"""`salt` is null once the person is erased; `leaf` keeps old proofs valid."""

slices = Table(
    "slices",
    metadata,
    _batch_no(),
    Column("stage", Text, nullable=False),
    Column("tranche", SmallInteger, nullable=False),
    Column("slice_index", Integer, nullable=False),
    Column("first_position", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("root", LargeBinary, nullable=False),
    Column("signature", Text),
    Column("source_cursor", BigInteger),
    _moment("done_at"),
    PrimaryKeyConstraint("batch_no", "stage", "tranche", "slice_index"),
    CheckConstraint("stage <> 'derive' OR signature IS NOT NULL", name="signed"),
)
"""A committed slice of a stage: `intake`, `screen`, `derive`, `verify` or `wave/<k>`."""

list_versions = Table(
    "list_versions",
    metadata,
    Column("list_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("published_on", Text, nullable=False),
    Column("entry_count", Integer, nullable=False),
    Column("archive_uri", Text, nullable=False),
    _moment("accepted_at"),
    PrimaryKeyConstraint("list_id", "digest"),
)

batch_lists = Table(
    "batch_lists",
    metadata,
    _batch_no(),
    Column("list_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("applied_in_wave", SmallInteger, nullable=False, server_default=text("0")),
    _moment("pinned_at"),
    PrimaryKeyConstraint("batch_no", "list_id", "digest"),
)
"""`applied_in_wave` is 0 for the lists of the verdicts, else the wave before which a change was applied."""

verdicts = Table(
    "verdicts",
    metadata,
    _bulk_batch_no(),
    Column("ordinal", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("score", REAL, nullable=False, server_default=text("0")),
    Column("leaf", LargeBinary, nullable=False),
    Column("hold_digest", LargeBinary),
    Column("sealed_detail", LargeBinary),
    PrimaryKeyConstraint("batch_no", "ordinal"),
    CheckConstraint("verdict IN ('clear','held','refused')", name="verdict"),
    CheckConstraint("(verdict = 'held') = (hold_digest IS NOT NULL)", name="hold"),
    Index("verdicts_holds", "batch_no", "hold_digest", postgresql_where=text("verdict = 'held'")),
)

withholdings = Table(
    "withholdings",
    metadata,
    _batch_no(),
    Column("ordinal", Integer, nullable=False),
    Column("list_id", Text, nullable=False),
    Column("list_digest", LargeBinary, nullable=False),
    Column("before_wave", SmallInteger, nullable=False),
    Column("sealed_detail", LargeBinary, nullable=False),
    _moment("withheld_at"),
    PrimaryKeyConstraint("batch_no", "ordinal"),
)
"""Subjects that a list change hit after their verdict: their wallets are not activated."""

adjudications = Table(
    "adjudications",
    metadata,
    _batch_no(),
    Column("ordinal", Integer, nullable=False),
    Column("hold_digest", LargeBinary, nullable=False),
    Column("decision", Text, nullable=False),
    Column("tranche", SmallInteger),
    _moment("decided_at"),
    PrimaryKeyConstraint("batch_no", "ordinal"),
    CheckConstraint("decision IN ('clear','refuse','cancelled')", name="decision"),
)
"""`tranche` is set when evidence takes the decision in: 0 before the first evidence, else 1."""

evidence = Table(
    "evidence",
    metadata,
    _batch_no(),
    Column("tranche", SmallInteger, nullable=False),
    Column("list_digests", JSONB, nullable=False),
    Column("verdict_root", LargeBinary, nullable=False),
    Column("counts", JSONB, nullable=False),
    Column("evidence_digest", LargeBinary, nullable=False),
    _moment("sealed_at"),
    PrimaryKeyConstraint("batch_no", "tranche"),
)

gates = Table(
    "gates",
    metadata,
    _batch_no(),
    Column("gate", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text),
    _moment("opened_at"),
    _moment("closed_at", stamped=False),
    PrimaryKeyConstraint("batch_no", "gate", "digest"),
    CheckConstraint("outcome IN ('approved','rejected','expired','cancelled')", name="outcome"),
    CheckConstraint("(outcome IS NULL) = (closed_at IS NULL)", name="closed"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_key", UUID(as_uuid=False), primary_key=True),
    _batch_no(),
    Column("message", Text, nullable=False),
    Column("gate", Text),
    Column("digest", LargeBinary),
    Column("statement", Text),
    Column("signature", Text),
    Column("counted", Boolean, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approver", Text),
    Column("key_fingerprint", Text),
    Column("decision", Text),
    Column("nonce", Text),
    Column("answer", JSONB, nullable=False, server_default=text("'{}'")),
    _moment("received_at"),
    Index(
        "attempts_nonce_counts_once",
        "nonce",
        unique=True,
        postgresql_where=text("counted AND nonce IS NOT NULL"),
    ),
    Index("attempts_by_gate", "batch_no", "gate"),
)
"""Every signed message, counted or refused; `answer` is what the sender was told."""

keyrings = Table(
    "keyrings",
    metadata,
    Column("keyring_no", BigInteger, Identity(always=True), primary_key=True),
    Column("keyring_id", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("batch_no", BigInteger, ForeignKey("batches.batch_no"), unique=True),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("wrapped_key", Text, nullable=False),
    Column("provider", Text, nullable=False),
    _moment("created_at"),
    CheckConstraint("scope IN ('batch','tenant')", name="scope"),
    CheckConstraint("(scope = 'batch') = (batch_no IS NOT NULL)", name="batch_scope"),
)

keyring_accounts = Table(
    "keyring_accounts",
    metadata,
    Column("keyring_no", BigInteger, ForeignKey("keyrings.keyring_no"), nullable=False),
    Column("coin_type", Integer, nullable=False),
    Column("account", Integer, nullable=False),
    _batch_no(),
    _moment("taken_at"),
    _moment("burned_at", stamped=False),
    PrimaryKeyConstraint("keyring_no", "coin_type", "account"),
)
"""An account is one batch's for ever; a burned one is never taken again."""

wallets = Table(
    "wallets",
    metadata,
    _bulk_batch_no(),
    Column("ordinal", Integer, nullable=False),
    Column("chain", Text, nullable=False),
    Column("keyring_no", BigInteger, nullable=False),
    Column("account", Integer, nullable=False),
    Column("address_index", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("possession", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'derived'")),
    Column("tranche", SmallInteger, nullable=False),
    Column("wave", SmallInteger),
    _moment("activated_at", stamped=False),
    PrimaryKeyConstraint("batch_no", "ordinal", "chain"),
    CheckConstraint("state IN ('derived','ready','active','frozen','revoked')", name="state"),
    CheckConstraint("address_index = ordinal", name="index_is_ordinal"),
    CheckConstraint("(activated_at IS NULL) = (wave IS NULL)", name="wave"),
    CheckConstraint("(state IN ('active','frozen')) = (wave IS NOT NULL)", name="activated"),
    postgresql_with={"fillfactor": 70},
)
"""A trigger requires that (keyring, account) is the batch's own and not burned.

Rows change state twice, in place: the pages keep room for it (heap-only updates).
"""

waves = Table(
    "waves",
    metadata,
    _batch_no(),
    Column("wave", SmallInteger, nullable=False),
    Column("tranche", SmallInteger, nullable=False),
    Column("first_position", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("percent", SmallInteger, nullable=False),
    Column("outcome", Text),
    _moment("opened_at"),
    _moment("closed_at", stamped=False),
    PrimaryKeyConstraint("batch_no", "wave"),
    CheckConstraint("outcome IN ('passed','failed','undone')", name="outcome"),
    CheckConstraint("(outcome IS NULL) = (closed_at IS NULL)", name="closed"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("event_id", UUID(as_uuid=False), primary_key=True),
    _batch_no(),
    Column("topic", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    _moment("created_at"),
    _moment("delivered_at", stamped=False),
)

# Chain names sort by bytes, so that the shard chains of one batch are one range of the index.
audit_heads = Table(
    "audit_heads",
    metadata,
    Column("chain", Text(collation="C"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("chain", Text(collation="C"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("recorded_at", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("chain", "seq"),
)
"""Appended to only by the function `audit_append`; `hash` covers everything else in the row."""

attestations = Table(
    "attestations",
    metadata,
    _batch_no(),
    Column("chain", Text(collation="C"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("message", Text, nullable=False),
    Column("signature", Text, nullable=False),
    _moment("signed_at"),
    PrimaryKeyConstraint("batch_no", "chain", "seq"),
)
"""Audit heads signed by custody: `message` is the canonical JSON that `signature` (base64) covers."""
