"""Clocks of lanes, in milliseconds since the epoch: deliver asks one for each push."""

from __future__ import annotations

import time
from collections.abc import Callable


class PartitionClock:
    """Wall-clock milliseconds since the epoch that never go back within a partition, even when its owner changes."""

    def __init__(self, wall_ms: Callable[[], int], latest_ms: int = 0) -> None:
        self._wall_ms = wall_ms
        self._latest_ms = latest_ms

    def now_ms(self) -> int:
        """Return the time, at least as late as any time returned or restored before."""
        now = self._wall_ms()
        if now > self._latest_ms:
            self._latest_ms = now
        return self._latest_ms


class WallClock:
    """The clock of a stage that nothing may happen too early in: it follows the wall clock back as well.

    Where that was an hour ahead for a moment, a `PartitionClock` would stay an hour ahead.
    """

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self.now_ms = wall_ms


def wall_ms() -> int:
    """Return the wall clock in milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000
