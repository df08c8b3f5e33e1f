"""Structured logs, traces and metrics; none of them carries a subject's data or a secret.

Logs are JSON lines on standard error. Traces and metrics go to the console or to OTLP, by setting.
"""

import logging
import sys

import structlog
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from workers.settings import TelemetrySettings

_SAFE_FIELDS = frozenset(
    [
        "event",
        "level",
        "timestamp",
        "role",
        "queue",
        "pid",
        "port",
        "activity",
        "workflow_id",
        "run_id",
        "attempt",
        "error",
        "reason",
        "service",
        "batch_id",
        "seconds",
        "address",
        "build",
    ]
)
"""Fields a log line may carry; any other is dropped, so that nobody logs a person by accident."""


def configure_logs() -> None:
    """Sends every log record, ours and libraries', as one JSON line to standard error."""
    processors: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _keep_safe_fields,
    ]
    structlog.configure(
        processors=[*processors, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors, processor=structlog.processors.JSONRenderer()
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def configure_telemetry(settings: TelemetrySettings, *, service: str) -> TracerProvider:
    """Installs tracer and meter providers; the caller shuts the tracer provider down at its end."""
    resource = Resource.create({"service.name": f"walletworks-{service}"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    span_exporter, metric_exporter = _exporters(settings)
    if span_exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(span_exporter))
    readers = [PeriodicExportingMetricReader(metric_exporter)] if metric_exporter else []
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(
        MeterProvider(resource=resource, metric_readers=readers, shutdown_on_exit=False)
    )
    return provider


def _exporters(settings: TelemetrySettings) -> tuple[SpanExporter | None, MetricExporter | None]:
    if settings.exporter == "console":
        return ConsoleSpanExporter(out=sys.stderr), ConsoleMetricExporter(out=sys.stderr)
    if settings.exporter == "otlp":
        base = settings.endpoint.rstrip("/")
        return (
            OTLPSpanExporter(endpoint=f"{base}/v1/traces" if base else None),
            OTLPMetricExporter(endpoint=f"{base}/v1/metrics" if base else None),
        )
    return None, None


def _keep_safe_fields(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {name: value for name, value in event.items() if name in _SAFE_FIELDS or name.startswith("_")}
