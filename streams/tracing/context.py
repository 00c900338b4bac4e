"""Where a notification stands in its trace, as the headers `traceparent` and `tracestate` have it (W3C, level 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
STATE_BYTES_MAX: Final = 512  # what everybody has to pass on; what is longer is left behind
# A version that is not known yet may have more behind the flags; ff is none.
_PARENT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1

Headers = list[tuple[str, bytes]]


class TraceContext(NamedTuple):
    """The span that came before, of which trace it is, and whether that trace is kept."""

    trace_id: int
    span_id: int
    is_sampled: bool
    state: bytes = b""


def read_context(headers: Iterable[tuple[str, bytes | None]]) -> TraceContext | None:
    """Return what the headers say; None: nothing, or nothing that can be understood, which is the same."""
    parent = state = b""
    for name, value in headers:
        if name == TRACEPARENT:
            parent = value or b""
        elif name == TRACESTATE and value is not None and len(value) <= STATE_BYTES_MAX:
            state = value
    found = _PARENT.fullmatch(parent)
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    return TraceContext(trace_id, span_id, bool(int(found[4], 16) & _SAMPLED), state)


def write_context(context: TraceContext) -> Headers:
    """Return the headers that say it."""
    parent = b"00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.is_sampled)
    return [(TRACEPARENT, parent), (TRACESTATE, context.state)] if context.state else [(TRACEPARENT, parent)]


def passed_on(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """Return those headers that say it, where a record goes on as it is."""
    context = read_context(headers)
    return [] if context is None else write_context(context)
