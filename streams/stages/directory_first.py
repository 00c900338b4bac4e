"""The directory first: who would be told what is known only once it is read.

A lane whose app id is new, or whose offsets were lost, reads all topics from their beginning, in no order.
Notifications would end as NO_DEVICE, and changes be decided over devices that are years old. So those wait until the
topics of the directory are read as far as they went when the partition was opened; usually nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.lane.lane import LaneContext


class DirectoryFirst:
    """Holds the topics of `waiting` back; `opened_with` has the positions and the ends of all."""

    def __init__(self, opened_with: LaneContext, waiting: Iterable[str]) -> None:
        self._context = opened_with
        self._waiting = tuple(waiting)
        self._missing = {
            topic: end
            for topic, end in opened_with.ends.items()
            if topic in opened_with.positions and topic not in self._waiting and opened_with.positions[topic] < end
        }
        if self._missing:
            for topic in self._waiting:
                opened_with.hold(topic, opened_with.partition)

    @property
    def is_missing(self) -> bool:
        """Whether anything of the directory is still to be read."""
        return bool(self._missing)

    def reached(self, topic: str, position: int) -> None:
        """Note how far a topic was read; what waited may come once nothing is missing."""
        if position >= self._missing.get(topic, position + 1):
            del self._missing[topic]
            if not self._missing:
                for each in self._waiting:
                    self._context.release(each, self._context.partition)
