"""What schedule shows of itself: read from the deciders when somebody asks, so that a step pays next to nothing."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

LATENESS_BOUNDS_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 60_000, 3_600_000)


class Lateness:
    """How long after its due time each notification was released, in buckets."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENESS_BOUNDS_MS) + 1)
        self.sum_ms = 0

    def note(self, late_ms: int) -> None:
        """Note one release."""
        self.counts[bisect_left(LATENESS_BOUNDS_MS, late_ms)] += 1
        self.sum_ms += late_ms
