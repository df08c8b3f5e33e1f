"""Traces and metrics, to the console or to OTLP by setting; none of them carries a subject's data.

One trace goes from `walletworks submit` to the last slice. The engine's SDK reports its own metrics to the
same place and its own log through ours.
"""

import logging
import os
import sys
import threading
from datetime import timedelta
from typing import Final

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
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    OpenTelemetryConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from workers.safe_spans import SafeSpanExporter
from workers.settings import TelemetrySettings

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4318"
"""OTLP over HTTP on this host, where collectors listen by convention."""

EXPORT_SECONDS: Final = 5.0
"""One export's limit, its retries included."""

FLUSH_SECONDS: Final = 2.0
"""How long a process that ends may still report; a receiver that is away must not hold it up."""


class Telemetry:
    """What reports of this process; `close` sends what is left."""

    def __init__(self, *, tracers: TracerProvider, meters: MeterProvider) -> None:
        self._tracers = tracers
        self._meters = meters

    def close(self) -> None:
        """Sends what is left, for two seconds at most; then the process ends without."""
        sending = [
            threading.Thread(target=each, daemon=True) for each in (self._end_traces, self._end_metrics)
        ]
        for thread in sending:
            thread.start()
        for thread in sending:
            thread.join(FLUSH_SECONDS)

    def _end_traces(self) -> None:
        self._tracers.shutdown()

    def _end_metrics(self) -> None:
        self._meters.shutdown()


def configure_telemetry(settings: TelemetrySettings, *, service: str) -> Telemetry:
    """Installs tracers, meters and the SDK's runtime for this process; the caller closes at its end."""
    resource = Resource.create({"service.name": f"walletworks-{service}"})
    spans, measures = _exporters(settings)
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    if spans is not None:
        tracers.add_span_processor(BatchSpanProcessor(SafeSpanExporter(spans)))
    readers = [PeriodicExportingMetricReader(measures, settings.metric_seconds * 1000)] if measures else []
    meters = MeterProvider(resource=resource, metric_readers=readers, shutdown_on_exit=False)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    Runtime.set_default(_runtime(settings), error_if_already_set=False)
    return Telemetry(tracers=tracers, meters=meters)


def _exporters(settings: TelemetrySettings) -> tuple[SpanExporter | None, MetricExporter | None]:
    if settings.exporter == "console":
        return ConsoleSpanExporter(out=sys.stderr), ConsoleMetricExporter(out=sys.stderr)
    if settings.exporter == "otlp":
        base = _endpoint(settings)
        return (
            OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=EXPORT_SECONDS),
            OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=EXPORT_SECONDS),
        )
    return None, None


def _runtime(settings: TelemetrySettings) -> Runtime:
    """The SDK's core: its log comes as records of ours without their fields, which hold failures' texts."""
    forwarding = LogForwardingConfig(
        logger=logging.getLogger("temporalio.core"),
        append_target_to_name=False,
        prepend_target_on_message=False,
        append_log_fields_to_message=False,
    )
    level = TelemetryFilter(core_level="WARN", other_level="ERROR")
    reports = OpenTelemetryConfig(
        url=f"{_endpoint(settings)}/v1/metrics",
        http=True,
        metric_periodicity=timedelta(seconds=settings.metric_seconds),
        durations_as_seconds=True,
    )
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(filter=level, forwarding=forwarding),
            metrics=reports if settings.exporter == "otlp" else None,
        )
    )


def _endpoint(settings: TelemetrySettings) -> str:
    return (settings.endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT).rstrip(
        "/"
    )
