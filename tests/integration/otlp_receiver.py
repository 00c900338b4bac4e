"""A collector: takes traces over OTLP/HTTP and keeps the spans, decoded by OpenTelemetry's own schema."""

from __future__ import annotations

import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Received(NamedTuple):
    """A span as it arrived. `service`: the instance that made it."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    links: list[str]
    is_error: bool
    service: str


class Collector:
    """What has arrived so far, and the headers of the last request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Received] = []
        self.headers: dict[str, str] = {}

    def traces(self) -> dict[str, list[Received]]:
        """The spans of each trace, in the order of their beginnings."""
        found: dict[str, list[Received]] = defaultdict(list)
        for span in sorted(self.spans, key=lambda span: span.started_ns):
            found[span.trace_id].append(span)
        return found

    def take(self, body: bytes) -> None:
        """Decode one request."""
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_received(span, named["service.instance.id"]) for span in scope.spans]


def _received(span: Any, service: str) -> Received:
    attributes = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}
    links = [link.trace_id.hex() for link in span.links]
    return Received(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        attributes,
        links,
        span.status.code == 2,
        service,
    )


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of the loopback interface."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            found.headers = dict(self.headers)
            found.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the test looks at what arrived."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        found = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join(10)
