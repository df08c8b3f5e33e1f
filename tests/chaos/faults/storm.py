"""The faults that fall on one stack while its batches go their way."""

import asyncio
import time
from collections.abc import Callable, Iterable

from tests.chaos.faults.kinds import Fault, Recovery, hurts_now
from tests.chaos.faults.plan import HANDS
from tests.chaos.faults.progress import Progress, Watch
from tests.chaos.faults.world import World
from tests.waiting import eventually_async, let_time_pass

RECOVERS_WITHIN = 120.0
"""Seconds; the longest wait on the way is the thirty of a retry that has waited for a service before."""

MOMENT_WITHIN = 120.0


class Storm:
    """What is left to fall, and how each fault that fell was survived."""

    def __init__(
        self, world: World, faults: Iterable[Fault], *, told: Callable[[Recovery], None] = lambda _: None
    ) -> None:
        self._world = world
        self._told = told
        self._watch = Watch(world)
        self.left = list(faults)
        self.recoveries: list[Recovery] = []

    async def rage(self) -> None:
        """Lets faults fall, each after the first progress since the last, until none is left or it ended."""
        try:
            outcomes = 0
            while self.left and (at := await self._moment(outcomes)):
                recovery, outcomes = await self._strike(self._next(at), at)
                self.recoveries.append(recovery)
                self._told(recovery)
        finally:
            self._watch.close()

    async def _moment(self, outcomes: int) -> Progress | None:
        """The batch at the moment of the next fault; nothing when it ended before."""
        mark = self.left[0].mark

        def has_come(seen: Progress) -> bool:
            if mark:
                return seen.ended or mark in seen.kinds
            return seen.ended or (seen.outcomes > outcomes and self._fitting(seen) is not None)

        at = await self._until(has_come, MOMENT_WITHIN, what=mark or "progress since the last fault")
        return None if at.ended and not mark else at

    def _fitting(self, at: Progress) -> Fault | None:
        """The first fault that would hurt a batch that has come so far."""
        return next((each for each in self.left if each.mark or hurts_now(each, at.kinds)), None)

    def _next(self, at: Progress) -> Fault:
        fault = self._fitting(at)
        assert fault is not None
        self.left.remove(fault)
        return fault

    async def _strike(self, fault: Fault, at: Progress) -> tuple[Recovery, int]:
        await let_time_pass(fault.delay_seconds)
        victim = self._world.resolve(fault.victim, at.kinds)
        struck = time.monotonic()
        bites = await HANDS[fault.kind](self._world, fault, victim)
        back = time.monotonic() - struck
        left = await self._until(lambda _: True, RECOVERS_WITHIN, what="the database")
        await self._until(
            lambda seen: seen.ended or seen.outcomes > left.outcomes,
            RECOVERS_WITHIN,
            what=f"progress after {victim} {fault.kind}",
        )
        recovery = Recovery(
            fault=fault,
            batch_id=self._world.batch_id,
            victim=victim,
            back_seconds=back,
            progress_seconds=time.monotonic() - struck,
            bites=bites,
        )
        # What made it go on is the first progress since this fault: the next may fall at once.
        return recovery, left.outcomes

    async def _until(self, reached: Callable[[Progress], bool], seconds: float, *, what: str) -> Progress:
        async def look() -> Progress | None:
            seen = await asyncio.to_thread(self._watch.look)
            return seen if seen is not None and reached(seen) else None

        found = await eventually_async(look, seconds, what=what)
        assert found is not None
        return found
