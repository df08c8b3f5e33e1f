"""What a failing replay or fingerprint says: which workflow, where, what was recorded, what to do."""

import re
from typing import Any, Final

from tests.replay.fingerprint import command, workflow_type

REMEDY: Final = (
    "Batches that wait or run were begun by the recorded code and meet today's in the middle:\n"
    '  guard the change with workflow.patched("...") and record a new generation with\n'
    "  python -m tests.replay.record\n"
    "  or revert the change."
)

OPTIONS_ONLY: Final = (
    "A changed option alone (queue, timeout, retries) needs no guard: record a new generation, or revert it."
)

_SAID: Final = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_PLACE: Final = re.compile(r"HistoryEvent\(id: (\d+)")
_NOTHING: Final = "(no command)"


def difference(name: str, recorded: list[str], fresh: list[str]) -> str:
    """The first command in which two fingerprints differ, and the remedy; empty when none differs."""
    if recorded == fresh:
        return ""
    place = next(n for n in range(len(recorded) + 1) if recorded[n : n + 1] != fresh[n : n + 1])
    was, now = (next(iter(lines[place : place + 1]), _NOTHING) for lines in (recorded, fresh))
    return (
        f"{fresh[0]} sends other commands than recorded in {name}, first at line {place + 1}:\n"
        f"  recorded: {was}\n  today:    {now}\n{REMEDY}\n{OPTIONS_ONLY}"
    )


def broken_replay(name: str, history: dict[str, Any], error: BaseException) -> str:
    """Where today's code leaves a recorded history, and the remedy."""
    found = _SAID.search(str(error))
    said = found.group(1) if found else str(error)
    place = _PLACE.search(said)
    events = [event for event in history["events"] if place and event["eventId"] == place.group(1)]
    was = next((command(event) or event["eventType"] for event in events), "(see the engine's words)")
    where = f"event {place.group(1)}" if place else "an unknown event"
    return (
        f"workflow {workflow_type(history)} does not walk the recorded history {name} any more,"
        f" first at {where}:\n"
        f"  recorded: {was}\n  today:    {said}\n{REMEDY}"
    )
