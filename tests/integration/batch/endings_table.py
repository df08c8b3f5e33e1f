"""Every stage times every way to end early, and what must stand in the store afterwards; data only.

A combination is a case or a named impossibility. All batches have five subjects on one chain; the first
wave takes one of them. How a stage is reached and how a way is gone stands in `scenes` and `play`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

POLICY: Final = "policy refusal"
REJECT: Final = "reject"
EXPIRY: Final = "expiry"
ABORT: Final = "abort"
CANCEL: Final = "cancel"
TERMINATE: Final = "terminate"
FAILURE: Final = "step fails for good"
HEALTH: Final = "gate failed"
ROLL_BACK: Final = "roll-back"
WAYS: Final = (POLICY, REJECT, EXPIRY, ABORT, CANCEL, TERMINATE, FAILURE, HEALTH, ROLL_BACK)

INTAKE: Final = "intake"
REVIEW: Final = "review"
SCREENING: Final = "screening"
ISSUANCE: Final = "gate issuance"
DERIVATION: Final = "derivation"
GATE_1: Final = "gate wave/1"
OPENING_1: Final = "wave 1 opens"
WAVE_1: Final = "in wave 1"
SOAK_1: Final = "soak of wave 1"
GATE_2: Final = "gate wave/2"
WAVE_2: Final = "in wave 2"
LATE: Final = "late tranche"
RECORD: Final = "record"
STAGES: Final = (
    *(INTAKE, REVIEW, SCREENING, ISSUANCE, DERIVATION, GATE_1, OPENING_1),
    *(WAVE_1, SOAK_1, GATE_2, WAVE_2, LATE, RECORD),
)
BEFORE_THE_PIVOT: Final = STAGES[: STAGES.index(WAVE_1)]

_FENCE: Final = "fence.raised"
_FROZEN: Final = "undo.activation"
_REVOKED: Final = "undo.derivation"
_HOLDS: Final = "undo.screening"
_LAST: Final = "undo.intake"

UNDOING: Final = (_FENCE, _FROZEN, _REVOKED, _HOLDS, _LAST)
"""The audit kinds of undoing, in the order it goes."""

_NOTHING_MADE: Final = (_FENCE, _LAST)
_HOLDS_OPEN: Final = (_FENCE, _HOLDS, _LAST)
_DERIVED: Final = (_FENCE, _REVOKED, _LAST)
_ALL_ACTIVE: Final = (_FENCE, _FROZEN, _LAST)
_PARTLY_ACTIVE: Final = (_FENCE, _FROZEN, _REVOKED, _LAST)
_LATE_HOLDS: Final = (_FENCE, _FROZEN, _HOLDS, _LAST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way out of one stage, and what it leaves.

    `wallets` counts states, `accounts` says of each taken account whether it is kept or burned, `undone`
    names the audit records of the undoing in their order; `fence` is 2 once undoing has raised it.
    """

    stage: str
    way: str
    outcome: str
    cause: str | None
    workflow: str = "COMPLETED"
    wallets: Mapping[str, int] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()
    fence: int = 2
    undone: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The name of the test."""
        return f"{self.stage}-{self.way}".replace(" ", "_").replace("/", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Impossible:
    """A combination that cannot come about, and why."""

    stage: str
    way: str
    reason: str


_END: Final[Mapping[str, tuple[str, str | None, str]]] = {
    POLICY: ("refused", "refused", "COMPLETED"),
    REJECT: ("rejected", "rejected", "COMPLETED"),
    EXPIRY: ("expired", "expired", "COMPLETED"),
    ABORT: ("aborted", "aborted", "COMPLETED"),
    CANCEL: ("cancelled", "cancelled", "CANCELED"),
    TERMINATE: ("aborted", "terminated", "TERMINATED"),
    FAILURE: ("failed", "failed", "FAILED"),
    HEALTH: ("rolled_back", "rolled_back", "COMPLETED"),
    ROLL_BACK: ("rolled_back", "aborted", "COMPLETED"),
}
"""Outcome, cause and workflow status of a way out; once a wallet was active most roll back."""

_ROLLS_BACK: Final = frozenset({REJECT, EXPIRY, TERMINATE})


def _case(
    stage: str,
    way: str,
    undone: tuple[str, ...],
    *,
    frozen: int = 0,
    revoked: int = 0,
    account: str = "",
) -> Case:
    outcome, cause, workflow = _END[way]
    counted = {"frozen": frozen, "revoked": revoked}
    return Case(
        stage=stage,
        way=way,
        outcome="rolled_back" if frozen and way in _ROLLS_BACK else outcome,
        cause=cause,
        workflow=workflow,
        wallets={state: count for state, count in counted.items() if count},
        accounts=(account,) if account else (),
        undone=undone,
    )


def _too_late(way: str) -> Case:
    """Everything has happened: the record is finished, and nothing is undone."""
    return Case(
        stage=RECORD,
        way=way,
        outcome="completed",
        cause=None,
        workflow="TERMINATED" if way == TERMINATE else "COMPLETED",
        wallets={"active": 5},
        accounts=("kept",),
        fence=1,
    )


def _alike(
    stage: str,
    ways: tuple[str, ...],
    undone: tuple[str, ...],
    *,
    frozen: int = 0,
    revoked: int = 0,
    account: str = "",
) -> tuple[Case, ...]:
    return tuple(_case(stage, way, undone, frozen=frozen, revoked=revoked, account=account) for way in ways)


_FROM_OUTSIDE: Final = (REJECT, EXPIRY, ABORT, CANCEL, TERMINATE)
_AFTER_THE_PIVOT: Final = (REJECT, EXPIRY, ROLL_BACK, CANCEL, TERMINATE)

CASES: Final[tuple[Case, ...]] = (
    # Where no gate is open a reject or an expiry is that of the resume gate of a pause.
    *_alike(INTAKE, (CANCEL, TERMINATE, FAILURE), _NOTHING_MADE),
    *_alike(REVIEW, (POLICY, *_FROM_OUTSIDE, FAILURE), _NOTHING_MADE),
    *_alike(SCREENING, (*_FROM_OUTSIDE, FAILURE), _NOTHING_MADE),
    # One of the five is held.
    *_alike(ISSUANCE, (*_FROM_OUTSIDE, FAILURE), _HOLDS_OPEN),
    *_alike(DERIVATION, _FROM_OUTSIDE, _DERIVED, revoked=5, account="burned"),
    _case(DERIVATION, FAILURE, _DERIVED, account="burned"),
    *_alike(GATE_1, (*_FROM_OUTSIDE, FAILURE), _DERIVED, revoked=5, account="burned"),
    *_alike(OPENING_1, _FROM_OUTSIDE, _PARTLY_ACTIVE, revoked=5, account="burned"),
    _case(OPENING_1, FAILURE, _DERIVED, revoked=5, account="burned"),
    # A slice in flight commits before the fence is raised: what it activated is frozen.
    *_alike(WAVE_1, _AFTER_THE_PIVOT, _PARTLY_ACTIVE, frozen=1, revoked=4, account="kept"),
    *_alike(WAVE_1, (FAILURE, HEALTH), _PARTLY_ACTIVE, revoked=5, account="burned"),
    *_alike(SOAK_1, (*_AFTER_THE_PIVOT, FAILURE), _PARTLY_ACTIVE, frozen=1, revoked=4, account="kept"),
    _case(SOAK_1, HEALTH, _PARTLY_ACTIVE, revoked=5, account="burned"),
    *_alike(GATE_2, (*_AFTER_THE_PIVOT, FAILURE), _PARTLY_ACTIVE, frozen=1, revoked=4, account="kept"),
    *_alike(WAVE_2, _AFTER_THE_PIVOT, _ALL_ACTIVE, frozen=5, account="kept"),
    _case(WAVE_2, FAILURE, _PARTLY_ACTIVE, frozen=1, revoked=4, account="kept"),
    _case(WAVE_2, HEALTH, _PARTLY_ACTIVE, frozen=4, revoked=1, account="kept"),
    # One of the five was held; whoever is cleared late has a wallet that waits for its wave.
    *_alike(LATE, (ROLL_BACK, CANCEL, TERMINATE), _LATE_HOLDS, frozen=4, account="kept"),
    *_alike(LATE, (REJECT, EXPIRY, HEALTH), _PARTLY_ACTIVE, frozen=4, revoked=1, account="kept"),
    _case(LATE, FAILURE, _ALL_ACTIVE, frozen=4, account="kept"),
    *(_too_late(way) for way in (CANCEL, TERMINATE, FAILURE, ROLL_BACK)),
)

_NO_GATE_YET: Final = "no gate is open before there is a plan"
_PLANNED: Final = "the policy decides once, in review"

IMPOSSIBLE: Final[tuple[Impossible, ...]] = (
    Impossible(stage=INTAKE, way=POLICY, reason="the policy decides over the plan, which intake makes"),
    Impossible(stage=INTAKE, way=REJECT, reason=_NO_GATE_YET),
    Impossible(stage=INTAKE, way=EXPIRY, reason=_NO_GATE_YET),
    Impossible(stage=INTAKE, way=ABORT, reason="an abort is signed over the plan's digest"),
    *(
        Impossible(stage=stage, way=POLICY, reason=_PLANNED)
        for stage in STAGES
        if stage not in {INTAKE, REVIEW}
    ),
    *(
        Impossible(stage=stage, way=HEALTH, reason="no wave is active whose health could be checked")
        for stage in BEFORE_THE_PIVOT
    ),
    *(
        Impossible(stage=stage, way=ROLL_BACK, reason="no wallet is active: the same decision is an abort")
        for stage in BEFORE_THE_PIVOT
    ),
    *(
        Impossible(stage=stage, way=ABORT, reason="wallets are active: the same decision is a roll-back")
        for stage in STAGES
        if stage not in BEFORE_THE_PIVOT
    ),
    Impossible(stage=GATE_2, way=HEALTH, reason="a wave's gate opens once the wave before it was healthy"),
    Impossible(stage=RECORD, way=HEALTH, reason="every wave has passed"),
    Impossible(stage=RECORD, way=REJECT, reason="every gate is passed, and messages are refused"),
    Impossible(stage=RECORD, way=EXPIRY, reason="nobody is waited for"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """A step that must not fail, and how it fails for a while: refused by the store, or the store away.

    `waits_for` is the kind of what `status` shows meanwhile.
    """

    step: str
    waits_for: str
    fails_by: str = "refused"

    @property
    def id(self) -> str:
        """The name of the test."""
        return f"{self.step}-{self.fails_by}"


UNDONE_WITH_EVERYTHING: Final = Case(
    stage=GATE_2,
    way=ROLL_BACK,
    outcome="rolled_back",
    cause="aborted",
    wallets={"frozen": 1, "revoked": 8},
    accounts=("kept",),
    undone=UNDOING,
)
"""What is left of ten subjects, one of them held, behind a wave of two: every stage has to be undone."""

COMPENSATIONS: Final[tuple[Compensation, ...]] = (
    Compensation(step="raise_fence", waits_for="compensation"),
    Compensation(step="undo_activation", waits_for="compensation"),
    Compensation(step="undo_derivation", waits_for="compensation"),
    Compensation(step="undo_screening", waits_for="compensation"),
    Compensation(step="undo_intake", waits_for="compensation"),
    Compensation(step="close_gate", waits_for="record"),
    Compensation(step="close_shards", waits_for="record"),
    Compensation(step="finish_batch", waits_for="record"),
    Compensation(step="attest_head", waits_for="record"),
    Compensation(step="write_bundle", waits_for="record"),
    Compensation(step="raise_fence", waits_for="service", fails_by="away"),
    Compensation(step="undo_derivation", waits_for="service", fails_by="away"),
    Compensation(step="write_bundle", waits_for="service", fails_by="away"),
)
