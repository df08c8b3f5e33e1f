"""Connections to the database: cut at any time, and cut between a commit and its answer."""

import asyncio

from tests.chaos.faults.kinds import Fault
from tests.chaos.faults.world import World
from tests.waiting import let_time_pass

_CUT_EVERY_SECONDS = 0.2
_COMMIT_WITHIN_SECONDS = 15.0


async def cut_at_any_time(world: World, fault: Fault, victim: str) -> int:
    """The server ends every session of our workers, again and again while the fault lasts."""
    del victim
    bites = 0
    for _ in range(1 + int(fault.lasts_seconds / _CUT_EVERY_SECONDS)):
        bites += await asyncio.to_thread(_cut_once, world)
        await let_time_pass(_CUT_EVERY_SECONDS)
    return bites


async def cut_after_commit(world: World, fault: Fault, victim: str) -> int:
    """The server has committed, the worker is never told; up to three times, as many as there are commits."""
    del fault, victim
    before = world.cutter.cuts
    for _ in range(3):
        world.cutter.arm()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _COMMIT_WITHIN_SECONDS
    while world.cutter.cuts == before and loop.time() < deadline:
        await let_time_pass(0.05)
    world.cutter.disarm()
    return world.cutter.cuts - before


def _cut_once(world: World) -> int:
    with world.admin() as connection:
        return connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename IN ('walletworks_provisioning', 'walletworks_custody')"
        ).rowcount
