"""What a batch cost the engine, counted from its histories: events, Actions, and the seconds of each stage.

Actions follow the engine's published rules. Heartbeats and queries leave no event: heartbeats are estimated
from how long activities ran, queries and updates refused by a validator are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from workers.liveness import BEAT_SECONDS
from workflows.limits import HEARTBEAT

Events: TypeAlias = list[HistoryEvent]
Span: TypeAlias = tuple[datetime, datetime]

_ONE_ACTION: Final = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
}

_THROTTLE: Final = 0.8 * HEARTBEAT.total_seconds()
"""The SDK sends a heartbeat when this share of the timeout has passed since the last."""

_STAGES: Final = {
    "plan_batch": "review",
    "pin_lists": "screening",
    "open_keyring": "derivation",
    "apply_list_changes": "rollout",
    "close_shards": "record",
}
"""The activity a stage begins with; what comes before the first is intake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCost:
    """Of all runs of a batch and its shards."""

    runs: int
    events: int
    events_in_largest_run: int
    actions: int
    heartbeats: int


async def fetch_runs(client: Client, batch: str) -> list[Events]:
    """Gives the events of every run of a batch and its shards, the batch's own runs first, in order."""
    own: list[Events] = []
    shards: list[Events] = []
    async for found in client.list_workflows():
        if found.id == batch or found.id.startswith(f"{batch}/"):
            handle = client.get_workflow_handle(found.id, run_id=found.run_id)
            (own if found.id == batch else shards).append([e async for e in handle.fetch_history_events()])
    return [*sorted(own, key=lambda events: _at(events[0])), *shards]


def cost_of(runs: Sequence[Events]) -> EngineCost:
    """Counts events and Actions."""
    beats = sum(_heartbeats(events) for events in runs)
    return EngineCost(
        runs=len(runs),
        events=sum(map(len, runs)),
        events_in_largest_run=max(map(len, runs)),
        actions=sum(map(_actions, runs)) + beats,
        heartbeats=beats,
    )


def _actions(events: Events) -> int:
    """Retries count again; the markers of one workflow task count together."""
    plain = sum(event.event_type in _ONE_ACTION for event in events)
    retries = sum(max(0, event.activity_task_started_event_attributes.attempt - 1) for event in events)
    markers = {
        event.marker_recorded_event_attributes.workflow_task_completed_event_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED
    }
    return plain + retries + len(markers)


def _heartbeats(events: Events) -> int:
    started = {e.event_id: e for e in events if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED}
    sent = 0
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            begun = started[event.activity_task_completed_event_attributes.started_event_id]
            seconds = (_at(event) - _at(begun)).total_seconds()
            sent += 0 if seconds < BEAT_SECONDS else 1 + int((seconds - BEAT_SECONDS) / _THROTTLE)
    return sent


def first_answer(own: Sequence[Events]) -> float:
    """Gives the seconds from the start of a batch to its plan."""
    events = [event for run in own for event in run]
    planned = next(
        event.event_id
        for event in events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "plan_batch"
    )
    done = next(
        event
        for event in events
        if event.activity_task_completed_event_attributes.scheduled_event_id == planned
    )
    return (_at(done) - _at(events[0])).total_seconds()


def stage_seconds(own: Sequence[Events], waits: Sequence[Span]) -> dict[str, float]:
    """Gives how long each stage took without the spans in which people were waited for."""
    events = [event for run in own for event in run]
    begins = {"intake": _at(events[0])}
    for event in events:
        name = event.activity_task_scheduled_event_attributes.activity_type.name
        if name in _STAGES:
            begins.setdefault(_STAGES[name], _at(event))
    ends = [*list(begins.values())[1:], _at(events[-1])]
    seconds = {}
    for (stage, begin), end in zip(begins.items(), ends, strict=True):
        waited = sum((_overlap((begin, end), wait) for wait in waits), timedelta())
        seconds[stage] = (end - begin - waited).total_seconds()
    return seconds


def _overlap(one: Span, other: Span) -> timedelta:
    return max(timedelta(), min(one[1], other[1]) - max(one[0], other[0]))


def _at(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(tzinfo=UTC)
