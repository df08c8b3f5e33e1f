"""One batch of 10,000, started by three programs at once."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from temporalio.service import RPCError, RPCStatusCode

from infra.demo.cast import REQUESTER
from infra.devstack.state import REPOSITORY
from tests.integration.batch.after import RESULT_FIELDS
from tests.integration.batch.office import Json, Office
from tests.integration.batch.people import csv_of, people
from tests.waiting import eventually_async

SUBJECTS: Final = 10_000
ENDS_WITHIN: Final = 180.0


@dataclass(frozen=True, kw_only=True)
class Large:
    """The batch as each of its three starters saw it end, and its request file."""

    request: Json
    place: Path
    seen: list[Json]

    @property
    def batch_id(self) -> str:
        """Its id."""
        return str(self.request["batch_id"])


async def lived(office: Office) -> Large:
    """Gives the batch, ended, which Temporal has been told to forget."""
    batch_id = office.new_id("large")
    source = office.put_source(csv_of(people(batch_id, SUBJECTS)))
    rollout = {"waves_percent": [10, 100], "soak_seconds": 0}
    request = office.request(batch_id, source=source, rollout=rollout)
    place = office.stage.folder / f"{batch_id}.json"
    place.write_text(json.dumps(request))
    starting = asyncio.gather(
        by_command_line(office, place), by_temporal(office, place), _by_program(office, place)
    )
    await eventually_async(lambda: is_known(office, batch_id), 60, what="a start")
    await office.pass_gate(batch_id, "compliance")
    async with asyncio.timeout(ENDS_WITHIN):
        seen = list(await starting)
    deleted = await office.temporal("workflow", "delete", "--workflow-id", batch_id, "--yes")
    assert deleted.returncode == 0, deleted.stderr
    return Large(request=request, place=place, seen=seen)


async def by_command_line(office: Office, place: Path) -> Json:
    """What `walletworks submit` and then `watch` tell a script."""
    started = await office.walletworks(REQUESTER, "submit", str(place), "--json")
    assert started.returncode == 0, started.stderr
    batch_id = json.loads(started.stdout)["batch_id"]
    watched = await office.walletworks(REQUESTER, "watch", batch_id, "--json")
    assert watched.returncode == 0, watched.stderr
    status = json.loads(watched.stdout)
    return {name: status[name] for name in RESULT_FIELDS.split()}


async def by_temporal(office: Office, place: Path) -> Json:
    """What Temporal's own command line prints."""
    command = ["workflow", "execute", "--type", "ProvisionBatch", "--task-queue", "provisioning"]
    command += ["--workflow-id", place.stem, "--input-file", str(place), "--output", "json"]
    done = await office.temporal(*command)
    assert done.returncode == 0, done.stderr
    result: Json = json.loads(done.stdout)["result"]
    return result | {"reasons": result["reasons"] or []}  # it prints an empty list as null


async def _by_program(office: Office, place: Path) -> Json:
    """What a client in Python is given."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.integration.twice.starter", office.stack.temporal.address, str(place)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: Json = json.loads(done.stdout)
    return result


async def is_known(office: Office, batch_id: str) -> bool:
    """Whether Temporal has a run of the batch."""
    try:
        await office.handle(batch_id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
