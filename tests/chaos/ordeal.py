"""One batch on a stack of its own while everything under it is killed and hurt; and what was seen of it."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import namedtuple_row
from temporalio.client import Client

from activities.custody.second_path_run import KeyServiceAddress
from activities.store.database import Database
from infra.demo.people import NEAR_MATCHES, write_people
from infra.demo.staging import set_stage
from infra.devstack import Stack
from infra.devstack.process import children
from tests.chaos.case import Case
from tests.chaos.faults.disk import put_tables_on_small_disk, take_small_disk_away
from tests.chaos.faults.kinds import Recovery
from tests.chaos.faults.plan import plan_ordeal
from tests.chaos.faults.storm import Storm
from tests.chaos.faults.world import World
from tests.integration.batch.office import Json, Office
from tests.patience import ENDS_WITHIN, Patience
from tests.waiting import let_time_pass

SUBJECTS: Final = 2000
BATCH: Final = "ordeal"
SEED_VARIABLE: Final = "WALLETWORKS_CHAOS_SEED"

_GLANCE_SECONDS: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Ordeal:
    """What came of it; `glances` holds every command line and environment of our workers."""

    world: World
    seed: int
    people: Path
    status: Json
    recoveries: list[Recovery]
    seconds: float
    glances: frozenset[bytes]

    @property
    def office(self) -> Office:
        """Everybody around the batch."""
        return self.world.office

    @property
    def stack(self) -> Stack:
        """The stack it happened on."""
        return self.world.stack

    def summary(self) -> str:
        """What it was and how long each recovery took, by lines."""
        lines = [f"{SEED_VARIABLE}={self.seed}: {self.seconds:.1f} s", *map(str, self.recoveries)]
        return "\n".join(lines)

    def admin(self) -> "psycopg.Connection[Any]":
        """A connection to the store that may do everything."""
        return inspector(self.world)

    def case(self, connection: "psycopg.Connection[Any]") -> Case:
        """The batch for the invariants."""
        return case_of(self.world, connection, batch_id=BATCH, subjects=SUBJECTS)


def inspector(world: World) -> "psycopg.Connection[Any]":
    """A connection to the store that may do everything and gives rows by name."""
    url = world.stack.postgres.admin_url().rpartition("/")[0] + "/walletworks"
    return psycopg.connect(url, row_factory=namedtuple_row)


def case_of(world: World, connection: "psycopg.Connection[Any]", *, batch_id: str, subjects: int) -> Case:
    """An ended batch for the invariants."""
    token = world.stack.state_dir / "secrets" / "custody" / "vault_token"
    (batch,) = connection.execute("SELECT batch_no FROM batches WHERE batch_id = %s", [batch_id]).fetchall()
    return Case(
        connection=connection,
        batch_id=batch_id,
        batch_no=batch.batch_no,
        subject_count=subjects,
        key_service=KeyServiceAddress(address=world.stack.openbao.address, token_file=token),
        stage=world.office.stage,
        received=world.receiver.received,
    )


def chosen_seed() -> int:
    """The seed of this run: the given one, else any."""
    return int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(10**6))


@asynccontextmanager
async def world_on(stack: Stack, seed: int, *, real_disk: bool = False) -> AsyncIterator[World]:
    """People, workers behind proxies, and a receiver around a running stack.

    With `real_disk` some tables move to a small disk that can be filled, where mounting is allowed.
    """
    stage = set_stage(stack)
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    world = World.around(Office(stack=stack, stage=stage, client=client, owner=owner), seed)
    try:
        if real_disk:
            put_tables_on_small_disk(world)
        stack.start_workers()
        yield world
    finally:
        stack.stop_workers()
        world.close()
        owner.close()
        if world.full_disk is not None:
            stack.stop()
            take_small_disk_away(world)


@asynccontextmanager
async def ordeal_on(stack: Stack, seed: int) -> AsyncIterator[Ordeal]:
    """Runs the batch through the storm; the stack still runs afterwards."""
    async with world_on(stack, seed) as world:
        yield await _endure(world, seed)


async def _endure(world: World, seed: int) -> Ordeal:
    office = world.office
    people = office.stage.folder / "ordeal.csv"
    write_people(people, SUBJECTS, seed=seed)
    began = time.monotonic()
    rollout = {"waves_percent": [1, 10, 50, 100], "soak_seconds": 0, "approve_from_wave": 2}
    source = office.put_source(people.read_bytes())
    await office.start(office.request(BATCH, jurisdiction="SG", source=source, rollout=rollout))
    world.batch_id = BATCH
    storm = Storm(world, plan_ordeal(seed))
    glances: set[bytes] = set()
    watch = asyncio.create_task(_glance(office.stack, glances))
    try:
        patience = Patience(office, BATCH, refuse=listed(people))
        status = await endure(storm, patience)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
    return Ordeal(
        world=world,
        seed=seed,
        people=people,
        status=status,
        recoveries=storm.recoveries,
        seconds=time.monotonic() - began,
        glances=frozenset(glances),
    )


async def endure(storm: Storm, patience: Patience, *, within: float = ENDS_WITHIN) -> Json:
    """Carries one batch through the storm; the first of both to fail ends it. Gives the last status."""
    raging = asyncio.create_task(storm.rage())
    carried = asyncio.create_task(patience.carry_through(within=within))
    try:
        await asyncio.gather(raging, carried)
    finally:
        raging.cancel()
        carried.cancel()
        await asyncio.gather(raging, carried, return_exceptions=True)
    return carried.result()


def listed(people: Path) -> frozenset[int]:
    """The ordinal of the one subject that is the listed person himself."""
    rows = people.read_text().splitlines()[1:]
    return frozenset(at for at, row in enumerate(rows) if NEAR_MATCHES[-1].full_name in row)


async def _glance(stack: Stack, seen: set[bytes]) -> None:
    """Keeps every command line and environment that our workers and their children ever show."""
    while True:
        await asyncio.to_thread(_glance_once, stack, seen)
        await let_time_pass(_GLANCE_SECONDS)


def _glance_once(stack: Stack, seen: set[bytes]) -> None:
    pids = [worker.process.pid for worker in stack.workers]
    family = [member for pid in pids if pid for member in (pid, *children(pid))]
    for pid in family:
        for shown in ("cmdline", "environ"):
            with suppress(OSError):  # ended meanwhile, or closed to everybody but root
                seen.add(Path(f"/proc/{pid}/{shown}").read_bytes())
