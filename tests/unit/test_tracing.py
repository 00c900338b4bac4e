"""Traces: what headers say, who is kept, what rows of the schedule carry, and that export never holds anybody up."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from streams.metrics import Metric
from streams.setting_error import SettingsError
from streams.settings import load_settings
from streams.stages.traced_rows import bare, traced, with_trace
from streams.tracing import Span, StepSpans, TraceContext, Tracer, read_context, write_context
from streams.tracing.headers import read_otlp_headers
from streams.tracing.open import open_tracing
from streams.tracing.otlp import QUEUE_MAX, OtlpSink

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept:
    """A sink that keeps all spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def take(self, span: Span) -> None:
        """See SpanSink."""
        self.spans.append(span)


def test_a_context_is_written_as_it_was_read() -> None:
    """The examples of the recommendation, with the state of other systems."""
    found = read_context([("other", None), ("traceparent", PARENT), ("tracestate", b"congo=t61rcWkgMzE")])
    assert found == TraceContext(TRACE, SPAN, True, b"congo=t61rcWkgMzE")
    assert write_context(found) == [("traceparent", PARENT), ("tracestate", b"congo=t61rcWkgMzE")]
    assert write_context(found._replace(is_sampled=False, state=b"")) == [("traceparent", PARENT[:-2] + b"00")]


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        PARENT[:-1],
        PARENT.upper(),
        PARENT + b"-more",
        b"ff" + PARENT[2:],
        b"00-" + b"0" * 32 + PARENT[35:],
        PARENT[:36] + b"0" * 16 + PARENT[52:],
        b"\xff" * 55,
        PARENT.replace(b"-", b"_"),
    ],
)
def test_what_cannot_be_understood_is_no_context(parent: bytes) -> None:
    """It never stops a notification: it begins a trace of its own."""
    assert read_context([("traceparent", parent)]) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """With more behind its flags."""
    assert read_context([("traceparent", b"01" + PARENT[2:] + b"-what-comes")]) == TraceContext(TRACE, SPAN, True)


def test_a_state_beyond_the_limit_is_left_behind() -> None:
    """The trace goes on without it."""
    assert read_context([("traceparent", PARENT), ("tracestate", b"x" * 513)]) == TraceContext(TRACE, SPAN, True)


def test_who_began_a_trace_says_whether_it_is_kept() -> None:
    """Also against the ratio, and the next stage hears the same."""
    none, every = Tracer(0.0, Kept()), Tracer(1.0, Kept())
    hop = none.begin([("traceparent", PARENT)], b"u:t", b"n", 7)
    assert hop.is_sampled and hop.parent_id == SPAN and hop.context.trace_id == TRACE
    assert read_context(hop.headers) == hop.context
    unwanted = every.begin([("traceparent", PARENT[:-2] + b"00")], b"u:t", b"n", 7)
    assert not unwanted.is_sampled and unwanted.headers == [("traceparent", PARENT[:-2] + b"00")]


def test_workers_agree_on_a_trace_that_nobody_has_begun() -> None:
    """Its id follows from slot and id, and so does whether it is kept: about as many as the ratio says."""
    one, other = Tracer(0.25, Kept()), Tracer(0.25, Kept())
    kept = 0
    for number in range(4_000):
        name = b"n-%d" % number
        first, second = one.begin([], b"u:t", name, 0), other.begin([], b"u:t", name, 0)
        assert first.context.trace_id == second.context.trace_id
        assert first.is_sampled == second.is_sampled == bool(first.headers)
        kept += first.is_sampled
    assert 900 < kept < 1_100
    assert one.begin([], b"u:t", b"n-1", 0).trace_id != one.begin([], b"u:u", b"n-1", 0).trace_id


def test_a_step_tells_nothing_before_it_is_committed() -> None:
    """Then its spans end, and one more has links to all notifications that it decided on."""
    sink = Kept()
    tracer = Tracer(1.0, sink, lambda: 50.0)
    step = StepSpans(tracer, "suppress", 3)
    hops = [tracer.begin([], b"u:t", b"n-%d" % number, 10) for number in range(3)]
    for hop in hops:
        step.add(hop.child("queue", 10, 20, {}))
        step.add(hop.own("suppress", {"ringonce.decision": "ADMITTED"}))
    assert not sink.spans
    step.committed()
    *spans, whole = sink.spans
    assert [span.name for span in spans] == ["queue", "suppress"] * 3
    assert [span.ended_at for span in spans] == [20, 50.0] * 3
    assert all(span.attributes["ringonce.partition"] == 3 for span in spans)
    assert [link.trace_id for link in whole.links] == [hop.context.trace_id for hop in hops]
    assert spans[0].parent_id == hops[0].context.span_id


def test_a_row_of_the_schedule_keeps_its_trace() -> None:
    """And is what it was beneath it; without a trace nothing is added."""
    row = b"\xc3\x01the row"
    kept = with_trace(row, [("traceparent", PARENT), ("tracestate", b"a=b"), ("x", b"y")], 1_700_000_000_000)
    assert (bare(kept), bare(row)) == (row, row)
    assert traced(kept) == (row, 1_700_000_000_000, [("traceparent", PARENT), ("tracestate", b"a=b")])
    assert traced(with_trace(row, [("traceparent", PARENT)], 5)) == (row, 5, [("traceparent", PARENT)])
    for headers in ([], [("traceparent", b"nonsense")]):
        assert with_trace(row, headers, 1) is row
    assert traced(row) == (row, 0, [])


@pytest.fixture
def silent() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"


def test_a_dead_collector_holds_nobody_up(silent: str) -> None:
    """Spans are taken at once until as many wait as may; those beyond are left out and counted."""
    sink = OtlpSink(silent, {}, {})
    tracer = Tracer(1.0, sink)
    hop = tracer.begin([], b"u:t", b"n", 0)
    count = QUEUE_MAX + 2_000  # a batch that has failed meanwhile makes room for as many
    began_at = time.perf_counter()
    for _ in range(count):
        tracer.emit([hop.own("suppress", {})])
    assert sink.dropped > 0
    assert sink.taken + sink.dropped == count
    assert (time.perf_counter() - began_at) / count < 0.005, "one export alone may take ten seconds"
    began_at = time.perf_counter()
    sink.close()
    assert time.perf_counter() - began_at < 9, "it gives up after three seconds"


def test_traces_are_off_without_an_endpoint() -> None:
    """Then there is no tracer at all, and nothing of OpenTelemetry is asked for."""
    assert open_tracing(load_settings(), "1") is None


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which setting wants it, and how to get it."""
    monkeypatch.setitem(__import__("sys").modules, "streams.tracing.otlp", None)
    with pytest.raises(SettingsError, match=r"RINGONCE_OTLP_ENDPOINT: needs OpenTelemetry .*ringonce\[otel\]"):
        open_tracing(load_settings(otlp_endpoint="http://127.0.0.1:4318"), "1")


def test_headers_for_the_collector_are_read_and_never_shown() -> None:
    """They hold tokens."""
    assert read_otlp_headers("authorization=Bearer a=b, x-tenant=1") == {"authorization": "Bearer a=b", "x-tenant": "1"}
    with pytest.raises(SettingsError) as error:
        load_settings(otlp_headers="secret-without-equals")
    assert "RINGONCE_OTLP_HEADERS" in str(error.value)
    assert "secret" not in str(error.value).replace("RINGONCE_OTLP_HEADERS", "")


def test_the_spans_have_their_metric() -> None:
    """What is left out is seen."""
    assert Metric.TRACE_SPANS_TOTAL.labels == ("outcome",)
