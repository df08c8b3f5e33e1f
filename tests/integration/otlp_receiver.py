"""A receiver of OTLP over HTTP, as a collector is one: it parses what it is sent and keeps it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.serving import serving


@dataclass
class Received:
    """Everything that was reported, and by which service each span was."""

    address: str
    spans: list[tuple[str, Span]] = field(default_factory=list)
    metrics: dict[str, list[Metric]] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        """Keeps one report."""
        self.bodies.append(body)
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                (service,) = (
                    a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
                )
                self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        if path == "/v1/metrics":
            reported = ExportMetricsServiceRequest.FromString(body)
            for group in reported.resource_metrics:
                for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
                    self.metrics.setdefault(metric.name, []).append(metric)

    def labels(self, metric: str, name: str) -> set[str]:
        """The values of one attribute over all reports of a metric."""
        found = (a for m in self.metrics[metric] for point in _points(m) for a in point.attributes)
        return {attribute.value.string_value for attribute in found if attribute.key == name}

    def named(self, name: str) -> list[Span]:
        """The spans of a name."""
        return [span for _, span in self.spans if span.name == name]


def _points(metric: Metric) -> list[HistogramDataPoint | NumberDataPoint]:
    return [*metric.histogram.data_points, *metric.gauge.data_points, *metric.sum.data_points]


@contextmanager
def receiver() -> Iterator[Received]:
    """Listens on a free port of the loopback until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        received = Received(address=f"http://127.0.0.1:{server.server_port}")
        yield received
