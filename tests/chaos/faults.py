"""Faults: what is killed, when, and how it comes back; one seed decides all of it.

Knows nothing of what must hold afterwards: that is the invariants' concern.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from infra.devstack import Stack
from tests.waiting import eventually_async, let_time_pass

MARKS: Final = (
    "batch.claimed",
    "batch.planned",
    "gate.closed",
    "lists.pinned",
    "evidence.sealed",
    "keyring.intent",
    "keyring.opened",
    "range.verified",
    "wave.opened",
    "wave.closed",
    "hold.settled",
)
"""Entries of a batch's audit log in the order in which they first appear: the moments of a blow."""

WHEN_AT_WORK: Final[Mapping[str, tuple[str, ...]]] = {
    "provisioning-worker": MARKS,
    "custody-worker": ("evidence.sealed", "keyring.intent", "keyring.opened"),
    "temporal": MARKS,
    "postgres": MARKS,
}
"""What is killed, and the moments at which it has something to lose."""

DELAY_SECONDS_MAX: Final = 0.4
"""After its moment a blow falls somewhere within the work that follows."""

RECOVERS_WITHIN: Final = 60.0
"""Seconds; the longest timeout on the way is the ten seconds of a lost heartbeat."""

MOMENT_WITHIN: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """One `kill -9`: whom it hits, after which entry of the audit log, and how long after it."""

    victim: str
    mark: str
    delay_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What came of a blow: seconds until the victim was back, and until the batch went on."""

    blow: Blow
    back_seconds: float
    progress_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.blow.victim:20} killed {self.blow.delay_seconds:.2f} s after {self.blow.mark:16}"
            f" back after {self.back_seconds:5.1f} s, batch went on after {self.progress_seconds:5.1f} s"
        )


def plan_blows(seed: int) -> list[Blow]:
    """Gives one blow for each victim in the order of their moments; the same seed gives the same blows."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable plan, nothing secret
    blows = [
        Blow(victim=victim, mark=chance.choice(marks), delay_seconds=chance.uniform(0, DELAY_SECONDS_MAX))
        for victim, marks in WHEN_AT_WORK.items()
    ]
    chance.shuffle(blows)
    return sorted(blows, key=lambda blow: MARKS.index(blow.mark))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a batch has come, by its audit log."""

    entries: int = 0
    kinds: frozenset[str] = frozenset()
    ended: bool = False


class Storm:
    """The blows that fall on one stack while one batch goes its way."""

    def __init__(self, stack: Stack, batch_id: str) -> None:
        self._stack = stack
        self._batch_id = batch_id
        self._connection: psycopg.Connection[Any] | None = None

    async def rage(self, blows: list[Blow]) -> list[Recovery]:
        """Lets the blows fall, each after the first progress since the last; gives how each was survived."""
        try:
            return [await self._strike(blow) for blow in blows]
        finally:
            self._forget_connection()

    async def _strike(self, blow: Blow) -> Recovery:
        await self._until(lambda seen: blow.mark in seen.kinds, MOMENT_WITHIN, what=blow.mark)
        await let_time_pass(blow.delay_seconds)
        struck = time.monotonic()
        kill, bring_back = self._hands_on(blow.victim)
        await asyncio.to_thread(kill)
        await asyncio.to_thread(bring_back)
        back = time.monotonic() - struck
        at = await self._until(lambda _: True, RECOVERS_WITHIN, what="the database")
        await self._until(
            lambda seen: seen.ended or seen.entries > at.entries,
            RECOVERS_WITHIN,
            what=f"progress after {blow.victim} was killed",
        )
        return Recovery(blow=blow, back_seconds=back, progress_seconds=time.monotonic() - struck)

    def _hands_on(self, victim: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
        for worker in self._stack.workers:
            if worker.name == victim:
                return worker.kill, worker.start
        return lambda: self._stack.kill(victim), lambda: self._stack.start_server(victim)

    async def _until(self, reached: Callable[[Progress], bool], seconds: float, *, what: str) -> Progress:
        async def look() -> Progress | None:
            seen = await asyncio.to_thread(self._look)
            return seen if seen is not None and reached(seen) else None

        found = await eventually_async(look, seconds, what=what)
        assert found is not None
        return found

    def _look(self) -> Progress | None:
        """How far the batch is; nothing while the database cannot say."""
        try:
            if self._connection is None:
                url = self._stack.database_url("owner")
                self._connection = psycopg.connect(url, autocommit=True, connect_timeout=5)
            row = self._connection.execute(_PROGRESS, {"chain": f"batch/{self._batch_id}"}).fetchone()
        except psycopg.OperationalError:
            self._forget_connection()
            return None
        assert row is not None
        return Progress(entries=row[0], kinds=frozenset(row[1]), ended=row[2])

    def _forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_PROGRESS: Final = """
    SELECT count(*), coalesce(array_agg(DISTINCT body::jsonb->>'kind'), '{}'),
           coalesce(bool_or(body::jsonb->>'kind' = 'batch.ended'), false)
    FROM audit_entries WHERE chain = %(chain)s OR chain LIKE %(chain)s || '/%%'
"""
