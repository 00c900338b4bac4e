"""The partitions whose lanes have enough for now, and how often threads take turns meanwhile."""

from __future__ import annotations

import sys
from typing import Final

from faust.types import TP

# The client reads in a thread of its own and waits for the interpreter after each call to the system. With Python's
# default of 5 ms a busy worker lets ten of those waits pass before a record that has arrived is handed over.
SWITCH_SECONDS: Final = 0.0005
# Where thousands of records wait, the next ones are in no hurry, and each turn costs both threads their caches:
# suppression of a backlog was 1.05 times as fast, in the median of five pairs.
SWITCH_SECONDS_HELD: Final = 0.005


class HeldPartitions:
    """A set of partitions. While it holds any, threads take turns seldom; the interval is that of the process."""

    def __init__(self) -> None:
        self.partitions: set[TP] = set()
        self._switch()

    def add(self, tp: TP) -> None:
        """Hold one."""
        self.partitions.add(tp)
        self._switch()

    def discard(self, tp: TP) -> None:
        """Hold it no longer."""
        self.partitions.discard(tp)
        self._switch()

    def clear(self) -> None:
        """Hold none."""
        self.partitions.clear()
        self._switch()

    def _switch(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS_HELD if self.partitions else SWITCH_SECONDS)
