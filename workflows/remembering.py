"""A run that was reset asks the record at once what it has forgotten: decisions, pauses, or its own end.

The engine tells it by a new random seed, at the same place of its history in every replay.
"""

from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.approval_gate import ApprovalGates
from workflows.batch_state import BatchState
from workflows.pausing import Pausing
from workflows.steps import is_stale

_REMEMBERS = "remembers-when-reset"
"""Patch: since generation 002, a reset is followed by a look at the record."""

_BEGAN_AGAIN = "remembers-when-begun-again"
"""The same for a run that a reset began from its very start, which is told of no new seed."""


class Remembering:
    """What the record knows of one batch and its run does not; `is_due` after each reset."""

    def __init__(
        self, state: BatchState, gates: ApprovalGates, pausing: Pausing, publish: Callable[[], None]
    ) -> None:
        self._state = state
        self._gates = gates
        self._pausing = pausing
        self._publish = publish
        info = workflow.info()
        self.is_due = info.run_id != info.original_execution_run_id
        self._patch = _BEGAN_AGAIN
        workflow.register_random_seed_callback(self._note_reset)

    async def remember(self) -> None:
        """Takes up what is on record, when it is due; notes that the batch was left or ended without it."""
        if not self.is_due:
            return
        self.is_due = False
        if not workflow.patched(self._patch):
            return
        self._state.rewound = True
        try:
            await self._pausing.recall_orders()
            await self._pausing.open_gate()
            await self._gates.recount_open()
        except ActivityError as error:
            if not is_stale(error):
                raise
            self._state.overtaken = True
        self._publish()

    def _note_reset(self, _: int) -> None:
        self.is_due, self._patch = True, _REMEMBERS
