"""Leaves a batch early: the fence first, then each stage undone, newest first, without limit of attempts."""

from collections.abc import Callable

from activities.contracts.activation import Activation
from activities.contracts.batches import BatchRegister, RaisedFence, RaiseFence
from activities.contracts.custody import Custody
from activities.contracts.intake import Intake
from activities.contracts.screening import Screening
from activities.contracts.shapes import BatchStep
from workflows.batch_state import BatchState
from workflows.restoring import Restoring
from workflows.steps import Steps
from workflows.untiring import UntiringSteps


class Undoing:
    """The compensations of one batch; each runs until it has succeeded."""

    def __init__(self, state: BatchState, steps: Steps, publish: Callable[[], None]) -> None:
        self._state = state
        self._steps = UntiringSteps(state, steps, publish, kind="compensation")

    async def raise_fence(self, cause: str) -> RaisedFence:
        """Gives the fence to undo under; from now on no step scheduled before can change anything."""
        step = RaiseFence(batch_id=self._state.batch_id, fence=self._state.fence, reason=cause)
        return await self._steps.provisioning(BatchRegister.raise_fence, step)

    async def remember(self, restoring: Restoring) -> None:
        """Takes up from the record what the run has forgotten of what it is to undo."""
        await self._steps.until_done("take_over", lambda: restoring.restore(is_own=True))

    async def undo(self, fence: int) -> None:
        """Undoes every stage; when it returns, nothing usable is left that was not active before."""
        self._state.fence = fence
        step = BatchStep(batch_id=self._state.batch_id, fence=fence)
        frozen = await self._steps.provisioning(Activation.undo_activation, step)
        revoked = await self._steps.custody(Custody.undo_derivation, step)
        await self._steps.provisioning(Screening.undo_screening, step)
        await self._steps.provisioning(Intake.undo_intake, step)
        self._state.open_holds = 0
        self._state.counts.update(
            ready=0,
            active=0,
            frozen=frozen.counts.get("frozen", 0),
            revoked=revoked.counts.get("revoked", 0),
        )
        for wave in self._state.waves:
            wave.state = "planned" if wave.state == "planned" else "undone"
