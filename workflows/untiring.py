"""Steps that must not fail: tried again for ever, shown while they fail, and logged for the alert."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.batch_state import BatchState, Waiting
from workflows.limits import PERSISTENT_PAUSE_FIRST, PERSISTENT_PAUSE_LONGEST, STREAM_TIMEOUT
from workflows.steps import Steps, is_stale

Given = TypeVar("Given")
Gives = TypeVar("Gives")


class OvertakenError(Exception):
    """Somebody else raised the batch's fence further or ended it: what is at work here must look again."""


class UntiringSteps:
    """One batch's steps of one kind, `compensation` or `record`, as `status` names what it waits for."""

    def __init__(self, state: BatchState, steps: Steps, publish: Callable[[], None], *, kind: str) -> None:
        self._state = state
        self._steps = steps
        self._publish = publish
        self._kind = kind

    async def provisioning(self, method: Callable[[Any, Given], Gives], step: Given) -> Gives:
        """Gives what the activity gives on the provisioning queue, once it does."""
        return await self.until_done(
            method.__name__, lambda: self._steps.provisioning(method, step, within=STREAM_TIMEOUT)
        )

    async def custody(self, method: Callable[[Any, Given], Gives], step: Given) -> Gives:
        """The same on the custody queue."""
        return await self.until_done(
            method.__name__, lambda: self._steps.custody(method, step, within=STREAM_TIMEOUT)
        )

    async def until_done(self, name: str, work: Callable[[], Awaitable[Gives]]) -> Gives:
        """Gives what the work gives, begun again after every failure of a step in it.

        Raises: OvertakenError when the fence it works under is not the batch's any more.
        """
        pause = PERSISTENT_PAUSE_FIRST
        while True:
            try:
                given = await work()
            except ActivityError as error:
                if is_stale(error):
                    raise OvertakenError from error
                self._show_failure(name, error)
            else:
                self._show(Waiting())
                return given
            await workflow.sleep(pause, summary=f"{self._kind}: tries {name} again")
            pause = min(pause * 2, PERSISTENT_PAUSE_LONGEST)

    def _show_failure(self, name: str, error: ActivityError) -> None:
        workflow.logger.error(
            "a step that must not fail has failed and is tried again",
            extra={"step": name, "kind": self._kind, "cause": type(error.cause).__name__},
        )
        self._show(Waiting(kind=self._kind, name=name))

    def _show(self, waiting: Waiting) -> None:
        if waiting != self._state.waiting:
            self._state.waiting = waiting
            self._publish()
