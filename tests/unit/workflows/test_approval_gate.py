"""When a gate is decided, how it ended, and when people are reminded."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, ServerError

from activities.contracts.approvals import GateStanding
from activities.contracts.compliance import GateTerms
from workflows.approval_gate import _decided, _is_policy_violation, _outcome, _reminders, stamp, take_standing
from workflows.batch_state import BatchState

OPENED = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = GateTerms(roles={"compliance_officer": 1}, wait_hours=48, remind_hours=4, escalate_hours=24)
UNTIL = OPENED + timedelta(hours=48)


def _standing(*, satisfied: bool = False, rejected_by: str = "") -> GateStanding:
    return GateStanding(gate="compliance", digest="ab" * 32, satisfied=satisfied, rejected_by=rejected_by)


@pytest.mark.parametrize(
    ("standing", "decided", "outcome"),
    [
        (_standing(), False, "expired"),
        (_standing(satisfied=True), True, "approved"),
        (_standing(rejected_by="lee@acme.example"), True, "rejected"),
        (_standing(satisfied=True, rejected_by="lee@acme.example"), True, "rejected"),
    ],
)
def test_a_rejection_is_final_and_silence_expires(
    standing: GateStanding, decided: bool, outcome: str
) -> None:
    """One no stands beside any number of approvals; what nobody decided in time has expired."""
    assert _decided(standing) is decided
    assert _outcome(standing) == outcome


def test_people_are_reminded_then_superiors_told_then_it_expires() -> None:
    """In the order of time, counted from the opening."""
    assert _reminders(UNTIL, TERMS, now=OPENED) == [
        (OPENED + timedelta(hours=4), "reminder"),
        (OPENED + timedelta(hours=24), "escalation"),
        (UNTIL, "expiry"),
    ]


@pytest.mark.parametrize(("hours", "ahead"), [(4, 2), (5, 2), (24, 1), (47, 1), (48, 1), (500, 1)])
def test_a_run_that_goes_on_later_repeats_no_reminder(hours: float, ahead: int) -> None:
    """Only what is still ahead is sent; the expiry always is."""
    coming = _reminders(UNTIL, TERMS, now=OPENED + timedelta(hours=hours))
    assert len(coming) == ahead
    assert coming[-1] == (UNTIL, "expiry")


def test_reminders_at_the_expiry_are_the_expiry() -> None:
    """Terms that remind only when it is over send nothing before."""
    terms = GateTerms(roles={}, wait_hours=48, remind_hours=48, escalate_hours=48)
    assert _reminders(UNTIL, terms, now=OPENED) == [(UNTIL, "expiry")]


def test_moments_are_written_to_the_second_in_utc() -> None:
    """As statements and gates write them."""
    assert stamp(OPENED + timedelta(microseconds=999_999)) == "2026-03-01T12:00:00Z"
    assert datetime.fromisoformat(stamp(OPENED)) == OPENED


def test_an_answer_that_comes_late_takes_nothing_back() -> None:
    """The answers to two decisions may come in the other order: the fuller standing is the newer one."""
    first = GateStanding(gate="compliance", digest="ab" * 32, satisfied=False, approved_by=["kim"])
    second = GateStanding(gate="compliance", digest="ab" * 32, satisfied=True, approved_by=["kim", "lee"])
    refused = _standing(rejected_by="lee@acme.example")
    state = BatchState()
    for arrives, stands in ((second, second), (first, second), (refused, refused), (second, refused)):
        take_standing(state, arrives)
        assert state.gates == {"compliance": stands}


def test_a_gate_over_another_digest_begins_anew() -> None:
    """Nobody who approved the one has approved the other."""
    state = BatchState(gates={"issuance": GateStanding(gate="issuance", digest="ab" * 32, satisfied=True)})
    late = GateStanding(gate="issuance", digest="cd" * 32, satisfied=False)
    take_standing(state, late)
    assert state.gates["issuance"] == late


@pytest.mark.parametrize(
    ("cause", "refused"),
    [
        (ApplicationError("no", type="PolicyViolationError"), True),
        (ApplicationError("no", type="IntegrityError"), False),
        (ServerError("no"), False),
    ],
)
def test_only_a_refusal_is_counted_again(cause: FailureError, refused: bool) -> None:
    """A gate that does not stand approved any more is counted anew; any other failure ends the batch."""
    error = ActivityError(
        "failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="close_gate",
        activity_id="1",
        retry_state=None,
    )
    error.__cause__ = cause
    assert _is_policy_violation(error) is refused
