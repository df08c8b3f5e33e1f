"""Undoes a batch whose workflow is gone: the same steps, newest stage first, and the same kind of record."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():  # the doorway: shapes without I/O, the same in every run
    from activities.contracts.sweeping import TakenOver
    from activities.failures import InvalidRequestError

from workflows.approval_gate import ApprovalGates
from workflows.batch_state import BatchState
from workflows.endings import EndEarly, Ending, as_failure
from workflows.leaving import Leaving
from workflows.limits import REQUEST_BYTES_MAX
from workflows.messages import one_object
from workflows.renewal import Renewal
from workflows.restoring import Restoring
from workflows.status import Showing, status_of
from workflows.steps import Steps
from workflows.undoing import Undoing

UNDO_WORKFLOW = "UndoBatch"
"""The workflow type; by hand: `temporal workflow start --type UndoBatch --workflow-id undo/B ...`."""

_REASON = "the workflow was terminated"


def undo_id(batch_id: str) -> str:
    """The one workflow id under which a batch is undone without its own workflow."""
    return f"undo/{batch_id}"


@workflow.defn(name=UNDO_WORKFLOW)
class UndoBatch:
    """Leaves one batch early on behalf of its terminated workflow."""

    def __init__(self) -> None:
        self._state = state = BatchState()
        self._publish = Showing(state).publish
        self._steps = Steps(self._note_service)
        undoing = Undoing(state, self._steps, self._publish)
        gates = ApprovalGates(state, self._steps, self._publish, Renewal(state))
        self._ending = Ending(state, self._steps, self._publish, gates)
        self._restoring = Restoring(state, self._steps, gates)
        self._leaving = Leaving(state, undoing, self._restoring, self._ending, self._publish)

    @workflow.query(name="status", description="The same as of the batch it undoes.")
    def status(self, *_: RawValue) -> dict[str, Any]:
        """Gives the batch's status as one JSON object; an input is accepted and not looked at."""
        return status_of(self._state)

    @workflow.run
    async def run(self, *inputs: RawValue) -> dict[str, Any]:
        """Gives the batch's result; takes `{"batch_id": "B"}`."""
        self._state.batch_id = _batch_id(inputs)
        taken = await self._take_over()
        self._state.fence = taken.fence
        if taken.recorded_result is not None:
            await self._ending.write_record()
            return await self._ending.show_recorded(taken.recorded_result)
        result = await self._leaving.leave(EndEarly("terminated", reasons=[_REASON]), _nothing_runs)
        if self._state.recorded:  # its own last step was in flight still, and ended it after all
            await self._ending.write_record()
        return result

    async def _take_over(self) -> TakenOver:
        try:
            return await self._restoring.restore(is_own=False)
        except ActivityError as error:
            raise as_failure(error) from error

    async def _note_service(self, key: str, service: str) -> None:
        self._state.note_service(key, service)
        self._publish()


def _batch_id(inputs: Sequence[RawValue]) -> str:
    received = one_object(inputs, bytes_max=REQUEST_BYTES_MAX)
    batch_id = received.get("batch_id")
    if not isinstance(batch_id, str) or received.keys() != {"batch_id"}:
        raise InvalidRequestError("an undoing takes one field, batch_id")
    if workflow.info().workflow_id != undo_id(batch_id):
        raise InvalidRequestError("the workflow id must be undo/ and the batch id")
    return batch_id


async def _nothing_runs() -> None:
    """Children of a terminated workflow are terminated with it."""
