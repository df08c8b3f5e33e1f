"""How a batch is brought to each stage of the table of endings, and where its work can be held or broken."""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.integration.batch import endings_table as table
from tests.integration.batch.office import Json
from tests.integration.breaking import Place

HOUR: Final = 3600
_AT_COMPLIANCE: Final = ("compliance",)


def _waves(**more: Any) -> Json:
    return {"rollout": {"waves_percent": [20, 100], "soak_seconds": 0} | more}


GATED_SECOND_WAVE: Final = _waves(approve_from_wave=2)


def _audit(kind: str, **more: Any) -> Place:
    return Place(table="audit_entries", matches={"kind": kind} | more)


def _slice(stage: str, **more: Any) -> Place:
    return Place(table="slices", matches={"stage": stage} | more)


def _done_slice(stage: str) -> Place:
    return Place(table="slices", matches={"stage": stage}, at_commit=True)


def _gate(name: str) -> Place:
    return Place(table="gates", matches={"gate": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The way to one stage.

    `signs` are the gates passed on the way; `waits_at` is what the batch then waits for, a gate by its
    name, or the stage is work in flight, held up at `works`, or at `cut_at` where it is to be cut short.
    A step `breaks` for good, and `activates` is the activation that fails in silence.
    """

    breaks: Place
    asks: Json = field(default_factory=_waves)
    signs: tuple[str, ...] = _AT_COMPLIANCE
    waits_at: str = ""
    works: Place | None = None
    cut_at: Place | None = None
    activates: Place | None = None


_FIRST: Final = Place(table="wallets", matches={"state": "active"})
_LAST_OF_FIVE: Final = Place(table="wallets", matches={"state": "active", "ordinal": 4})
_HELD: Final = Place(table="wallets", matches={"state": "active", "ordinal": 0})
_SG: Final[Json] = {
    "jurisdiction": "SG",
    "rollout": {"waves_percent": [10, 100], "soak_seconds": 0, "approve_from_wave": 1},
}

SCENES: Final[dict[str, Scene]] = {
    table.INTAKE: Scene(signs=(), works=_done_slice("intake"), breaks=_slice("intake")),
    table.REVIEW: Scene(signs=(), waits_at="compliance", breaks=_gate("compliance")),
    table.SCREENING: Scene(works=_done_slice("screen"), breaks=_slice("screen")),
    table.ISSUANCE: Scene(asks={"held": 1} | _SG, waits_at="issuance", breaks=_gate("issuance")),
    table.DERIVATION: Scene(works=_done_slice("derive"), breaks=_slice("derive")),
    table.GATE_1: Scene(asks=_waves(approve_from_wave=1), waits_at="wave/1", breaks=_gate("wave/1")),
    table.OPENING_1: Scene(
        works=Place(table="waves"),
        cut_at=_audit("slice.intent", stage="wave/1"),
        breaks=Place(table="waves"),
    ),
    table.WAVE_1: Scene(works=_done_slice("wave/1"), breaks=_slice("wave/1"), activates=_FIRST),
    table.SOAK_1: Scene(
        asks=_waves(soak_seconds=HOUR),
        waits_at="soak",
        breaks=_audit("wave.closed"),
        activates=_FIRST,
    ),
    table.GATE_2: Scene(asks=GATED_SECOND_WAVE, waits_at="wave/2", breaks=_gate("wave/2")),
    table.WAVE_2: Scene(works=_done_slice("wave/2"), breaks=_slice("wave/2"), activates=_LAST_OF_FIVE),
    table.LATE: Scene(
        asks={"held": 1} | _waves(approve_from_wave=3),
        waits_at="hold",
        breaks=_slice("derive", tranche=1),
        activates=_HELD,
    ),
    table.RECORD: Scene(
        works=Place(table="batches", at_commit=True),
        breaks=_audit("batch.ended"),
    ),
}


def place_of(step: str, batch_id: str) -> Place:
    """Where a step that must not fail writes once, and can be made to fail."""
    return {
        "raise_fence": _audit("fence.raised"),
        "undo_activation": _audit("undo.activation"),
        "undo_derivation": _audit("undo.derivation"),
        "undo_screening": _audit("undo.screening"),
        "undo_intake": _audit("undo.intake"),
        "close_gate": _audit("gate.closed", gate="wave/2"),
        "close_shards": _audit("shard.closed", chain=f"batch/{batch_id}/screen/0000"),
        "finish_batch": _audit("batch.ended"),
        "attest_head": Place(table="attestations"),
        "write_bundle": _audit("record.read", reader="bundle"),
    }[step]
