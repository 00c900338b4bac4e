"""Exports spans over OTLP/HTTP, with OpenTelemetry's SDK. In a thread of its own: no lane ever waits for a collector.

What waits is bounded; what does not fit is left out and counted. Importing this needs the extra `otel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from streams.tracing.context import TraceContext
from streams.tracing.tracer import Span

QUEUE_MAX: Final = 8_192  # some 10 MB
BATCH_MAX: Final = 512
DELAY_MS: Final = 1_000
EXPORT_SECONDS_MAX: Final = 10.0
CLOSE_MS_MAX: Final = 3_000  # at the end of a worker; what has not left by then is lost
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_KINDS: Final = {kind.name.lower(): kind for kind in SpanKind}


class _GivenIds(IdGenerator):
    """The ids are known before the span is made: they went with records already."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Counted(SpanExporter):
    """An exporter that counts what became of the spans."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.exported = self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            self.failed += len(spans)
            raise
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
        else:
            self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class OtlpSink:
    """See SpanSink. `dropped`: spans that were left out, because too many waited."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], resource: Mapping[str, str]) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=EXPORT_SECONDS_MAX)
        self.counted = _Counted(exporter)
        self._ids = _GivenIds()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(dict(resource)),
            id_generator=self._ids,
            shutdown_on_exit=False,
            span_limits=SpanLimits(),
        )
        self._processor = BatchSpanProcessor(
            self.counted, max_queue_size=QUEUE_MAX, schedule_delay_millis=DELAY_MS, max_export_batch_size=BATCH_MAX
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("ringonce")
        self.taken = self.dropped = 0

    def take(self, span: Span) -> None:
        """See SpanSink."""
        if self.taken - self.counted.exported - self.counted.failed >= QUEUE_MAX:
            self.dropped += 1  # before the processor would say so in the log, once for each
            return
        self.taken += 1
        context = span.context
        self._ids.trace_id, self._ids.span_id = context.trace_id, context.span_id
        parent = Context()
        if span.parent_id:
            parent = set_span_in_context(NonRecordingSpan(_sdk(context._replace(span_id=span.parent_id))), parent)
        made = self._tracer.start_span(
            span.name,
            parent,
            _KINDS[span.kind],
            dict(span.attributes),
            [Link(_sdk(each)) for each in span.links],
            int(span.started_at * 1e6),
        )
        if span.error:
            made.set_status(Status(StatusCode.ERROR, span.error))
        assert span.ended_at is not None, "the tracer has set it"
        made.end(int(span.ended_at * 1e6))

    def close(self) -> None:
        """Export what waits, for a short time at most."""
        self._processor._batch_processor.shutdown(CLOSE_MS_MAX)


def _sdk(context: TraceContext) -> SpanContext:
    state = TraceState.from_header([context.state.decode("ascii", errors="ignore")]) if context.state else None
    return SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=_SAMPLED, trace_state=state)
