"""What is on `scheduled`: deferred notifications and retries, read as far as holding and releasing them needs."""

from __future__ import annotations

import io
from typing import NamedTuple

from fastavro import schemaless_writer

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.structure import read_varint

NAMES = ("Deferral", "Retry")


class Scheduled(NamedTuple):
    """One record of `scheduled`.

    `body`: a Deferral's is that of its Notification, a Retry's that of its Delivery, both as they can be embedded.
    `origin` and `notification_id` are those of a Deferral; a Retry has them in its body.
    """

    due_at: int
    is_retry: bool
    origin: tuple[int, int]
    notification_id: bytes
    body: bytes


def read_scheduled(codec: Codec, value: bytes | None) -> Scheduled:
    """Read a record of `scheduled`. Raises PoisonError."""
    name, record = codec.decode(value, NAMES)
    assert value is not None, "decode refuses it"
    inner = "Delivery" if name == "Retry" else "Notification"
    start = codec.body_start(value, name)
    if start:
        skipped = 1 if name == "Retry" else 3
        for _ in range(skipped):
            start = read_varint(value, start)[1]
        body = value[start:]
    else:
        body = _body(inner, record[inner.lower()])
    if name == "Retry":
        return Scheduled(record["due_at"], True, (-1, -1), b"", body)
    origin = (record["origin_partition"], record["origin_offset"])
    return Scheduled(record["due_at"], False, origin, record["notification"]["notification_id"].encode(), body)


def _body(name: str, record: object) -> bytes:
    buffer = io.BytesIO()
    schemaless_writer(buffer, CONTRACTS[name].parsed, record)
    return buffer.getvalue()
