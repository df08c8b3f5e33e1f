"""Today's workflows still walk every recorded history."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from temporalio import workflow
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.client import WorkflowHistory
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from tests.replay.broken import IdleShard, SleepyBatch
from tests.replay.fingerprint import HISTORIES
from tests.replay.remedy import REMEDY, broken_replay
from workers.__main__ import PURE_MODULES
from workers.raw_inputs import RAW_INPUTS
from workers.roster import role_named

RECORDED: Final = sorted(HISTORIES.glob("*/*.json"))
WORKFLOWS: Final = role_named("provisioning").workflows
STAGES: Final = {"screen", "derive", "activate"}

UNREAD: Final = "invalid"
"""The scene that ends before its first command: any code walks it."""

BROKEN_TRIED: Final = 5

MACHINE: Final = re.compile(r"(?<![\w.-])/(?:home|root|work|tmp|Users|opt|srv|usr)/|\w@\d+@|\d+@\w")
"""Paths and process names of some machine; the recording's own folder is none of these."""


def named(path: Path) -> str:
    """How a history is called in the report."""
    return f"{path.parent.name}/{path.stem}"


def replayer(*workflows: type) -> Replayer:
    """A replayer set up like the workers."""
    return Replayer(
        workflows=workflows,
        data_converter=RAW_INPUTS,
        interceptors=[TracingInterceptor()],
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules(*PURE_MODULES)
        ),
    )


def history(path: Path) -> WorkflowHistory:
    """One recorded history, under the id that it ran under: workflows look at theirs."""
    recorded = json.loads(path.read_text())
    attributes = recorded["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(attributes["workflowId"], recorded)


def told(path: Path, error: BaseException) -> str:
    """What a replay that fails says to whoever has edited a workflow."""
    return broken_replay(named(path), json.loads(path.read_text()), error)


def begun(path: Path) -> WorkflowExecutionStartedEventAttributes:
    """What the recorded run was started with."""
    return history(path).events[0].workflow_execution_started_event_attributes


def payloads(recorded: Any) -> Iterator[str]:
    """Every payload of a recorded history as text."""
    if isinstance(recorded, dict):
        if "metadata" in recorded and "data" in recorded:
            yield base64.b64decode(recorded["data"]).decode(errors="replace")
        for value in recorded.values():
            yield from payloads(value)
    if isinstance(recorded, list):
        for value in recorded:
            yield from payloads(value)


@pytest.mark.parametrize("path", RECORDED, ids=named)
async def test_recorded_history_replays(path: Path) -> None:
    """No change of code may take another way than a running batch has gone."""
    try:
        await replayer(*WORKFLOWS).replay_workflow(history(path))
    except workflow.NondeterminismError as error:
        pytest.fail(told(path, error), pytrace=False)


@pytest.mark.parametrize("broken", [SleepyBatch, IdleShard], ids=lambda broken: broken.__name__)
async def test_workflow_that_decides_otherwise_does_not_replay(broken: type) -> None:
    """A replay that could not fail would guard nothing: histories of the type refuse the wrong code."""
    name = workflow._Definition.must_from_class(broken).name
    paths = [path for path in RECORDED if begun(path).workflow_type.name == name]
    guarded = [path for path in paths if path.stem != UNREAD][:BROKEN_TRIED]
    assert guarded
    for path in guarded:
        with pytest.raises(workflow.NondeterminismError) as failed:
            await replayer(broken).replay_workflow(history(path))
        said = told(path, failed.value)
        assert said.startswith(f"workflow {name} does not walk the recorded history {named(path)} any more")
        assert re.search(r"first at event \d+:\n  recorded: (search-attributes|activity) ", said), said
        assert said.endswith(REMEDY)


def test_every_workflow_and_every_stage_of_a_shard_is_recorded() -> None:
    """Histories exist of each workflow type, of each stage, and of a batch that continued as new."""
    starts = [begun(path) for path in RECORDED]
    registered = {workflow._Definition.must_from_class(each).name for each in WORKFLOWS}
    assert {start.workflow_type.name for start in starts} == registered
    assert any(start.continued_execution_run_id for start in starts)
    shards = [start for start in starts if start.workflow_type.name == "ProvisionShard"]
    assert {json.loads(start.input.payloads[0].data)["stage"] for start in shards} == STAGES


@pytest.mark.parametrize("path", RECORDED, ids=named)
def test_recorded_history_names_no_machine(path: Path) -> None:
    """A history in the repository tells nothing of the machine that recorded it, payloads included."""
    text = path.read_text()
    assert not [found for part in (text, *payloads(json.loads(text))) if (found := MACHINE.search(part))]


def test_machine_would_be_found() -> None:
    """The search above finds what it is for, and lets the recording's own folder pass."""
    assert MACHINE.search(f'"/{"home"}/lee/walletworks/workflows/steps.py"')
    assert MACHINE.search("provisioning@4711@host")
    assert not MACHINE.search("file:///var/tmp/walletworks-replay/objects/batches/one/plan.json")
