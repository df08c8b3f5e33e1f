"""Reads the histories of a batch's workflows for its bundle: event types and payload digests, no payloads."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from activities.evidence.histories import HistoryEvent
from activities.failures import ServiceUnavailableError
from workflows.undo_batch import undo_id


class TemporalHistories:
    """The histories in one Temporal namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def events(self, batch_id: str) -> AsyncIterator[HistoryEvent]:
        """Gives every event so far of the batch's runs, its shards', and of an undoing without it.

        Raises: ServiceUnavailableError.
        """
        own = f"WorkflowId = '{batch_id}' OR WorkflowId = '{undo_id(batch_id)}'"
        query = f"{own} OR WorkflowId STARTS_WITH '{batch_id}/'"
        try:
            async for found in self._client.list_workflows(query):
                async for event in self._run_events(found):
                    yield event
        except RPCError:
            away = True
        else:
            away = False
        if away:
            raise ServiceUnavailableError("Temporal")

    async def _run_events(self, found: WorkflowExecution) -> AsyncIterator[HistoryEvent]:
        handle = self._client.get_workflow_handle(found.id, run_id=found.run_id)
        async for event in handle.fetch_history_events():
            yield HistoryEvent(
                workflow_id=found.id,
                run_id=found.run_id,
                event_id=event.event_id,
                event_type=EventType.Name(event.event_type).removeprefix("EVENT_TYPE_"),
                payload_digests=tuple(hashlib.sha256(p.data).hexdigest() for p in _payloads(event)),
            )


def _payloads(message: Message) -> Iterator[Payload]:
    """Every payload in a message, in the order of its fields, however deep."""
    for _, value in message.ListFields():
        for part in _parts(value):
            if isinstance(part, Payload):
                yield part
            elif isinstance(part, Message):
                yield from _payloads(part)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Message | str | bytes | int | float | bool):
        return [value]
    if hasattr(value, "items"):
        return [value[key] for key in sorted(value)]
    return list(value)
