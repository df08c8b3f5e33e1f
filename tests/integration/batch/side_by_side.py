"""Batches of a module's table, begun together by its first test; each one's failure is its own test's."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import pytest

AT_ONCE: Final = 8
"""Batches under way: more would only wait for each other on two cores."""

Answer = TypeVar("Answer")
ToCome = dict[str, asyncio.Task[Answer]]


def chosen_rows(request: pytest.FixtureRequest, parameter: str) -> list[Any]:
    """The rows of the asking module's table that this session runs."""
    own = [item for item in request.session.items if item.path == request.path]
    callspecs = [getattr(item, "callspec", None) for item in own]
    return [callspec.params[parameter] for callspec in callspecs if callspec is not None]


@asynccontextmanager
async def under_way(plays: Mapping[str, Coroutine[Any, Any, Answer]]) -> AsyncIterator[ToCome[Answer]]:
    """Gives what each is to answer, by its name; what is still under way at the end is given up."""
    tasks = {name: asyncio.create_task(play) for name, play in plays.items()}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
