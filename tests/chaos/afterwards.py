"""What must hold when a long run is over: every invariant of every batch, its bundle, its workflows."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from temporalio.client import WorkflowExecutionStatus

from activities.evidence.restricted import load_identity
from activities.evidence.verify import verify_bundle
from activities.trust.trust_file import load_trust
from infra.auditor import verify_bundle as second_verifier
from infra.demo.cast import AUDITOR
from tests.chaos.faults.world import World
from tests.chaos.invariants import CHECKS
from tests.chaos.ordeal import case_of, inspector
from tests.chaos.outcome import Outcome
from tests.waiting import eventually_async

GOOD_ENDS = {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CONTINUED_AS_NEW}
CLOSES_WITHIN = 60.0


async def look_back(world: World, outcome: Outcome, told: Callable[[str], None]) -> None:
    """Makes every check on every batch and notes what it found."""
    for batch_id, subjects in outcome.batches.items():
        told(f"{batch_id}: checking what must hold")
        outcome.note("every workflow ended well", await _workflows(world, batch_id), of=batch_id)
        await asyncio.to_thread(_check_store, world, outcome, batch_id, subjects)
        await asyncio.to_thread(_check_bundle, world, outcome, batch_id)
    refused = world.receiver.refused
    outcome.note("every call to the receiver was signed", [f"{refused} were not"] if refused else [])


def _check_store(world: World, outcome: Outcome, batch_id: str, subjects: int) -> None:
    with inspector(world) as connection:
        case = case_of(world, connection, batch_id=batch_id, subjects=subjects)
        for check in CHECKS:
            outcome.note(check.__name__.replace("_", " "), list(check(case)), of=batch_id)


def _check_bundle(world: World, outcome: Outcome, batch_id: str) -> None:
    bundle = world.stack.state_dir / "objects" / "batches" / batch_id / "bundle.zip"
    outcome.note("bundle verifies", list(_unverified(world, bundle)), of=batch_id)
    outcome.note(
        "bundle verifies by the second verifier", list(_unverified_again(world, bundle)), of=batch_id
    )


def _unverified(world: World, bundle: Path) -> Iterator[str]:
    stage = world.office.stage
    identity = load_identity(stage.key(AUDITOR))
    report = verify_bundle(bundle, load_trust(stage.auditor_trust), restricted_identity=identity)
    if not report.ok:
        yield from (f"{each}" for each in report.checks if each.status != "ok")


def _unverified_again(world: World, bundle: Path) -> Iterator[str]:
    """In a process of its own, as an auditor runs it."""
    command = [sys.executable, str(Path(second_verifier.__file__)), str(bundle), "--json"]
    command += ["--trust", str(world.office.stage.auditor_trust)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        try:
            yield from (str(each) for each in json.loads(done.stdout)["checks"] if "ok" not in str(each))
        except ValueError:
            yield done.stderr[-500:]
        yield f"exit code {done.returncode}"


async def _workflows(world: World, batch_id: str) -> list[str]:
    query = f"WorkflowId = '{batch_id}' OR WorkflowId STARTS_WITH '{batch_id}/'"

    async def all_closed() -> dict[str, WorkflowExecutionStatus | None] | None:
        found = {each.id: each.status async for each in world.office.client.list_workflows(query)}
        return found if found and WorkflowExecutionStatus.RUNNING not in found.values() else None

    found = await eventually_async(all_closed, CLOSES_WITHIN, what="no open workflow")
    return [f"{name} ended {status}" for name, status in (found or {}).items() if status not in GOOD_ENDS]
