"""How a batch's end is named, recorded and, where a step could not be done, told."""

import json

import pytest
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutType
from temporalio.exceptions import TimeoutError as EngineTimeoutError

from activities.contracts.compliance import PlannedBatch
from activities.contracts.screening import SealedEvidence
from activities.failures import IntegrityError, ServiceUnavailableError
from workflows.batch_state import BatchState
from workflows.endings import as_failure, outcome_of, result_of
from workflows.steps import is_retryable, waited_for


def _ended(cause: str = "", **counts: int) -> BatchState:
    return BatchState(
        batch_id="spring-airdrop",
        request={"chains": ["ethereum", "bsc"]},
        subject_count=5,
        cause=cause,
        counts=counts,
    )


def test_a_batch_whose_every_wallet_is_active_is_completed() -> None:
    """Subjects times chains."""
    assert outcome_of(_ended(active=10)) == "completed"


def test_a_wallet_short_is_an_exception() -> None:
    """Held, refused and withheld subjects have no active wallet."""
    assert outcome_of(_ended(active=9)) == "completed_with_exceptions"
    assert outcome_of(_ended()) == "completed_with_exceptions"


def test_a_skipped_row_is_an_exception() -> None:
    """Rows that were left out are told, though everybody taken in has wallets."""
    state = _ended(active=10)
    state.bad_row_count = 1
    assert outcome_of(state) == "completed_with_exceptions"


@pytest.mark.parametrize("cause", ["refused", "rejected", "expired", "aborted", "rolled_back"])
def test_before_the_pivot_the_cause_is_the_outcome(cause: str) -> None:
    """Nothing was active, so nothing was rolled back."""
    assert outcome_of(_ended(cause, revoked=4)) == cause


@pytest.mark.parametrize("cause", ["rejected", "expired", "aborted", "rolled_back"])
def test_after_the_pivot_leaving_is_a_roll_back(cause: str) -> None:
    """Wallets that were active are frozen, whatever the cause."""
    assert outcome_of(_ended(cause, frozen=2, revoked=4)) == "rolled_back"


@pytest.mark.parametrize("cause", ["cancelled", "failed"])
def test_how_the_run_ended_is_kept(cause: str) -> None:
    """A cancelled and a failed run say so, also with frozen wallets."""
    assert outcome_of(_ended(cause, frozen=2)) == cause


def test_the_result_is_one_json_object() -> None:
    """With the digests people signed, the newest evidence among them."""
    state = _ended("expired", revoked=4)
    state.outcome, state.reasons = outcome_of(state), ["gate issuance: expired"]
    state.plan = PlannedBatch(plan_digest="ef" * 32, subject_count=5, outcome="needs_approvals")
    state.evidence = {
        tranche: SealedEvidence(evidence_digest=tranche * 64, verdict_root="") for tranche in ("0", "1")
    }
    result = result_of(state)
    assert json.loads(json.dumps(result)) == result
    assert (result["outcome"], result["cause"], result["reasons"]) == (
        "expired",
        "expired",
        ["gate issuance: expired"],
    )
    assert (result["plan_digest"], result["evidence_digest"]) == ("ef" * 32, "1" * 64)


def test_a_batch_without_a_plan_has_a_result() -> None:
    """Cancelled before the plan, it has no digest and no cause is invented."""
    result = result_of(_ended())
    assert (result["plan_digest"], result["evidence_digest"], result["cause"]) == (None, None, None)


def _activity_error(cause: BaseException) -> ActivityError:
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="derive_slice",
        activity_id="1",
        retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
    )
    error.__cause__ = cause
    return error


def _timed_out() -> EngineTimeoutError:
    return EngineTimeoutError("timed out", type=TimeoutType.SCHEDULE_TO_START, last_heartbeat_details=[])


def test_a_failure_says_the_innermost_reason() -> None:
    """The run's own first line is the step's: its sentence, its type, its details; and it is final."""
    failure = as_failure(_activity_error(IntegrityError("a wallet differs", 7)))
    assert (failure.message, failure.type, list(failure.details)) == (
        "a wallet differs",
        "IntegrityError",
        [7],
    )
    assert failure.non_retryable


def test_a_failure_without_a_reason_of_ours_says_a_fixed_sentence() -> None:
    """A timeout has no words that would help."""
    failure = as_failure(_activity_error(_timed_out()))
    assert (failure.message, failure.type) == ("a step could not be done", "ActivityError")


@pytest.mark.parametrize(
    ("cause", "service"),
    [
        (_timed_out(), "custody worker"),
        (ServiceUnavailableError("key service"), "key service"),
        (ApplicationError("x", type="ServiceUnavailableError"), "a service"),
        (ApplicationError("x", "database", type="RateLimitedError"), "database"),
        (IntegrityError("x"), ""),
        (ApplicationError("x", type="KeyError"), ""),
    ],
)
def test_only_what_can_come_back_is_waited_for(cause: BaseException, service: str) -> None:
    """A service by its name, a queue that nobody works; never a step that cannot succeed."""
    assert waited_for(_activity_error(cause), "custody") == service


def test_a_final_error_is_not_tried_again() -> None:
    """What an activity declared final ends the step at once; anything unforeseen has a few more tries."""
    assert not is_retryable(_activity_error(IntegrityError("x")))
    assert is_retryable(_activity_error(ApplicationError("x", type="KeyError")))
    assert is_retryable(_activity_error(_timed_out()))
