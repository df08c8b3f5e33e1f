"""The commands of every recorded run stand in a file that people can read and compare."""

import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest
from temporalio.client import WorkflowHistory

from tests.replay.fingerprint import FINGERPRINTS, HISTORIES, committed, fingerprint
from tests.replay.remedy import REMEDY, difference
from tests.replay.test_replay import WORKFLOWS, named, replayer

RECORDED: Final = sorted(HISTORIES.glob("*/*.json"))
SAMPLE: Final = HISTORIES / "001" / "completed.json"


def recorded(path: Path) -> dict[str, Any]:
    """A history as it was recorded."""
    history: dict[str, Any] = json.loads(path.read_text())
    return history


def sealing(history: dict[str, Any]) -> dict[str, Any]:
    """What the run asked of the engine when it sealed its evidence."""
    asked = [each.get("activityTaskScheduledEventAttributes", {}) for each in history["events"]]
    fields: dict[str, Any] = next(
        each for each in asked if each.get("activityType") == {"name": "seal_evidence"}
    )
    return fields


@pytest.mark.parametrize("path", RECORDED, ids=named)
def test_history_has_its_fingerprint(path: Path) -> None:
    """What is committed for people to read is what the history holds."""
    assert committed(path.parent.name, path.stem) == fingerprint(recorded(path))


def test_every_fingerprint_has_its_history() -> None:
    """No fingerprint stands for a run that was never recorded."""
    told = {(path.parent.name, path.stem) for path in FINGERPRINTS.glob("*/*.txt")}
    assert told == {(path.parent.name, path.stem) for path in RECORDED}


@pytest.mark.parametrize(
    ("option", "changed"),
    [
        ("startToCloseTimeout", "60s"),
        ("heartbeatTimeout", "0s"),
        ("scheduleToStartTimeout", "0s"),
        ("retryPolicy", {"initialInterval": "1s", "backoffCoefficient": 2.0, "maximumAttempts": 2}),
        ("taskQueue", {"name": "custody"}),
    ],
)
async def test_changed_option_differs_where_replay_sees_nothing(option: str, changed: Any) -> None:
    """The same code replays over another timeout, retry policy or queue; only the fingerprint tells."""
    history = recorded(SAMPLE)
    other = copy.deepcopy(history)
    sealing(other)[option] = changed
    await replayer(*WORKFLOWS).replay_workflow(WorkflowHistory.from_json("completed", json.dumps(other)))
    place = next(n for n, line in enumerate(fingerprint(history), 1) if "seal_evidence" in line)
    said = difference("001/completed", fingerprint(history), fingerprint(other))
    assert (
        f"workflow ProvisionBatch sends other commands than recorded in 001/completed, first at line {place}:"
        in said
    )
    assert "  recorded: activity seal_evidence on provisioning: " in said
    assert "  today:    activity seal_evidence on " in said
    assert REMEDY in said


def test_command_more_and_command_less_are_told() -> None:
    """A command after the recorded end, or one that is gone, is named with its place."""
    lines = fingerprint(recorded(SAMPLE))
    more = difference("a", lines, [*lines, "timer new: 5s"])
    assert f"first at line {len(lines) + 1}:\n  recorded: (no command)\n  today:    timer new: 5s\n" in more
    less = difference("a", lines, lines[:-1])
    assert f"first at line {len(lines)}:\n  recorded: {lines[-1]}\n  today:    (no command)\n" in less
    assert difference("a", lines, lines) == ""
