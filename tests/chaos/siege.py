"""A long run: one large batch, and smaller ones after it until every planned fault has fallen."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from infra.demo.people import write_people
from infra.devstack import Stack
from tests.chaos.afterwards import look_back
from tests.chaos.answered import keep_answers
from tests.chaos.faults.kinds import Recovery
from tests.chaos.faults.plan import plan_storm
from tests.chaos.faults.storm import Storm
from tests.chaos.faults.world import World
from tests.chaos.options import Options
from tests.chaos.ordeal import endure, listed, world_on
from tests.chaos.outcome import Outcome
from tests.patience import Patience

FOLLOWING_SUBJECTS: Final = 2_000
"""Size of the batches that follow the first while faults are left."""

BATCHES_MAX: Final = 40
ENDS_WITHIN: Final = 7_200.0
CHAINS: Final = ("ethereum", "bsc", "polygon")
WAVES: Final = (1, 2, 5, 8, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 65, 70, 80, 90, 95, 100)
"""Per cent; as many waves as a request may have, so that there is much to be interrupted."""


async def besiege(
    stack: Stack, options: Options, told: Callable[[Recovery | str], None], outcome: Outcome
) -> None:
    """Runs everything on a running stack and fills in the outcome, also of a run that breaks off."""
    began = time.monotonic()
    async with world_on(stack, options.seed, real_disk=True) as world:
        outcome.disk = "a real one of 64 MiB" if world.full_disk else "SQLSTATE 53100 by a trigger"
        storm = Storm(world, plan_storm(options.seed, kills=options.kills, others=options.others), told=told)
        outcome.recoveries = storm.recoveries
        try:
            while len(outcome.batches) < BATCHES_MAX and (storm.left or not outcome.batches):
                await _one_batch(world, storm, options, told, outcome)
            await look_back(world, outcome, told)
            told(f"{options.answers:,} answers: killing who keeps them")
            lost = await keep_answers(world.office, options.answers, told)
            outcome.note("every answer was kept", lost)
        finally:
            outcome.seconds = time.monotonic() - began
        if storm.left:
            outcome.wrong["every planned fault fell"] = [f"{len(storm.left)} are left"]


async def _one_batch(
    world: World, storm: Storm, options: Options, told: Callable[[Recovery | str], None], outcome: Outcome
) -> None:
    number = len(outcome.batches) + 1
    subjects = FOLLOWING_SUBJECTS if outcome.batches else options.subjects
    world.batch_id = f"siege-{number}"
    people = world.office.stage.folder / f"{world.batch_id}.csv"
    write_people(people, subjects, seed=options.seed + number, prefix=f"S{number}")
    outcome.batches[world.batch_id] = subjects
    told(f"{world.batch_id}: {subjects:,} subjects, {len(storm.left)} faults to fall")
    await _start(world, await asyncio.to_thread(people.read_bytes))
    patience = Patience(world.office, world.batch_id, refuse=listed(people))
    await endure(storm, patience, within=ENDS_WITHIN)


async def _start(world: World, people: bytes) -> None:
    office = world.office
    request = office.request(
        world.batch_id,
        jurisdiction="SG",
        chains=list(CHAINS),
        source=office.put_source(people),
        rollout={"waves_percent": list(WAVES), "soak_seconds": 0, "approve_from_wave": 2},
    )
    await office.start(request)
