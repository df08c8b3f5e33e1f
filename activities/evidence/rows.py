"""The shapes of a bundle's members, strict: an unknown, missing or wrongly typed field is refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from activities.contracts.request import BATCH_ID

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# In these patterns \d would be a digit of any alphabet.
Instant = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}\.[0-9]{6}Z$")
]
Count = Annotated[int, Field(ge=0, lt=2**53)]
BatchId = Annotated[str, StringConstraints(pattern=rf"^{BATCH_ID.pattern}$")]
Chain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9/_-]{1,200}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./@:-]{0,200}$")]
GateName = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,20}(/[1-9][0-9]{0,3})?$")]
Ordinal = Annotated[int, Field(ge=0, lt=2**31)]
Tranche = Annotated[int, Field(ge=0, le=1)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Member(_Row):
    """One line of the table."""

    name: Word
    sha256: Digest
    size: Count


class BundleTable(_Row):
    """`bundle.json`."""

    v: Annotated[int, Field(ge=1, le=1)]
    deployment: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    batch_id: BatchId
    tenant: BatchId
    outcome: Word
    made_at: Instant
    members: Annotated[list[Member], Field(max_length=50)]


class Plan(_Row):
    """`plan.json`."""

    request: dict[str, Any]
    manifest_root: Digest
    subject_count: Count
    policy_digest: Digest


class Evidence(_Row):
    """`evidence-<tranche>.json`."""

    plan_digest: Digest
    list_digests: dict[Word, Digest]
    verdict_root: Digest
    adjudication_root: Digest
    counts: dict[Word, Count]


class ListRow(_Row):
    """One list version that was pinned to the batch."""

    list_id: Word
    digest: Digest
    applied_in_wave: Count
    source: str
    published_on: str
    entry_count: Count


class Lists(_Row):
    """`lists.json`."""

    lists: list[ListRow]


class GateRow(_Row):
    """One line of `gates.jsonl`."""

    gate: GateName
    digest: Digest
    terms: dict[str, Any]
    expires_at: Instant
    outcome: Word


class AttemptRow(_Row):
    """One line of `approvals.jsonl`; statement and signature are null where none came."""

    attempt_key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$")]
    message: Word
    statement: str | None
    signature: str | None
    counted: bool
    reason_code: Word
    received_at: Instant


class SliceRow(_Row):
    """One line of `slices.jsonl`."""

    stage: GateName
    tranche: Tranche
    slice_index: Count
    first_position: Count
    length: Count
    row_count: Count
    counts: dict[Word, Count]
    root: Digest
    signature: str | None


class AdjudicationRow(_Row):
    """One line of `adjudications.jsonl`."""

    ordinal: Ordinal
    hold_digest: Digest
    decision: Literal["clear", "refuse", "cancelled"]
    tranche: Tranche | None


class WithholdingRow(_Row):
    """One line of `withholdings.jsonl`."""

    ordinal: Ordinal
    list_id: Word
    list_digest: Digest
    before_wave: Count


class WaveRow(_Row):
    """One wave."""

    wave: Annotated[int, Field(ge=1, le=10_000)]
    tranche: Tranche
    first_position: Count
    length: Count
    percent: Annotated[int, Field(ge=0, le=100)]
    outcome: Word


class Waves(_Row):
    """`waves.json`."""

    waves: list[WaveRow]


class WalletRow(_Row):
    """One line of `wallets.jsonl`."""

    ordinal: Ordinal
    chain: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
    path: Annotated[str, StringConstraints(pattern=r"^m(/[0-9]{1,10}'?){1,10}$")]
    address: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,120}$")]
    possession: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2}){1,1000}$")]
    state: Literal["derived", "ready", "active", "frozen", "revoked"]
    tranche: Tranche
    wave: Annotated[int, Field(ge=1, le=10_000)] | None


class AuditRow(_Row):
    """One line of `audit.jsonl`."""

    chain: Chain
    seq: Annotated[int, Field(ge=1, lt=2**53)]
    recorded_at: Instant
    body: str
    prev: Digest
    hash: Digest


class HeadRow(_Row):
    """One attestation: the exact message and its signature."""

    message: str
    signature: str


class Heads(_Row):
    """`heads.json`."""

    heads: list[HeadRow]


class HistoryRow(_Row):
    """One line of `histories.jsonl`."""

    workflow_id: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    run_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}$")]
    event_id: Annotated[int, Field(ge=1, lt=2**53)]
    event_type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]{1,100}$")]
    payload_digests: list[Digest]
