"""Slices whose worker was stopped, and which come back after their batch was undone."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from infra.devstack.state import StateFolder
from infra.devstack.workers import ROLES, WorkerProcess
from tests.integration.batch.office import Json, Office, all_of
from tests.integration.twice.odd_process import Line, OddProcess
from tests.integration.twice.odd_worker import DECIDES_ONLY
from tests.integration.twice.witness import Change, Witness
from tests.waiting import eventually_async

STAGE_OF: Final = {
    "screen_slice": "screen",
    "activate_slice": "wave/1",
    "derive_slice": "derive",
    "verify_range": "verify",
}
"""The stage under which each activity records its slices."""

REFUSED: Final = Change("audit_entries", "INSERT", "custody.refused")
"""What a late task meets at custody's door; told on a chain of custody's own."""

COMES_TO_IT_WITHIN: Final = 90.0
UNDONE_WITHIN: Final = 120.0
"""Seconds; an idle machine needs about a quarter of it."""


@dataclass(kw_only=True)
class Zombie:
    """One batch, and the moment of one of its slices at which its worker is stopped."""

    activity: str
    moment: str
    batch_id: str = ""
    status: Json = field(default_factory=dict)
    came_to: str = ""
    """What the stopped attempt came to: `effect` or the type of its error."""

    committed: bool = False
    """Whether the slice is on record, by the witness."""

    undone_seconds: float = 0.0
    """From the cancellation to the end of the batch."""

    changed_late: Counter[Change] = field(default_factory=Counter)
    """What changed after the batch had ended."""

    def __str__(self) -> str:
        return (
            f"{self.activity:15} stopped {self.moment:6} undone after {self.undone_seconds:5.1f} s,"
            f" {'committed' if self.committed else 'not committed'}, came to {self.came_to},"
            f" changed late: {sum(self.changed_late.values())}"
        )


class Graveyard:
    """Stops workers in the middle of slices and lets them come back, on the office's servers.

    No other worker may run meanwhile; two survivors are started here, once all have come to their moments.
    """

    def __init__(self, office: Office, witness: Witness, folder: Path) -> None:
        self._office = office
        self._witness = witness
        self._folder = folder
        self._ends = ExitStack()
        self._stopped: list[OddProcess] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends every worker started here."""
        await asyncio.to_thread(self._ends.close)

    async def bury(self, zombies: Sequence[Zombie], *, stopped_seconds: float = 0.0) -> None:
        """Fills in what became of every zombie; the survivors go on until the graveyard is left.

        Their workers stay stopped until every batch is undone whose fence is free, and for `stopped_seconds`
        at least; with that given, until all are.
        """
        await asyncio.to_thread(self._start_workers)
        await all_of(*(self._to_its_moment(zombie) for zombie in zombies))
        await asyncio.to_thread(self._start_survivors)
        for process in self._stopped:
            process.stop()
        began = time.monotonic()
        leaving = {z.batch_id: asyncio.create_task(self._leave(z)) for z in zombies}
        first = [z for z in zombies if stopped_seconds or z.moment != "within"]
        await all_of(*(leaving[z.batch_id] for z in first))
        await self._stay_stopped(began + stopped_seconds)
        seen = {z.batch_id: self._witness.changes(z.batch_id) for z in first}
        for process in self._stopped:
            process.go_on()
        await all_of(*leaving.values(), *(self._come_back(zombie) for zombie in zombies))
        for zombie in zombies:
            changes = self._witness.changes(zombie.batch_id)
            zombie.committed = changes[Change("slices", "INSERT", STAGE_OF[zombie.activity])] == 1
            zombie.changed_late = changes - seen.get(zombie.batch_id, changes)
            del zombie.changed_late[REFUSED]

    def _start_workers(self) -> None:
        settings = self._office.stack.settings_path
        every = [
            OddProcess(role, "waiting", settings=settings, folder=self._folder)
            for role in (DECIDES_ONLY, *ROLES)
        ]
        for process in every:
            self._ends.callback(process.end)
        for process in every:
            process.until_polling()
        self._stopped = every[1:]

    def _start_survivors(self) -> None:
        folder = StateFolder(self._office.stack.state_dir)
        survivors = [WorkerProcess(role, folder, copy=2) for role in ROLES]
        for worker in survivors:
            self._ends.callback(worker.stop)
            worker.launch()
        for worker in survivors:
            worker.await_polling()

    async def _to_its_moment(self, zombie: Zombie) -> None:
        word = f"z-{zombie.activity.replace('_', '-')}-{zombie.moment}"
        zombie.batch_id = self._office.new_id(word)
        await self._office.start(self._office.request(zombie.batch_id))
        await self._office.pass_gate(zombie.batch_id, "compliance")
        await self._until_told(zombie, "reached")

    async def _leave(self, zombie: Zombie) -> None:
        began = time.monotonic()
        await self._office.handle(zombie.batch_id).cancel()
        zombie.status = await self._office.until(
            zombie.batch_id, lambda s: bool(s["stage"] == "ended"), what="its end", seconds=UNDONE_WITHIN
        )
        zombie.undone_seconds = time.monotonic() - began

    async def _stay_stopped(self, until: float) -> None:
        async def is_over() -> bool:
            return time.monotonic() >= until

        await eventually_async(is_over, until - time.monotonic() + 10, what="the end of the stop")

    async def _come_back(self, zombie: Zombie) -> None:
        (last, *_) = await self._until_told(zombie, "done")
        zombie.came_to = str(last["done"])

    async def _until_told(self, zombie: Zombie, what: str) -> list[Line]:
        """The lines of the very attempt that was stopped."""

        async def look() -> list[Line]:
            return self._lines_of(zombie, what)

        return await eventually_async(look, COMES_TO_IT_WITHIN, what=f"{zombie.batch_id} {what}")

    def _lines_of(self, zombie: Zombie, what: str) -> list[Line]:
        def is_of(line: Line) -> bool:
            own = str(line.get("workflow", "")).startswith(f"{zombie.batch_id}/")
            return own and line["activity"] == zombie.activity and what in line

        return [line for process in self._stopped for line in process.told(is_of)]


def zombies_of(pairs: Iterable[tuple[str, str]]) -> list[Zombie]:
    """One zombie for each activity and moment."""
    return [Zombie(activity=activity, moment=moment) for activity, moment in pairs]


def left_behind(zombie: Zombie) -> dict[str, int]:
    """The wallets by state that must be left of a batch of five whose first wave is one of them."""
    match zombie.activity:
        case "screen_slice":
            return {}
        case "derive_slice":
            return {"revoked": 5} if zombie.committed else {}
        case "activate_slice" if zombie.committed:
            return {"frozen": 1, "revoked": 4}
        case _:
            return {"revoked": 5}
