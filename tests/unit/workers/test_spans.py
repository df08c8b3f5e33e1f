"""What leaves a process as telemetry, and that a receiver that is away holds nobody up."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from infra.devstack.state import REPOSITORY
from workers.safe_spans import SafeSpanExporter
from workers.settings import TelemetrySettings

PERSON = "Zorblatt Quillfeather"


def test_spans_leave_without_texts() -> None:
    """Ids, names, times and an error's type pass; its text, its stack and unknown attributes do not."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(SafeSpanExporter(kept)))
    tracer = provider.get_tracer("test")
    given = {"temporalWorkflowID": "b-1", "subject": PERSON}
    with (
        pytest.raises(ValueError, match=PERSON),
        tracer.start_as_current_span("RunActivity:x", attributes=given),
    ):
        raise ValueError(PERSON)
    provider.shutdown()
    (span,) = kept.get_finished_spans()
    assert span.name == "RunActivity:x"
    assert dict(span.attributes or {}) == {"temporalWorkflowID": "b-1"}
    assert [dict(event.attributes or {}) for event in span.events] == [{"exception.type": "ValueError"}]
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert PERSON not in span.to_json()


@pytest.mark.parametrize("exporter", ["none", "console", "otlp"])
def test_a_process_ends_in_time_whoever_listens(exporter: str) -> None:
    """With nobody at the other end the last report is given up after two seconds."""
    program = (
        "from opentelemetry import metrics, trace;"
        "from workers.settings import TelemetrySettings;"
        "from workers.telemetry import configure_telemetry;"
        f"s = TelemetrySettings(exporter={exporter!r}, endpoint='http://127.0.0.1:1');"
        "t = configure_telemetry(s, service='test');"
        "metrics.get_meter('m').create_counter('c').add(1);"
        "trace.get_tracer('t').start_span('a span').end();"
        "import time; began = time.monotonic(); t.close(); print(time.monotonic() - began);"
        "import os, sys; sys.stdout.flush(); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 4.5
    assert ("a span" in done.stderr) == (exporter == "console")


def test_unknown_exporters_are_refused() -> None:
    """A typing error does not silently switch telemetry off."""
    with pytest.raises(ValueError, match="exporter"):
        TelemetrySettings(exporter="oltp")
