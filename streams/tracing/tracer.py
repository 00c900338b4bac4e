"""What a stage tells of the notifications that pass: spans, made when a step is committed and not before.

A trace belongs to a notification. Who hands it in may have begun one; else its id is derived from slot and id, so that
all workers know it without being told, and agree on whether it is kept. A span has begun where the record was written
to Kafka and ends where its step is committed; what a crash undoes leaves no span.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from streams.policies.identity import seen_digest
from streams.tracing.context import Headers, TraceContext, read_context, write_context

LINKS_MAX: Final = 64  # of one step's span; the others are found by their own traces
_HALF: Final = 1 << 64

Value = str | int | float | bool
Kind = Literal["internal", "server", "client", "producer", "consumer"]


class Span(NamedTuple):
    """What is exported. Instants in milliseconds since the epoch; `ended_at` None: when its step is committed."""

    name: str
    context: TraceContext
    parent_id: int
    started_at: float
    ended_at: float | None
    attributes: Mapping[str, Value]
    error: str = ""
    kind: Kind = "internal"
    links: Sequence[TraceContext] = ()


class Hop(NamedTuple):
    """A notification in one stage. `context` is that of the stage's own span; `headers` go with what comes of it."""

    context: TraceContext
    parent_id: int
    started_at: int
    headers: Headers

    @property
    def is_sampled(self) -> bool:
        """Whether anything is told of it."""
        return self.context.is_sampled

    @property
    def trace_id(self) -> str:
        """As people and other systems write it."""
        return f"{self.context.trace_id:032x}"

    def own(self, name: str, attributes: Mapping[str, Value], error: str = "", kind: Kind = "consumer") -> Span:
        """Return the span of the stage itself, which ends with its step."""
        return Span(name, self.context, self.parent_id, self.started_at, None, attributes, error, kind)

    def child(
        self,
        name: str,
        started_at: float,
        ended_at: float | None,
        attributes: Mapping[str, Value],
        error: str = "",
        kind: Kind = "internal",
    ) -> Span:
        """Return the span of something that the stage does."""
        context = self.context._replace(span_id=_new_span_id())
        return Span(name, context, self.context.span_id, started_at, ended_at, attributes, error, kind)


class SpanSink(Protocol):
    """Takes spans at once, whatever becomes of them."""

    def take(self, span: Span) -> None:
        """Take one, or leave it out where too many wait."""


def _new_span_id() -> int:
    return random.getrandbits(64) or 1


class Tracer:
    """`ratio`: the part of those traces that is kept which nobody else has begun."""

    def __init__(
        self, ratio: float, sink: SpanSink, now_ms: Callable[[], float] = lambda: time.time_ns() / 1e6
    ) -> None:
        self._below = int(ratio * _HALF)
        self.sink = sink
        self.now_ms = now_ms

    def begin(
        self, headers: Sequence[tuple[str, bytes | None]], slot: bytes, notification_id: bytes, started_at: int
    ) -> Hop:
        """A notification has come to a stage, with these headers."""
        before = read_context(headers) if headers else None
        if before is not None:
            if not before.is_sampled:  # whoever began the trace does not want it; the next stage shall know
                return Hop(before, 0, started_at, write_context(before))
            context = before._replace(span_id=_new_span_id())
            return Hop(context, before.span_id, started_at, write_context(context))
        trace_id = int.from_bytes(seen_digest(slot, notification_id), "big")
        if trace_id % _HALF >= self._below:
            return Hop(TraceContext(trace_id, 0, False), 0, started_at, [])
        context = TraceContext(trace_id, _new_span_id(), True)
        return Hop(context, 0, started_at, write_context(context))

    def emit(self, spans: Sequence[Span]) -> None:
        """Hand spans to whoever exports them; those that have not ended end now."""
        now = self.now_ms()
        for span in spans:
            self.sink.take(span if span.ended_at is not None else span._replace(ended_at=max(now, span.started_at)))


class StepSpans:
    """The spans of one step of one lane. They are told once it is committed."""

    def __init__(self, tracer: Tracer, stage: str, partition: int) -> None:
        self._tracer = tracer
        self._name = f"{stage} step"
        self._place: dict[str, Value] = {"ringonce.stage": stage, "ringonce.partition": partition}
        self._began_at = tracer.now_ms()
        self._spans: list[Span] = []

    def add(self, span: Span) -> None:
        """Add one of a trace that is kept."""
        self._spans.append(span._replace(attributes={**self._place, **span.attributes}))

    def committed(self) -> None:
        """Tell them, and the step that they were decided in, with links to all of them."""
        if not self._spans:
            return
        context = TraceContext(random.getrandbits(128) or 1, _new_span_id(), True)
        links = list(dict.fromkeys(span.context for span in self._spans if span.kind == "consumer"))[:LINKS_MAX]
        if links:
            attributes = {**self._place, "ringonce.spans": len(self._spans)}
            self._spans.append(Span(self._name, context, 0, self._began_at, None, attributes, links=links))
        self._tracer.emit(self._spans)
