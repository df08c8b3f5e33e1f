"""How a batch ends: the outcome, its record in the store, the attested head and the bundle."""

from collections.abc import Callable, Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from activities.contracts.batches import BatchRegister, FinishBatch
from activities.contracts.custody import Custody
from activities.contracts.record import Record
from activities.contracts.shapes import BatchStep
from workflows.approval_gate import ApprovalGates
from workflows.batch_state import BatchState
from workflows.status import counts_of
from workflows.steps import Steps
from workflows.untiring import UntiringSteps

_KEPT_CAUSES = {"cancelled", "failed"}
_OUTCOMES = {"terminated": "aborted"}
"""Causes that are no outcome of their own: who terminates a workflow has aborted its batch."""


class EndEarly(Exception):  # noqa: N818 - leaving early is an outcome, not an error
    """Why a batch leaves before its last stage: refused, rejected, expired, aborted, cancelled, failed..."""

    def __init__(self, cause: str, *, reasons: Sequence[str] = ()) -> None:
        super().__init__(cause)
        self.cause = cause
        self.reasons = list(reasons)


class Ending:
    """Closes one batch, once all of its effects have happened or are undone."""

    def __init__(
        self, state: BatchState, steps: Steps, publish: Callable[[], None], gates: ApprovalGates
    ) -> None:
        self._state = state
        self._gates = gates
        self._steps = UntiringSteps(state, steps, publish, kind="record")
        self._publish = publish

    async def close(self, early: EndEarly | None = None) -> dict[str, Any]:
        """Gives the batch's result, after it stands in the store and the bundle is written.

        Raises: OvertakenError when somebody else raised the fence.
        """
        state = self._state
        await self._answer_everybody()
        state.stage, state.cause = "record", early.cause if early else ""
        state.reasons = early.reasons if early else []
        state.outcome = outcome_of(state)
        self._publish()
        await self._steps.until_done("close_gate", self._gates.close_open)
        step = BatchStep(batch_id=state.batch_id, fence=state.fence)
        await self._steps.provisioning(BatchRegister.close_shards, step)
        result = result_of(state)
        finished = await self._steps.provisioning(
            BatchRegister.finish_batch,
            FinishBatch(batch_id=state.batch_id, fence=state.fence, result=result),
        )
        if finished.recorded_result is not None:
            return await self.show_recorded(finished.recorded_result)
        await self.write_record()
        state.stage = "ended"
        self._publish()
        return result

    async def show_refused(self, refusal: BaseException) -> None:
        """Shows a batch that never began, so that whoever watches it hears why."""
        is_told = isinstance(refusal, ApplicationError)
        self._state.stage, self._state.outcome = "ended", "failed" if is_told else "cancelled"
        self._state.reasons = [refusal.message] if isinstance(refusal, ApplicationError) else []
        self._publish()
        await self._answer_everybody()

    async def show_recorded(self, result: dict[str, Any]) -> dict[str, Any]:
        """Gives and shows what the store says of a batch that another run has ended."""
        self._state.recorded = result
        self._state.stage, self._state.outcome = "ended", str(result["outcome"])
        self._publish()
        await self._answer_everybody()
        return result

    async def _answer_everybody(self) -> None:
        """From here on messages are refused; those on their way are waited for."""
        self._state.ending = True
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def write_record(self) -> None:
        """Attests and writes the bundle; a batch that was never planned has nothing to attest."""
        if self._state.plan is None:
            return
        step = BatchStep(batch_id=self._state.batch_id, fence=self._state.fence)
        await self._steps.custody(Custody.attest_head, step)
        # The one activity that is asynchronous: the checker sees the coroutine, the engine gives its result.
        bundle: Any = await self._steps.provisioning(Record.write_bundle, step)
        self._state.plan.documents["bundle"] = bundle


def outcome_of(state: BatchState) -> str:
    """Names the outcome: before the pivot the cause itself; once a wallet was active, a roll-back."""
    if not state.cause:
        return "completed_with_exceptions" if _has_exceptions(state) else "completed"
    if state.cause in _KEPT_CAUSES:
        return state.cause
    return "rolled_back" if state.counts.get("frozen", 0) else _OUTCOMES.get(state.cause, state.cause)


def result_of(state: BatchState) -> dict[str, Any]:
    """Gives the JSON object a run returns and the store keeps."""
    newest = max(state.evidence, default="")
    return {
        "batch_id": state.batch_id,
        "outcome": state.outcome,
        "cause": state.cause or None,
        "reasons": state.reasons,
        "counts": counts_of(state),
        "plan_digest": state.plan.plan_digest if state.plan else None,
        "evidence_digest": state.evidence[newest].evidence_digest if newest else None,
    }


def as_failure(error: FailureError) -> ApplicationError:
    """Gives the innermost reason as the run's own failure, so that its first line says what went wrong."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if cause is None:
        return ApplicationError("a step could not be done", type=type(error).__name__, non_retryable=True)
    return ApplicationError(cause.message, *cause.details, type=cause.type, non_retryable=True)


def _has_exceptions(state: BatchState) -> bool:
    expected = state.subject_count * len(state.request.get("chains", []))
    return state.bad_row_count > 0 or state.counts.get("active", 0) < expected
