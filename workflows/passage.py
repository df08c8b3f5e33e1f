"""The way past a gate: asked only where the plan has terms for it, once, and a pause holds behind it."""

from workflows.approval_gate import ApprovalGates
from workflows.batch_state import BatchState
from workflows.endings import EndEarly
from workflows.pausing import Pausing


class Passage:
    """The gates of one batch as its stages meet them."""

    def __init__(self, state: BatchState, gates: ApprovalGates, pausing: Pausing) -> None:
        self._state = state
        self._gates = gates
        self._pausing = pausing

    async def pass_gate(self, gate: str, digest: str, *, terms_of: str = "") -> None:
        """Passes where nobody is asked or the gate was passed before.

        Raises: EndEarly when the gate is rejected or expires.
        """
        terms = self._state.planned().gates.get(terms_of or gate)
        if terms is None or f"{gate}:{digest}" in self._state.gates_passed:
            return
        outcome = await self._gates.await_decision(gate, digest, terms)
        if outcome != "approved":
            raise EndEarly(outcome, reasons=[f"gate {gate}: {outcome}"])
        await self._pausing.hold()
