"""All state of a batch's workflow in one shape, handed on whole when the run continues as new."""

from dataclasses import dataclass, field, fields
from typing import Any

from activities.contracts.approvals import GateStanding
from activities.contracts.compliance import PlannedBatch
from activities.contracts.screening import SealedEvidence
from activities.contracts.shapes import BatchStep, TrancheStep

STAGES = ("intake", "review", "screening", "derivation", "rollout", "late", "record", "ended")
"""The stages in order, as `status` and the search attribute BatchStage name them."""


@dataclass(kw_only=True)
class Waiting:
    """What a batch waits for, and until when (RFC 3339 UTC, or empty).

    Kinds: approval, hold, soak, and while such a step fails compensation or record; none.
    """

    kind: str = "none"
    name: str = ""
    until: str = ""


@dataclass(kw_only=True)
class Refusal:
    """A message that did not count, and why."""

    message: str
    reason_code: str
    reason: str
    at: str


@dataclass(kw_only=True)
class WaveState:
    """One wave as `status` shows it, and until when it soaks."""

    wave: int
    percent: int
    wallets: int = 0
    state: str = "planned"
    until: str = ""


@dataclass(kw_only=True)
class BatchState:
    """Everything a batch's workflow remembers."""

    request: dict[str, Any] = field(default_factory=dict)
    batch_id: str = ""
    fence: int = 0
    stage: str = STAGES[0]
    claimed: bool = False
    row_count: int = 0
    bad_row_count: int = 0
    subject_count: int = 0
    plan: PlannedBatch | None = None
    evidence: dict[str, SealedEvidence] = field(default_factory=dict)
    gates: dict[str, GateStanding] = field(default_factory=dict)
    gate_until: dict[str, str] = field(default_factory=dict)
    gates_passed: list[str] = field(default_factory=list)
    waves: list[WaveState] = field(default_factory=list)
    waves_done: int = 0
    open_holds: int = 0
    open_holds_told: int | None = None
    holds_until: str = ""
    shards_done: int = 0
    paused: bool = False
    ending: bool = False
    overtaken: bool = False
    rewound: bool = False
    pauses: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    approvals: list[dict[str, str]] = field(default_factory=list)
    waiting: Waiting = field(default_factory=Waiting)
    services: dict[str, str] = field(default_factory=dict)
    outcome: str = ""
    cause: str = ""
    reasons: list[str] = field(default_factory=list)
    recorded: dict[str, Any] = field(default_factory=dict)

    def take_over(self, carried: "BatchState") -> None:
        """Becomes what another run carried here, in place: messages may wait on this object already."""
        for each in fields(self):
            setattr(self, each.name, getattr(carried, each.name))

    def planned(self) -> PlannedBatch:
        """Gives the plan, which every stage after review has."""
        assert self.plan is not None, "a stage after review has a plan"  # noqa: S101 - an invariant
        return self.plan

    def evidence_digest(self, tranche: int) -> str:
        """Gives the digest that the issuance gate of a tranche signs."""
        return self.evidence[str(tranche)].evidence_digest

    def step(self) -> BatchStep:
        """Gives a step over the whole batch under its fence."""
        return BatchStep(batch_id=self.batch_id, fence=self.fence)

    def tranche_step(self, tranche: int) -> TrancheStep:
        """Gives a step over one tranche under the batch's fence."""
        return TrancheStep(batch_id=self.batch_id, fence=self.fence, tranche=tranche)

    def note_service(self, key: str, service: str) -> None:
        """Keeps that a step waits for a service, or that it waits no more."""
        if service:
            self.services[key] = service
        else:
            self.services.pop(key, None)

    def count(self, name: str, more: int) -> None:
        """Adds to one of the counts."""
        self.counts[name] = self.counts.get(name, 0) + more
