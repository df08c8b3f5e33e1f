"""Processes: killed and started again; stopped for a while, some of them longer than a heartbeat allows."""

import asyncio
import os
import signal
from contextlib import suppress

from infra.devstack.process import children
from infra.devstack.workers import WorkerProcess
from tests.chaos.faults.kinds import Fault
from tests.chaos.faults.world import World
from tests.waiting import let_time_pass
from workflows.limits import HEARTBEAT


async def kill(world: World, fault: Fault, victim: str) -> int:
    """SIGKILL to a process and its children; back is when it serves again."""
    del fault
    if victim.endswith("-worker"):
        worker = world.worker(victim)
        await asyncio.to_thread(worker.kill)
        await asyncio.to_thread(worker.start)
    else:
        await asyncio.to_thread(world.stack.kill, victim)
        await asyncio.to_thread(world.stack.start_server, victim)
    return 1


async def stop(world: World, fault: Fault, victim: str) -> int:
    """SIGSTOP, and SIGCONT later.

    Where the stop outlasts the heartbeat an understudy takes over meanwhile, so that the stopped worker
    comes back as a zombie beside it; then the understudy drains and goes.
    """
    worker = world.worker(victim)
    understudy = None
    if fault.lasts_seconds > HEARTBEAT.total_seconds():
        understudy = world.stack.understudy(worker.role)
        await asyncio.to_thread(understudy.start)
    try:
        with _stopped(worker):
            await let_time_pass(fault.lasts_seconds)
    finally:
        if understudy is not None:
            await asyncio.to_thread(understudy.stop)
    return 1


class _stopped:  # noqa: N801 - used as a context manager only
    """A worker and its children, standing still within the block."""

    def __init__(self, worker: WorkerProcess) -> None:
        pid = worker.process.pid
        self._family = [pid, *children(pid)] if pid else []

    def __enter__(self) -> None:
        self._signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, sign: signal.Signals) -> None:
        for pid in self._family:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
