"""A record that is given up, with all that is needed to understand, mend and replay it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.lane.chunk import Record
from streams.tracing import read_context

logger = logging.getLogger(__name__)

# Together they leave room for the rest within a broker's default limit of 1 MiB for a record.
VALUE_BYTES_MAX = 900_000
KEY_BYTES_MAX = 8_192
HEADERS_BYTES_MAX = 65_536


def letter_key(record: Record) -> bytes | None:
    """Return the key that the dead letter of a record gets: its own, cut where it is out of all proportion."""
    return None if record.key is None else record.key[:KEY_BYTES_MAX]


def dead_letter(
    codec: Codec,
    error: PoisonError,
    stage: str,
    place: tuple[str, int],
    record: Record,
    now: int,
    topic: str,
    notification_id: str | None = None,
    history: Sequence[str] = (),
) -> bytes:
    """Return the DeadLetter for a record read at `place`, (topic, partition), to be written to `topic`."""
    if logger.isEnabledFor(logging.INFO):
        trace = read_context(record.headers)
        logger.info(
            "%s-%d@%d is given up: %s: %s",
            *(*place, record.offset, error.code, error.reason),
            extra={} if trace is None else {"trace_id": f"{trace.trace_id:032x}"},
        )
    reason = error.reason
    value = record.value
    if value is not None and len(value) > VALUE_BYTES_MAX:
        reason += f" (only the first {VALUE_BYTES_MAX} of {len(value)} bytes are kept)"
        value = value[:VALUE_BYTES_MAX]
    key = letter_key(record)
    if key != record.key:
        reason += f" (only the first {KEY_BYTES_MAX} bytes of the key are kept)"
    headers = [{"key": name, "value": content} for name, content in record.headers]
    if sum(len(name.encode()) + len(content or b"") for name, content in record.headers) > HEADERS_BYTES_MAX:
        reason += f" (its headers, more than {HEADERS_BYTES_MAX} bytes, are not kept)"
        headers = []
    letter = {
        "reason": reason,
        "code": error.code,
        "stage": stage,
        "topic": place[0],
        "partition": place[1],
        "offset": record.offset,
        "timestamp": record.timestamp,
        "at": now,
        "key": key,
        "value": value,
        "headers": headers,
        "notification_id": notification_id,
        "history": list(history),
    }
    return codec.encode("DeadLetter", letter, topic)
