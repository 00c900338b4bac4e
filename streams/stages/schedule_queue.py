"""The pending rows of one kind, in due order, read from the front and never from before it."""

from __future__ import annotations

from bisect import bisect_left

from streams.lane.table import LaneTable
from streams.stages.schedule_table import read_pending


class DueQueue:
    """Knows the front, before which no row is, and when the first one is due.

    A scan from the very front of the table would walk over the tombstones of all that was ever released, at every step.
    So the front is kept, over restarts too; it moves past what was cancelled as well.
    """

    def __init__(self, table: LaneTable, partition: int, prefix: bytes, front: bytes) -> None:
        self._table = table
        self._partition = partition
        self._prefix = prefix
        self._end = bytes((prefix[0] + 1,))
        self._last = prefix + b"\xff" * 17  # after every row: what comes next lowers the front to itself
        self.front = front
        rows = table.scan(partition, front, self._end, 1)
        self.next_at = read_pending(rows[0][0]).due_at if rows else None

    def due(self, now: int, rows_max: int) -> list[tuple[bytes, bytes]]:
        """Take at most so many rows that are due, in due order; the step that removes them must be committed."""
        if self.next_at is None or self.next_at > now or rows_max <= 0:
            return []
        rows = self._table.scan(self._partition, self.front, self._end, rows_max + 1)
        count = min(rows_max, bisect_left(rows, (self._end_of(now),)))
        if count == len(rows):
            self.front, self.next_at = self._last, None
        else:
            self.front = rows[count][0]
            self.next_at = read_pending(self.front).due_at
        return rows[:count]

    def _end_of(self, now: int) -> bytes:
        """Before this key lies what is due."""
        return self._prefix + (now + 1).to_bytes(8, "big")

    def put(self, key: bytes, due_at: int) -> None:
        """Note a new row."""
        if key < self.front:
            self.front = key
        if self.next_at is None or due_at < self.next_at:
            self.next_at = due_at
