"""Gates and the signed statements sent to them; gates count from the database alone."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields

from temporalio import activity

from activities.contracts.compliance import GateTerms
from activities.contracts.shapes import BatchStep, Undone


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """A gate over a digest; `expires_at` is RFC 3339 UTC. `gate` is the name statements carry."""

    batch_id: str
    fence: int
    gate: str
    digest: str
    terms: GateTerms
    expires_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStanding:
    """How a gate stands now: who counts, who rejected, and what is still needed by role."""

    gate: str
    digest: str
    satisfied: bool
    rejected_by: str = ""
    approved_by: list[str] = field(default_factory=list)
    still_needed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedGate(GateStanding):
    """A gate that is or was open; `expires_at` is the one on record, RFC 3339 UTC, whoever opened it when."""

    expires_at: str = ""

    def standing(self) -> GateStanding:
        """How it stands, alone."""
        return GateStanding(**{each.name: getattr(self, each.name) for each in fields(GateStanding)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAttempt:
    """One signed message as it came. `attempt_key` is the workflow's own, so that a retry is known."""

    batch_id: str
    attempt_key: str
    message: str
    statement: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAttempt:
    """Whether the attempt counted; `reason_code` is a stable word, `reason` a sentence for people."""

    counted: bool
    reason_code: str
    reason: str
    gate: str = ""
    approver: str = ""
    decision: str = ""
    standing: GateStanding | None = None
    open_holds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeGate:
    """Which gate to count again, at the time of counting."""

    batch_id: str
    gate: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemindGate:
    """An open gate whose approvers are to be told again; `level` is reminder, escalation or expiry."""

    batch_id: str
    gate: str
    digest: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseGate:
    """How a gate ended: approved, rejected, expired or cancelled."""

    batch_id: str
    fence: int
    gate: str
    digest: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRefusal:
    """A message that could not be read as a signed statement, or a pause: what came, and why refused."""

    batch_id: str
    attempt_key: str
    message: str
    reason_code: str
    reason: str
    counted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOrders:
    """What people ordered at any time: how the abort stands, how often they paused, and whether it lasts.

    `open_holds` counts the holds that nobody has settled yet.
    """

    rollback: GateStanding | None = None
    pauses: int = 0
    paused: bool = False
    open_holds: int | None = None


class Approvals(ABC):
    """Commits every attempt, counted or refused, before anyone is answered."""

    @activity.defn
    @abstractmethod
    def open_gate(self, step: OpenGate) -> OpenedGate:
        """Opens a gate, or finds it open. Retry: the gate keeps its first expiry."""

    @activity.defn
    @abstractmethod
    def record_attempt(self, step: RecordAttempt) -> RecordedAttempt:
        """Judges a signed statement and commits the attempt with its reason.

        A counted decision on a hold that fills its gate settles that hold in the same transaction.
        Raises: StaleFenceError once the batch has ended: nothing is added to a closed record.
        Retry: the same attempt key gets the recorded answer.
        """

    @activity.defn
    @abstractmethod
    def record_refusal(self, step: RecordRefusal) -> Undone:
        """Commits a message that is refused before it can be judged, or an unsigned one that counts.

        Raises: StaleFenceError once the batch has ended.
        """

    @activity.defn
    @abstractmethod
    def judge_gate(self, step: JudgeGate) -> GateStanding:
        """Counts a gate again: expiry and revocation are judged now."""

    @activity.defn
    @abstractmethod
    def remind_gate(self, step: RemindGate) -> Undone:
        """Announces through the outbox that a gate still waits. Retry: one announcement per level."""

    @activity.defn
    @abstractmethod
    def close_gate(self, step: CloseGate) -> GateStanding:
        """Records how a gate ended. Retry: the first outcome stands."""

    @activity.defn
    @abstractmethod
    def recall_orders(self, step: BatchStep) -> StandingOrders:
        """Gives the orders on record: a run that was reset may have forgotten some."""
