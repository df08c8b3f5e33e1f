"""Gives a run back what the record knows of its batch, where it leaves it for a run that is gone."""

from typing import Any, cast

from activities.contracts.sweeping import Sweeping, TakenOver, TakeOver
from workflows.approval_gate import ApprovalGates
from workflows.batch_state import BatchState, WaveState
from workflows.steps import Steps


class Restoring:
    """One batch's way back from the record into its state."""

    def __init__(self, state: BatchState, steps: Steps, gates: ApprovalGates) -> None:
        self._state = state
        self._steps = steps
        self._gates = gates

    async def restore(self, *, is_own: bool) -> TakenOver:
        """Gives what is on record, and takes it up with its open gates counted again."""
        step = TakeOver(batch_id=self._state.batch_id, is_own=is_own)
        # An asynchronous activity: the checker sees the coroutine, the engine gives its result.
        given: Any = await self._steps.provisioning(Sweeping.take_over, step)
        taken = cast("TakenOver", given)
        _take_up(self._state, taken)
        if taken.recorded_result is None:
            await self._gates.recount_open()
        return taken


def _take_up(state: BatchState, taken: TakenOver) -> None:
    """How many bad rows were left out the record does not tell: a run that knows it keeps its number."""
    state.request, state.plan = taken.request, state.plan or taken.plan
    state.row_count = state.row_count or taken.subject_count
    state.subject_count = taken.subject_count
    state.evidence = taken.evidence
    for counted in ("clear", "cleared", "not_eligible"):
        state.counts.pop(counted, None)
    for sealed in taken.evidence.values():
        for name, counted in (("clear", "clear"), ("cleared", "cleared"), ("refused", "not_eligible")):
            state.counts[counted] = state.counts.get(counted, 0) + sealed.counts.get(name, 0)
    known = {each.wave: each for each in state.waves}
    for each in taken.waves:
        wave = known.setdefault(each.wave, WaveState(wave=each.wave, percent=each.percent))
        wave.state = "opening" if wave.state == "planned" else wave.state
    state.waves = [known[wave] for wave in sorted(known)]
    for standing in taken.open_gates:
        state.gates.setdefault(standing.gate, standing)
        state.gate_until.setdefault(standing.gate, "")
