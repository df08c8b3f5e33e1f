"""Continues a run as new before its history is long, where nothing of it is open."""

from temporalio import workflow

from workflows.batch_state import BatchState
from workflows.limits import RUN_EVENTS_MAX


class Renewal:
    """One batch's runs; `open_shards` counts children, which a continued run would lose."""

    def __init__(self, state: BatchState) -> None:
        self._state = state
        self.open_shards = 0

    def is_due(self) -> bool:
        """Tells whether the history is long and no child is open."""
        info = workflow.info()
        is_long = info.is_continue_as_new_suggested() or info.get_current_history_length() > RUN_EVENTS_MAX
        return is_long and not self.open_shards

    async def renew_if_due(self) -> None:
        """Ends this run where a new one goes on, once no handler runs any more."""
        if self.is_due():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(args=[self._state])
