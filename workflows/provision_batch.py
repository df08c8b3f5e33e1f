"""One batch, from a request to a bundle: reviewed, screened, derived, rolled out in waves, recorded.

Here is how a run begins, goes on, and ends, whatever ends it; `stages` has what happens in between, and
messages, gates, shards and undoing have modules of their own. No state is kept outside `BatchState`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():  # the doorway: shapes without I/O, the same in every run
    from activities.contracts.batches import BatchRegister, ClaimBatch
    from activities.contracts.intake import InspectSource, Intake
    from activities.contracts.request import parse_request
    from activities.failures import InvalidRequestError

from workflows.approval_gate import ApprovalGates
from workflows.batch_messages import BatchMessages
from workflows.batch_state import BatchState
from workflows.endings import EndEarly, Ending, as_failure
from workflows.leaving import Leaving
from workflows.limits import REQUEST_BYTES_MAX, STREAM_TIMEOUT
from workflows.message_desk import MessageDesk
from workflows.messages import one_object
from workflows.pausing import Pausing
from workflows.remembering import Remembering
from workflows.renewal import Renewal
from workflows.restoring import Restoring
from workflows.stages import Stages
from workflows.status import Showing
from workflows.steps import Steps
from workflows.stopping import require_going_on, to_its_end
from workflows.undoing import Undoing
from workflows.untiring import OvertakenError


@workflow.defn(name="ProvisionBatch")
class ProvisionBatch(BatchMessages):
    """Provisions the wallets of one batch."""

    def __init__(self) -> None:
        self._state = state = BatchState()
        self._publish = Showing(state).publish
        self._steps = Steps(self._note_service)
        self._renewal = Renewal(state)
        self._gates = ApprovalGates(state, self._steps, self._publish, self._renewal)
        self._pausing = Pausing(state, self._gates, self._steps)
        self._remembering = Remembering(state, self._gates, self._pausing, self._publish)
        self._desk = MessageDesk(state, self._steps, self._publish, self._pausing.open_gate)
        self._stages = Stages(
            state,
            steps=self._steps,
            gates=self._gates,
            pausing=self._pausing,
            renewal=self._renewal,
            publish=self._publish,
        )
        undoing = Undoing(state, self._steps, self._publish)
        restoring = Restoring(state, self._steps, self._gates)
        self._ending = Ending(state, self._steps, self._publish, self._gates)
        self._leaving = Leaving(state, undoing, restoring, self._ending, self._publish)

    @workflow.run
    async def run(self, *inputs: RawValue) -> dict[str, Any]:
        """Gives how the batch ended, after its compensations where it ended early."""
        try:
            recorded = await self._begin(inputs)
        except (ApplicationError, asyncio.CancelledError) as refusal:
            await to_its_end(self._ending.show_refused(refusal))
            raise
        if recorded is not None:
            return await to_its_end(self._ending.show_recorded(recorded))
        provisioning = asyncio.create_task(self._stages.go())
        try:
            await self._until_done_or_aborted(provisioning)
        except EndEarly as early:
            return await to_its_end(self._leave_early(early, provisioning))
        except asyncio.CancelledError:
            result = await to_its_end(self._leave_early(EndEarly("cancelled"), provisioning))
            return self._unless_own(result, "cancelled", asyncio.CancelledError())
        except FailureError as error:
            failure = as_failure(error)
            cause = EndEarly("failed", reasons=[failure.message])
            result = await to_its_end(self._leave_early(cause, provisioning))
            return self._unless_own(result, "failed", failure)
        return await to_its_end(self._complete(provisioning))

    async def _begin(self, inputs: Sequence[RawValue]) -> dict[str, Any] | None:
        """Takes over the state of the run before, or claims the batch; gives the record of an ended one."""
        info = workflow.info()
        if info.cron_schedule:
            raise InvalidRequestError("a batch runs once: it takes no cron schedule")
        if info.continued_run_id and info.attempt == 1:
            carried = workflow.payload_converter().from_payload(inputs[0].payload, BatchState)
            self._state.take_over(carried)
            return None
        received = one_object(inputs, bytes_max=REQUEST_BYTES_MAX)
        request = parse_request(received)
        if request.batch_id != info.workflow_id:
            raise InvalidRequestError("batch_id: must be the workflow id")
        self._state.request, self._state.batch_id = received, request.batch_id
        self._publish()
        try:
            return await self._inspect_and_claim()
        except ActivityError as error:
            raise as_failure(error) from error

    async def _inspect_and_claim(self) -> dict[str, Any] | None:
        """The record is asked first: a batch that has ended needs its source no more."""
        claim = ClaimBatch(
            request=self._state.request, claimed_by_run=workflow.info().original_execution_run_id
        )
        recalled = await self._steps.provisioning(BatchRegister.recall_batch, claim)
        if recalled.recorded_result is not None:
            return recalled.recorded_result
        source = await self._steps.provisioning(
            Intake.inspect_source, InspectSource(request=self._state.request), within=STREAM_TIMEOUT
        )
        self._state.row_count, self._state.bad_row_count = source.row_count, source.bad_row_count
        # A claim that is written and not known of would leave a batch that nobody ends.
        claimed = await to_its_end(self._steps.provisioning(BatchRegister.claim_batch, claim))
        self._state.fence = claimed.fence
        self._state.claimed = claimed.recorded_result is None
        self._state.overtaken = bool(claimed.left_for)
        return claimed.recorded_result

    async def _until_done_or_aborted(self, provisioning: asyncio.Task[None]) -> None:
        """Provisions until done; an approved abort, a cancellation or a failure stops all work."""
        try:
            require_going_on()
            while not provisioning.done() and not self._is_called_off():
                await workflow.wait_condition(
                    lambda: provisioning.done() or self._is_called_off() or self._remembering.is_due
                )
                await self._remembering.remember()
            if not provisioning.done():
                raise EndEarly("failed" if self._state.overtaken else "aborted")
            await provisioning
        finally:
            provisioning.cancel()

    async def _leave_early(self, early: EndEarly, provisioning: asyncio.Task[None]) -> dict[str, Any]:
        """The fence first, so that a zombie changes nothing; then children are waited for, and all undone."""
        return await self._leaving.leave(early, lambda: asyncio.gather(provisioning, return_exceptions=True))

    async def _complete(self, provisioning: asyncio.Task[None]) -> dict[str, Any]:
        try:
            return await self._ending.close()
        except OvertakenError:
            early = EndEarly("failed", reasons=["another run took the batch over"])
            return await self._leave_early(early, provisioning)

    def _unless_own(self, result: dict[str, Any], cause: str, otherwise: BaseException) -> dict[str, Any]:
        """Gives the answer where another run had ended or left the batch; else this run ends as it did."""
        if not self._state.recorded and result["cause"] == cause:
            raise otherwise
        return result

    def _is_called_off(self) -> bool:
        """An abort is approved, or this run was told that the batch has ended or is being left already."""
        standing = self._state.gates.get("rollback")
        return self._state.overtaken or (standing is not None and standing.satisfied)
