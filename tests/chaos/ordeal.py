"""One batch on a stack of its own while everything under it is killed once; and what was seen on the way."""

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
from tests.chaos.faults import Recovery, Storm, plan_blows
from tests.integration.batch.office import Json, Office
from tests.patience import Patience
from tests.waiting import let_time_pass

SUBJECTS: Final = 2000
BATCH: Final = "ordeal"
SEED_VARIABLE: Final = "WALLETWORKS_CHAOS_SEED"

_GLANCE_SECONDS: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Ordeal:
    """What came of it; `glances` holds every command line and environment of our workers."""

    office: Office
    seed: int
    people: Path
    status: Json
    recoveries: list[Recovery]
    seconds: float
    glances: frozenset[bytes]

    @property
    def stack(self) -> Stack:
        """The stack it happened on."""
        return self.office.stack

    def admin(self) -> "psycopg.Connection[Any]":
        """A connection to the store that may do everything."""
        url = self.stack.postgres.admin_url().rpartition("/")[0] + "/walletworks"
        return psycopg.connect(url, row_factory=namedtuple_row)

    def case(self, connection: "psycopg.Connection[Any]") -> Case:
        """The batch for the invariants."""
        token = self.stack.state_dir / "secrets" / "custody" / "vault_token"
        (batch,) = connection.execute("SELECT batch_no FROM batches WHERE batch_id = %s", [BATCH]).fetchall()
        return Case(
            connection=connection,
            batch_id=BATCH,
            batch_no=batch.batch_no,
            subject_count=SUBJECTS,
            key_service=KeyServiceAddress(address=self.stack.openbao.address, token_file=token),
            stage=self.office.stage,
        )


def chosen_seed() -> int:
    """The seed of this run: the given one, else any."""
    return int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(10**6))


@asynccontextmanager
async def ordeal_on(stack: Stack, seed: int) -> AsyncIterator[Ordeal]:
    """Runs the batch through the storm; the stack still runs afterwards."""
    stage = set_stage(stack)
    stack.start_workers()
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    office = Office(stack=stack, stage=stage, client=client, owner=owner)
    try:
        yield await _endure(office, seed)
    finally:
        owner.close()


async def _endure(office: Office, seed: int) -> Ordeal:
    people = office.stage.folder / "ordeal.csv"
    write_people(people, SUBJECTS, seed=seed)
    began = time.monotonic()
    rollout = {"waves_percent": [1, 10, 50, 100], "soak_seconds": 0, "approve_from_wave": 2}
    source = office.put_source(people.read_bytes())
    await office.start(office.request(BATCH, jurisdiction="SG", source=source, rollout=rollout))
    storm = asyncio.create_task(Storm(office.stack, BATCH).rage(plan_blows(seed)))
    glances: set[bytes] = set()
    watch = asyncio.create_task(_glance(office.stack, glances))
    try:
        patience = Patience(office, BATCH, refuse=_listed(people))
        status = await patience.carry_through()
        recoveries = await storm
    finally:
        watch.cancel()
        storm.cancel()
        await asyncio.gather(watch, storm, return_exceptions=True)
    return Ordeal(
        office=office,
        seed=seed,
        people=people,
        status=status,
        recoveries=recoveries,
        seconds=time.monotonic() - began,
        glances=frozenset(glances),
    )


def _listed(people: Path) -> frozenset[int]:
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
