"""Instants and durations as people write them."""

from __future__ import annotations

import re
from datetime import datetime

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MS_MAX = 253_402_300_799_999  # 9999-12-31: past it, Avro's timestamps and Python's part ways


def duration_ms(text: str) -> int:
    """`90s`, `10m`, `1h30m`, `2d` in milliseconds. Raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"must be a duration such as 90s, 10m, 1h30m or 2d, is {text!r}")
    return round(sum(float(number) * _MS[unit] for number, unit in parts))


def instant_ms(value: str | int) -> int:
    """An instant in milliseconds since the epoch: given so, or as ISO 8601 with a time zone. Raises ValueError."""
    if isinstance(value, int) or value.isdecimal():
        milliseconds = int(value)
    else:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"must be ISO 8601 or milliseconds since the epoch, is {value!r}") from None
        if instant.tzinfo is None:
            raise ValueError(f"must have a time zone, such as {value}Z for UTC")
        # Not by way of UTC: the first and the last day have zones in which UTC is before year 1 or after 9999.
        milliseconds = round(instant.timestamp() * 1000)
    if not 0 <= milliseconds <= MS_MAX:
        raise ValueError(f"must be between 1970 and 9999, is {value}")
    return milliseconds
