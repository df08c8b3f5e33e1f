"""Leaves a batch early: the fence first, what runs is waited for, all is undone, the end recorded."""

from collections.abc import Awaitable, Callable
from typing import Any

from workflows.batch_state import BatchState, Waiting
from workflows.endings import EndEarly, Ending
from workflows.undoing import Undoing
from workflows.untiring import OvertakenError


class Leaving:
    """The way out of one batch; it does not end before its compensations are done, by whomever."""

    def __init__(
        self, state: BatchState, undoing: Undoing, ending: Ending, publish: Callable[[], None]
    ) -> None:
        self._state = state
        self._undoing = undoing
        self._ending = ending
        self._publish = publish

    async def leave(self, early: EndEarly, until_still: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
        """Gives the batch's result; `until_still` waits for what the raised fence has shut out.

        A run that was reset, and the sweeper, may be at it at once: who is overtaken looks again, and
        answers from the record when the batch has ended meanwhile.
        """
        self._state.ending, self._state.waiting = True, Waiting()
        self._publish()
        while True:
            raised = await self._undoing.raise_fence(early.cause)
            await until_still()
            self._state.waiting = Waiting()
            self._state.services.clear()
            if raised.recorded_result is not None:
                return await self._ending.show_recorded(raised.recorded_result)
            try:
                await self._undoing.undo(raised.fence)
                return await self._ending.close(early)
            except OvertakenError:
                self._state.fence = raised.fence
