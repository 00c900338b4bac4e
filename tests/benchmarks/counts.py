"""A record that says how many events ended how, in place of a status of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from streams.lane.step import NO_HEADERS, Output


def counted(statuses: Sequence[Output], admitted: int) -> Output:
    """One record in place of these, of which so many say that their event was admitted."""
    counts = {"ADMITTED": admitted, "SUPPRESSED": len(statuses) - admitted}
    return None, json.dumps(counts).encode(), NO_HEADERS


def read_counts(value: bytes) -> Counter[str]:
    """How many events ended how, by one such record."""
    return Counter(json.loads(value))
