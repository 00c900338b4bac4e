"""How far a partition may be committed while its records end out of order."""

from __future__ import annotations

from collections import deque


class OffsetTracker:
    """The committable offset is that of the first record whose outcome is not durable, and nothing else.

    Faust 0.15.3 commits past a record that is still in flight (upstream #606): in flight 2585, done 2586 to 2589, and
    it commits 2590. Here it stays at 2585.
    """

    def __init__(self, position: int) -> None:
        self._position = position
        self._committed = position
        self._open: deque[int] = deque()
        self._done: set[int] = set()

    def opened(self, offset: int) -> None:
        """Note a record that was taken; in order of their offsets."""
        self._open.append(offset)

    def reached(self, position: int) -> None:
        """Note that everything before this position was taken, markers included."""
        self._position = position

    def done(self, offset: int) -> None:
        """Note that the outcome of a record is part of the next commit."""
        self._done.add(offset)

    @property
    def in_flight(self) -> int:
        """Records that were taken and are not done."""
        return len(self._open) - len(self._done)

    @property
    def taken(self) -> int:
        """The offset behind the last record that was taken."""
        return self._open[-1] + 1 if self._open else self._position

    def committable(self) -> int:
        """Return the offset up to which everything is done."""
        while self._open and self._open[0] in self._done:
            self._done.discard(self._open.popleft())
        return self._open[0] if self._open else self._position

    def pending(self) -> int | None:
        """Return the committable offset if it is beyond the committed one, else None."""
        offset = self.committable()
        return offset if offset > self._committed else None

    def committed(self, offset: int) -> None:
        """Note that everything before this offset is committed."""
        self._committed = offset
