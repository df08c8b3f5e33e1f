"""Leaves a batch early: the fence first, then each stage undone, newest first, without limit of attempts."""

from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.contracts.activation import Activation
from activities.contracts.batches import BatchRegister, RaiseFence
from activities.contracts.custody import Custody
from activities.contracts.intake import Intake
from activities.contracts.screening import Screening
from activities.contracts.shapes import BatchStep
from workflows.batch_state import BatchState, Waiting
from workflows.limits import COMPENSATION_PAUSE
from workflows.steps import Steps


class Undoing:
    """The compensations of one batch; each runs until it has succeeded."""

    def __init__(self, state: BatchState, steps: Steps, publish: Callable[[], None]) -> None:
        self._state = state
        self._steps = steps
        self._publish = publish

    async def undo(self, cause: str) -> None:
        """Undoes every stage; when it returns, nothing usable is left that was not active before."""
        await self._raise_fence(cause)
        step = BatchStep(batch_id=self._state.batch_id, fence=self._state.fence)
        frozen = await self._persist(self._steps.provisioning, Activation.undo_activation, step)
        revoked = await self._persist(self._steps.custody, Custody.undo_derivation, step)
        await self._persist(self._steps.provisioning, Screening.undo_screening, step)
        await self._persist(self._steps.provisioning, Intake.undo_intake, step)
        self._state.open_holds = 0
        self._state.counts.update(
            ready=0,
            active=0,
            frozen=frozen.counts.get("frozen", 0),
            revoked=revoked.counts.get("revoked", 0),
        )

    async def _raise_fence(self, cause: str) -> None:
        raised = await self._persist(
            self._steps.provisioning,
            BatchRegister.raise_fence,
            RaiseFence(batch_id=self._state.batch_id, fence=self._state.fence, reason=cause),
        )
        self._state.fence = raised.fence

    async def _persist(self, queue: Callable[..., Any], method: Callable[..., Any], step: Any) -> Any:
        """A compensation that fails is tried again for ever, and shows as what the batch waits for."""
        while True:
            try:
                return await queue(method, step)
            except ActivityError:
                workflow.logger.error("a compensation failed and is tried again")
                self._state.waiting = Waiting(kind="compensation", name=method.__name__)
                self._publish()
            await workflow.sleep(COMPENSATION_PAUSE, summary="tries a compensation again")
