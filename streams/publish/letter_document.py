"""Dead letters as people read them: their place, and their content as JSON."""

from __future__ import annotations

import base64
from typing import Any

from streams.publish.dead_letters import Letter

PLACE = "PARTITION@OFFSET"
_PLACE_CHARACTERS_MAX = 300  # a topic's name, a partition and an offset


def read_place(text: str) -> tuple[int, int]:
    """Read `3@17`, or `dead-letters-3@17`. Raises ValueError, whose text says what is expected."""
    partition, _, offset = text.rpartition("-")[2].partition("@")
    if not (text.isascii() and len(text) <= _PLACE_CHARACTERS_MAX and partition.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{text[:40]!r} must be {PLACE}, such as 3@17")
    return int(partition), int(offset)


def letter_document(letter: Letter, *, whole: bool) -> dict[str, Any]:
    """Return a letter for JSON, bytes in base64; only `whole` has what its record and the providers say."""
    record: dict[str, Any] = {"place": letter.place, "type": letter.type, **letter.record}
    if not whole:
        return {name: item for name, item in record.items() if name not in ("key", "value", "headers", "history")}
    for name in ("key", "value"):
        record[name] = _base64(record[name])
    record["headers"] = [{"key": each["key"], "value": _base64(each["value"])} for each in record["headers"]]
    return {**record, "notification": letter.notification}


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
