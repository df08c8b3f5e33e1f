"""Compliance review: the plan with its digest, and what the jurisdiction's policy decides about it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from activities.contracts.shapes import BatchStep, Document


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTerms:
    """What one gate asks for: how many distinct persons of each role, and for how long it waits."""

    roles: dict[str, int]
    wait_hours: float
    remind_hours: float
    escalate_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBatch:
    """The plan's digest and the decision on it.

    `gates` maps `compliance`, `issuance`, `wave`, `hold`, `resume` and `rollback` to their terms; a gate
    that is absent asks for nobody. `approve_from_wave` counts from 1; 0 means no wave is gated.
    """

    plan_digest: str
    subject_count: int
    outcome: str
    reasons: list[str] = field(default_factory=list)
    gates: dict[str, GateTerms] = field(default_factory=dict)
    waves_percent: list[int] = field(default_factory=list)
    soak_seconds: int = 0
    approve_from_wave: int = 0
    hold_wait_hours: float = 0.0
    documents: dict[str, Document] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewPlan:
    """A request that is not started, and how many good rows its source has."""

    request: dict[str, Any]
    subject_count: int


class Compliance(ABC):
    """Makes the plan and asks the policy."""

    @activity.defn
    @abstractmethod
    def plan_batch(self, step: BatchStep) -> PlannedBatch:
        """Stores the plan with the policy's text and decides: refused, approved or needs_approvals.

        Retry: the stored plan is returned; a later change of the policy file does not touch it.
        """

    @activity.defn
    @abstractmethod
    def preview_plan(self, step: PreviewPlan) -> PlannedBatch:
        """Decides as `plan_batch` would today, and stores nothing; the digest is empty."""
