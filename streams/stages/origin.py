"""Where an event first came from: its partition and offset on `notifications`, also when it had to be routed again."""

from __future__ import annotations

from streams.lane.chunk import Record
from streams.lane.step import Headers

ORIGIN_HEADER = "ringonce-origin"

Origin = tuple[int, int]


def origin_of(record: Record, partition: int) -> Origin:
    """Return (partition, offset) of the event as its producer wrote it."""
    for name, value in record.headers:
        if name == ORIGIN_HEADER and value is not None:
            first, _, second = value.partition(b":")
            if first.isdigit() and second.isdigit():
                return int(first), int(second)
    return partition, record.offset


def with_origin(record: Record, origin: Origin) -> Headers:
    """Return the headers of a record that is routed again, with where it came from."""
    kept = [(name, value or b"") for name, value in record.headers if name != ORIGIN_HEADER]
    return [*kept, (ORIGIN_HEADER, b"%d:%d" % origin)]
