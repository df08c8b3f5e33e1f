"""Leaves a batch early: the fence first, what runs is waited for, all is undone, the end recorded."""

from collections.abc import Awaitable, Callable
from typing import Any

from workflows.batch_state import BatchState, Waiting
from workflows.endings import EndEarly, Ending
from workflows.restoring import Restoring
from workflows.undoing import Undoing
from workflows.untiring import OvertakenError

_LEFT_BEFORE = "it was being left before this run took over"


class Leaving:
    """The way out of one batch; it does not end before its compensations are done, by whomever."""

    def __init__(
        self,
        state: BatchState,
        undoing: Undoing,
        restoring: Restoring,
        ending: Ending,
        publish: Callable[[], None],
    ) -> None:
        self._state = state
        self._undoing = undoing
        self._restoring = restoring
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
            left = _as_first_left(early, raised.left_for)
            try:
                if self._state.rewound or left is not early:
                    await self._undoing.remember(self._restoring)
                await self._undoing.undo(raised.fence)
                return await self._ending.close(left)
            except OvertakenError:
                self._state.fence = raised.fence


def _as_first_left(early: EndEarly, left_for: str) -> EndEarly:
    """The cause for which the batch was left first stays its cause, whoever undoes it in the end."""
    if left_for in ("", early.cause):
        return early
    return EndEarly(left_for, reasons=[_LEFT_BEFORE])
