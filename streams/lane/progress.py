"""How far a lane has come in each of its topics, and since when the oldest that it has read waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from .chunk import Chunk


class LaneProgress:
    """Notes chunks when they arrive and offsets when they are committed: nothing for each record.

    `offsets`: what is committed, by topic.
    """

    def __init__(self, positions: Mapping[str, int]) -> None:
        self.offsets = dict(positions)
        self._waiting: dict[str, deque[tuple[int, int]]] = {topic: deque() for topic in positions}

    def arrived(self, chunk: Chunk) -> None:
        """Note a chunk: where it ends, and when its first record was written."""
        if chunk.records:
            self._waiting[chunk.topic].append((chunk.end, chunk.records[0].timestamp))

    def committed(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Note what a step has committed."""
        for (topic, _), offset in offsets.items():
            self.offsets[topic] = offset
            waiting = self._waiting[topic]
            while waiting and waiting[0][0] <= offset:
                waiting.popleft()

    def oldest_ms(self, topic: str) -> int | None:
        """When the oldest chunk that is not committed was written, milliseconds since the epoch; None: there is none.

        Of a chunk that is committed in part it is still the first record that counts.
        """
        waiting = self._waiting[topic]
        return waiting[0][1] if waiting else None
