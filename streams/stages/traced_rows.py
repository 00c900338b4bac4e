"""Rows of the schedule that belong to a trace: before what the row holds stand when it came and the trace's headers.

    T <at: 8> <size: 2> <traceparent> <tracestate> <row>

All other rows are as they were, and begin with the mark of Avro's single-object encoding, C3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from streams.tracing.context import Headers, read_context, write_context

_MARK: Final = b"T"
_HEAD: Final = 11


class Traced(NamedTuple):
    """What a row holds, without its trace; when it came, and the headers that it came with."""

    row: bytes
    at: int
    headers: Headers


def with_trace(row: bytes, headers: Sequence[tuple[str, bytes | None]], at: int) -> bytes:
    """Return the row with what its headers say of a trace, or as it is."""
    context = read_context(headers)
    if context is None:
        return row
    said = b"\n".join(value for _, value in write_context(context))
    return b"".join((_MARK, at.to_bytes(8, "big"), len(said).to_bytes(2, "big"), said, row))


def bare(row: bytes) -> bytes:
    """Return what a row holds."""
    return row if row[:1] != _MARK else row[_HEAD + int.from_bytes(row[9:_HEAD], "big") :]


def traced(row: bytes) -> Traced:
    """Return what a row holds, and its trace."""
    if row[:1] != _MARK:
        return Traced(row, 0, [])
    end = _HEAD + int.from_bytes(row[9:_HEAD], "big")
    said = row[_HEAD:end].split(b"\n")
    headers = list(zip(("traceparent", "tracestate"), said, strict=False))
    return Traced(row[end:], int.from_bytes(row[1:9], "big"), headers)
