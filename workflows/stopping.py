"""Stopping inside a workflow: work told to stop begins nothing new, and what must end is not cut short."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Gives = TypeVar("Gives")


def require_going_on() -> None:
    """Does nothing in a task that may go on.

    Raises: CancelledError in one that was told to stop, also where an await in between swallowed that.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def to_its_end(work: Coroutine[Any, Any, Gives]) -> Gives:
    """Gives what the work gives; a cancellation that comes meanwhile neither stops nor outruns it."""
    task = asyncio.create_task(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
    return task.result()
