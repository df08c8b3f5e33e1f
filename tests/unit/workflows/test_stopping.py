"""What a workflow tells its own tasks: to begin nothing new, or to be left alone until they are done."""

import asyncio

import pytest

from workflows.stopping import require_going_on, to_its_end


async def test_a_task_told_to_stop_begins_nothing_new() -> None:
    """Also where the await that the cancellation hit has swallowed it."""
    begun: list[str] = []
    waits = asyncio.Event()

    async def work() -> None:
        require_going_on()
        begun.append("first")
        try:
            await waits.wait()
        except asyncio.CancelledError:
            begun.append("swallowed")
        require_going_on()
        begun.append("second")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert begun == ["first", "swallowed"]


async def test_what_must_end_is_not_cut_short() -> None:
    """However often its caller is cancelled meanwhile, the work goes on and its result comes back."""
    released = asyncio.Event()

    async def work() -> str:
        await released.wait()
        require_going_on()
        return "done"

    task = asyncio.create_task(to_its_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    released.set()
    assert await task == "done"


async def test_what_fails_in_the_work_reaches_the_caller() -> None:
    """The shield keeps cancellations out, not errors in."""

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("a step failed")

    with pytest.raises(ValueError, match="a step failed"):
        await to_its_end(work())
