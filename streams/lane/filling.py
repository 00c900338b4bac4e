"""Puts records into a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .step import Output


def fill(batch: Any, records: Sequence[Output], start: int, count: int) -> int:
    """Append at most so many records to aiokafka's BatchBuilder, from `records[start]` on; return how many it took.

    Fewer than there were: it is full. Past the builder's own `append`, two functions of Python for each record that
    have nothing to do here: nothing is to be serialized, and each batch has one writer.
    """
    append, offset = batch._builder.append, batch._relative_offset
    first: int = offset
    for key, value, headers in records[start : start + count]:
        if append(offset, None, key, value, headers) is None:
            break
        offset += 1
    batch._relative_offset = offset
    return int(offset) - first
