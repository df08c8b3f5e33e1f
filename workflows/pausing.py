"""A paused batch stands still at its next checkpoint until its resume gate lets it go on."""

import asyncio

from workflows.approval_gate import ApprovalGates
from workflows.batch_state import BatchState
from workflows.endings import EndEarly

RESUME = "resume"
"""Under this name the plan keeps the terms of all resume gates; without them a pause lasts no longer."""


class Pausing:
    """The pauses of one batch, each with a gate of its own; before the plan there is none to open yet."""

    def __init__(self, state: BatchState, gates: ApprovalGates) -> None:
        self._state = state
        self._gates = gates
        self._resuming = asyncio.Lock()

    async def hold(self) -> None:
        """Waits here while the batch is paused.

        Raises: EndEarly when nobody lets it go on.
        """
        async with self._resuming:
            plan = self._state.plan
            if not self._state.paused or plan is None:
                return
            if RESUME in plan.gates:
                gate = f"{RESUME}/{self._state.pauses}"
                outcome = await self._gates.await_decision(gate, plan.plan_digest, plan.gates[RESUME])
                if outcome != "approved":
                    raise EndEarly(outcome, reasons=[f"gate {gate}: {outcome}"])
            self._state.paused = False

    async def open_gate(self) -> None:
        """Lets a resume be signed at once, whatever the batch is doing just now."""
        plan = self._state.plan
        if self._state.paused and plan is not None and RESUME in plan.gates and not self._state.ending:
            gate = f"{RESUME}/{self._state.pauses}"
            await self._gates.open(gate, plan.plan_digest, plan.gates[RESUME])
