"""A record that is given up, with all that is needed to understand, mend and replay it."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.lane.chunk import Record

VALUE_BYTES_MAX = 900_000  # leaves room for the rest within a broker's default limit of 1 MiB for a record


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
    reason = error.reason
    value = record.value
    if value is not None and len(value) > VALUE_BYTES_MAX:
        reason += f" (only the first {VALUE_BYTES_MAX} of {len(value)} bytes are kept)"
        value = value[:VALUE_BYTES_MAX]
    letter = {
        "reason": reason,
        "code": error.code,
        "stage": stage,
        "topic": place[0],
        "partition": place[1],
        "offset": record.offset,
        "timestamp": record.timestamp,
        "at": now,
        "key": record.key,
        "value": value,
        "headers": [{"key": name, "value": content} for name, content in record.headers],
        "notification_id": notification_id,
        "history": list(history),
    }
    return codec.encode("DeadLetter", letter, topic)
