"""What a recorded run asked of the engine, as text to read and compare: `python -m tests.replay.fingerprint`.

A line per distinct command in the order of first appearance: type, name, queue, timeouts, retries. Ids,
payloads and counts are left out, so that two runs of one scene give the same text. Replay finds a command
that is missing, added or moved; only this finds an option that was changed.
"""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

Event = dict[str, Any]

HISTORIES: Final = Path(__file__).parent / "histories"
FINGERPRINTS: Final = Path(__file__).parent / "fingerprints"

BY_MESSAGES: Final = frozenset({"record_attempt", "record_refusal"})
"""Activities that only handlers of messages call: they come when people send, outside any order."""

_HOUR, _MINUTE, _MOMENTS = 3600, 60, 2
_ZERO: Final = "0s"
_TIMEOUTS: Final = {
    "scheduleToStartTimeout": "unclaimed",
    "startToCloseTimeout": "each try",
    "scheduleToCloseTimeout": "all tries",
    "heartbeatTimeout": "silence",
    "workflowRunTimeout": "a run",
    "workflowExecutionTimeout": "all runs",
    "workflowTaskTimeout": "a task",
}


def newest_generation() -> str:
    """The newest folder of recorded histories."""
    return max(folder.name for folder in HISTORIES.glob("[0-9]*"))


def committed(generation: str, name: str) -> list[str]:
    """The lines of a committed fingerprint."""
    return (FINGERPRINTS / generation / f"{name}.txt").read_text().splitlines()


def write_fingerprints(generation: str) -> None:
    """Writes the fingerprint of every history of a generation."""
    target = FINGERPRINTS / generation
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((HISTORIES / generation).glob("*.json")):
        lines = fingerprint(json.loads(path.read_text()))
        (target / f"{path.stem}.txt").write_text("\n".join(lines) + "\n")


def fingerprint(history: dict[str, Any]) -> list[str]:
    """The run's own commands in order of first appearance; then, sorted, those of its message handlers."""
    own: dict[str, None] = {}
    by_messages: set[str] = set()
    for event in history["events"]:
        line = command(event)
        if line and line.split()[1:2] and line.split()[1] in BY_MESSAGES:
            by_messages.add(line)
        elif line:
            own[line] = None
    name = workflow_type(history)
    return [f"workflow {name}", *own, *(f"by a message: {line}" for line in sorted(by_messages))]


def workflow_type(history: dict[str, Any]) -> str:
    """The workflow type of a run."""
    return str(history["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"])


def command(event: Event) -> str:
    """The command that an event records, without what differs between runs; empty for any other event."""
    kind = event["eventType"].removeprefix("EVENT_TYPE_")
    tell = _COMMANDS.get(kind)
    if tell is None:
        return ""
    (attributes,) = (value for key, value in event.items() if key.endswith("EventAttributes"))
    return tell(event, attributes)


def _activity(_: Event, fields: Event) -> str:
    name, queue = fields["activityType"]["name"], fields["taskQueue"]["name"]
    return f"activity {name} on {queue}: {_timeouts(fields)}; {_retries(fields)}"


def _child(_: Event, fields: Event) -> str:
    parts = str(fields["workflowId"]).split("/")
    policies = (fields.get("parentClosePolicy", ""), fields.get("workflowIdReusePolicy", ""))
    told = ", ".join(re.sub(r"^[A-Z_]*POLICY_", "", policy).lower() for policy in policies)
    name, queue = fields["workflowType"]["name"], fields["taskQueue"]["name"]
    which = parts[1] if name == "ProvisionShard" else parts[0]
    return f"child {name} {which} on {queue}: {told}; {_timeouts(fields)}; {_retries(fields)}"


def _timer(event: Event, fields: Event) -> str:
    return f"timer {_summary(event)}: {_rounded(fields['startToFireTimeout'])}"


def _timer_cancelled(event: Event, _: Event) -> str:
    return f"cancel-timer {_summary(event)}"


def _search_attributes(_: Event, fields: Event) -> str:
    return f"search-attributes {' '.join(sorted(fields['searchAttributes']['indexedFields']))}"


def _marker(_: Event, fields: Event) -> str:
    data = (fields.get("details") or {}).get("patch-data")
    patch = _payload(data["payloads"][0]) if data else {}
    return f"marker {fields['markerName']} {patch.get('id', '')}".rstrip()


def _signal(_: Event, fields: Event) -> str:
    return f"signal {fields['signalName']} to another workflow"


def _continue(_: Event, fields: Event) -> str:
    name, queue = fields["workflowType"]["name"], fields["taskQueue"]["name"]
    return f"continue-as-new {name} on {queue}: {_timeouts(fields)}"


def _failed(_: Event, fields: Event) -> str:
    return f"fail {fields['failure'].get('applicationFailureInfo', {}).get('type', '')}".rstrip()


_COMMANDS: Final[dict[str, Callable[[Event, Event], str]]] = {
    "ACTIVITY_TASK_SCHEDULED": _activity,
    "ACTIVITY_TASK_CANCEL_REQUESTED": lambda *_: "cancel-activity",
    "START_CHILD_WORKFLOW_EXECUTION_INITIATED": _child,
    "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED": lambda *_: "cancel-workflow",
    "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED": _signal,
    "TIMER_STARTED": _timer,
    "TIMER_CANCELED": _timer_cancelled,
    "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES": _search_attributes,
    "MARKER_RECORDED": _marker,
    "WORKFLOW_EXECUTION_COMPLETED": lambda *_: "complete",
    "WORKFLOW_EXECUTION_FAILED": _failed,
    "WORKFLOW_EXECUTION_CANCELED": lambda *_: "end-cancelled",
    "WORKFLOW_EXECUTION_CONTINUED_AS_NEW": _continue,
}


def _timeouts(fields: Event) -> str:
    told = [
        f"{word} {_plain(fields[key])}" for key, word in _TIMEOUTS.items() if fields.get(key, _ZERO) != _ZERO
    ]
    return ", ".join(told) or "no timeouts"


def _retries(fields: Event) -> str:
    policy = fields.get("retryPolicy")
    if not policy:
        return "no retries of its own"
    often = policy.get("maximumAttempts", "any number of")
    first, longest = _plain(policy["initialInterval"]), _plain(policy.get("maximumInterval", _ZERO))
    never = policy.get("nonRetryableErrorTypes")
    told = f"{often} tries, pauses {first} x{policy['backoffCoefficient']:g} to {longest}"
    return f"{told}, none for {' '.join(never)}" if never else told


def _plain(duration: str) -> str:
    return f"{float(duration.removesuffix('s')):g}s"


def _rounded(duration: str) -> str:
    """What is left until a moment is no whole number, and its size is what matters; a set pause is one."""
    seconds = float(duration.removesuffix("s"))
    if seconds.is_integer() and seconds > 1:
        return _plain(duration)
    for unit, word in ((_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        if seconds > _MOMENTS * unit:
            return f"about {round(seconds / unit)} {word}"
    return "moments"


def _summary(event: Event) -> str:
    summary = (event.get("userMetadata") or {}).get("summary")
    return str(_payload(summary)) if summary else "unnamed"


def _payload(payload: Event) -> Any:
    return json.loads(base64.b64decode(payload["data"]))


def main() -> None:
    """Writes the fingerprints of all generations: after a change of how they are told, not of a workflow."""
    for folder in sorted(HISTORIES.glob("[0-9]*")):
        write_fingerprints(folder.name)


if __name__ == "__main__":
    main()
