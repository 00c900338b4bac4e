"""One trace for each notification, over topics, stages and workers (W3C Trace Context, OTLP). Off unless it is set."""

from streams.tracing.context import TRACEPARENT, TraceContext, passed_on, read_context, write_context
from streams.tracing.tracer import Hop, Span, SpanSink, StepSpans, Tracer

__all__ = [
    "TRACEPARENT",
    "Hop",
    "Span",
    "SpanSink",
    "StepSpans",
    "TraceContext",
    "Tracer",
    "passed_on",
    "read_context",
    "write_context",
]
