"""The drill of `WorkerDied`: a worker is killed in the middle of a batch, and its runbook makes it whole."""

import os
import re
import subprocess
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from activities.store.database import Database
from infra.demo.staging import set_stage
from infra.devstack import Stack
from infra.devstack.temporal import temporal_binary
from tests.integration.batch.office import Office
from tests.integration.hold_up import hold_up
from tests.runbooks.markdown import ROOT, runbooks
from tests.waiting import eventually

RUNBOOK = runbooks()["WorkerDied"]
SUBJECTS = 40


@pytest.fixture
async def office(stack: Stack) -> AsyncIterator[Office]:
    """The people around a batch and both workers of the stack."""
    stage = set_stage(stack)
    stack.start_workers()
    owner = Database(stack.database_url("owner"))
    client = await Client.connect(stack.temporal.address, namespace=stack.temporal.namespace)
    yield Office(stack=stack, stage=stage, client=client, owner=owner)
    owner.close()
    stack.stop_workers()


async def test_batch_is_whole_after_the_runbook(office: Office) -> None:
    """The kill hits a slice at work; the commands find it, start a worker, and the batch ends complete."""
    batch_id = office.new_id("died")
    (worker,) = (each for each in office.stack.workers if each.role == "provisioning")
    await office.start(office.request(batch_id, subjects=SUBJECTS))
    await office.at_gate(batch_id, "compliance")
    with hold_up(office.stack, "subjects") as is_held_up:
        await office.pass_gate(batch_id, "compliance")
        eventually(is_held_up, 30, what="a step at work")
        worker.kill()
    found = [run(office, batch_id, block, expected=(0, 3)) for block in RUNBOOK.blocks("Diagnosis")]
    assert re.search(r"^provisioning-worker +dead ", found[0], re.MULTILINE)
    assert "LastAccessTime" in found[1]
    assert batch_id in found[2]
    started = [run(office, batch_id, block) for block in RUNBOOK.blocks("Mitigation")]
    assert re.search(r"^provisioning-worker +polling .*\(started\)$", started[0], re.MULTILINE)
    for block in RUNBOOK.blocks("Verify"):
        run(office, batch_id, block)
    await office.until_ended(batch_id)
    assert office.states(batch_id) == {"active": SUBJECTS}
    slices = office.rows(
        "SELECT stage, slice_index, count(*) AS n FROM slices JOIN batches USING (batch_no)"
        " WHERE batch_id = :id GROUP BY stage, slice_index",
        id=batch_id,
    )
    assert {row.n for row in slices} == {1}


def run(office: Office, batch_id: str, block: str, *, expected: tuple[int, ...] = (0,)) -> str:
    """Pastes a block into a shell as the runbooks' README sets it up; gives what it printed."""
    path = f"{temporal_binary().parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", block],
        cwd=ROOT,
        env=os.environ | office.stack.environment() | {"PATH": path, "BATCH": batch_id},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in expected, f"{block}{done.stdout}{done.stderr}"
    return done.stdout
