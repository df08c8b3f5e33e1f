"""Exports spans without anybody's data: only known attributes leave, and of errors only their types."""

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

SAFE_ATTRIBUTES: Final = frozenset(
    [
        "temporalWorkflowID",
        "temporalRunID",
        "temporalActivityID",
        "temporalActivityType",
        "temporalUpdateID",
        "exception.type",
    ]
)
"""Attributes a span or its events may carry; ids and types only."""


class SafeSpanExporter(SpanExporter):
    """Passes spans on to another exporter, stripped of texts."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Gives what the inner exporter gives."""
        return self._inner.export([_stripped(span) for span in spans])

    def shutdown(self) -> None:
        """Shuts the inner exporter down."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Gives what the inner exporter gives."""
        return self._inner.force_flush(timeout_millis)


def _stripped(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_safe(span.attributes),
        events=[Event(event.name, _safe(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _safe(attributes: object) -> dict[str, str]:
    items = dict(attributes).items() if isinstance(attributes, Mapping) else ()
    return {name: str(value) for name, value in items if name in SAFE_ATTRIBUTES}
