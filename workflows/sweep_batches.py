"""The sweeper, run by schedule: starts the undoing of terminated batches, delivers what was left untold."""

from typing import Any

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():  # the doorway: shapes without I/O, the same in every run
    from activities.contracts.activation import Activation, DeliverWaiting
    from activities.contracts.sweeping import FindAbandoned, Sweeping

from workflows.limits import ANNOUNCED_MAX, SWEPT_MAX
from workflows.steps import Steps
from workflows.undo_batch import UNDO_WORKFLOW, undo_id

SWEEP_WORKFLOW = "SweepBatches"
"""The workflow type of a sweep."""


@workflow.defn(name=SWEEP_WORKFLOW)
class SweepBatches:
    """One sweep."""

    @workflow.run
    async def run(self, *_: RawValue) -> dict[str, Any]:
        """Gives the batches taken up, those on record that Temporal does not know, and what was announced."""
        steps = Steps(_unshown)
        # An asynchronous activity: the checker sees the coroutine, the engine gives its result.
        found: Any = await steps.provisioning(Sweeping.find_abandoned, FindAbandoned(limit=SWEPT_MAX))
        for batch_id in found.unknown:
            about = {"batch_id": batch_id}
            workflow.logger.error("a batch without an end is unknown to Temporal", extra=about)
        taken = [batch_id for batch_id in found.batch_ids if await _start_undoing(batch_id)]
        told = await steps.provisioning(Activation.deliver_waiting, DeliverWaiting(limit=ANNOUNCED_MAX))
        return {"undoing": taken, "unknown": found.unknown, "announced": told.delivered}


async def _start_undoing(batch_id: str) -> bool:
    """Tells whether it was started: one at work already needs no second."""
    try:
        await workflow.start_child_workflow(
            UNDO_WORKFLOW,
            {"batch_id": batch_id},
            id=undo_id(batch_id),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
    except WorkflowAlreadyStartedError:
        return False
    workflow.logger.error("a batch was terminated and is undone", extra={"batch_id": batch_id})
    return True


async def _unshown(_key: str, _service: str) -> None:
    """A sweep that waits for a service shows it by its pending activity."""
