"""Shapes that several activities share: which batch, which slice, which file."""

from dataclasses import dataclass, field

PROVISIONING_QUEUE = "provisioning"
CUSTODY_QUEUE = "custody"

SLICE_SIZE = 1024
"""Subjects in a full slice: a power of two, so that RFC 6962 roots of slices compose into the batch's."""

MAIN_TRANCHE = 0
"""The subjects that were clear when the evidence was first sealed."""

LATE_TRANCHE = 1
"""Held subjects that people cleared after that; they join one extra last wave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStep:
    """A step over a whole batch; its effect requires the batch's current fence."""

    batch_id: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrancheStep:
    """A step over one tranche of a batch."""

    batch_id: str
    fence: int
    tranche: int = MAIN_TRANCHE


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceStep:
    """A step over the run of positions [offset, offset + length) of one tranche.

    In the main tranche a position is the subject's ordinal; in the late tranche it is the rank among
    the cleared holds. `audit_chain` names the chain the step's records are written to: one writer each.
    """

    batch_id: str
    fence: int
    tranche: int
    slice_index: int
    offset: int
    length: int
    audit_chain: str
    wave: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceResult:
    """What one slice call changed: how many rows, their Merkle root (hex), and counts by outcome."""

    row_count: int
    root: str
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file in the object store: where it is, the SHA-256 of its bytes (hex), and how many bytes."""

    uri: str
    sha256: str
    size: int
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What an undoing changed, by kind; all zero when there was nothing left to undo."""

    counts: dict[str, int] = field(default_factory=dict)


def batch_chain(batch_id: str) -> str:
    """The audit chain of a batch itself: decisions, stage ends, heads of its shards."""
    return f"batch/{batch_id}"


def shard_chain(batch_id: str, stage: str, shard_index: int) -> str:
    """The audit chain of one shard: one writer, so that shards never wait for each other."""
    return f"batch/{batch_id}/{stage}/{shard_index:04d}"


def tenant_chain(tenant: str) -> str:
    """The audit chain of a tenant: the heads of its ended batches."""
    return f"tenant/{tenant}"
