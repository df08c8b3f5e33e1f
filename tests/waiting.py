"""The one way tests wait: for a condition, to a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")

_PAUSE_SECONDS = 0.05


def eventually(predicate: Callable[[], Found], seconds: float, *, what: str = "the condition") -> Found:
    """Gives the predicate's first true answer; fails when none comes within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := predicate():
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(_PAUSE_SECONDS)


async def eventually_async(
    predicate: Callable[[], Awaitable[Found]], seconds: float, *, what: str = "the condition"
) -> Found:
    """The same for a predicate that is awaited."""
    deadline = time.monotonic() + seconds
    while True:
        if found := await predicate():
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        await asyncio.sleep(_PAUSE_SECONDS)


async def let_time_pass(seconds: float) -> None:
    """Lets a fault fall at a moment drawn by chance, or a sampler rest; never to wait for something."""
    await asyncio.sleep(seconds)
