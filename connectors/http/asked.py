"""A request on its way, from our queue to its end."""

from __future__ import annotations

from collections.abc import Callable

from connectors.exchange import Answer, Failure, Post, Told
from connectors.http.connect import Connection
from connectors.http.deadlines import Deadlines


class Asked:
    """A request that is on its way. `told` is called with its end, unless it is cancelled before."""

    __slots__ = ("_deadlines", "_told", "connection", "may_start", "post", "stream_id")

    def __init__(self, post: Post, may_start: Callable[[], bool], told: Told, deadlines: Deadlines[Asked]) -> None:
        self.post = post
        self.may_start = may_start
        self.connection: Connection | None = None
        self.stream_id = 0
        self._told: Told | None = told
        self._deadlines = deadlines

    @property
    def is_over(self) -> bool:
        return self._told is None

    def end(self, result: Answer | Failure | Exception) -> None:
        """Tell, if it is not over yet."""
        told, self._told = self._told, None
        if told is not None:
            self._deadlines.discard(self)
            told(result)

    def cancel(self) -> None:
        """Take it out of the queue, or reset its stream (of HTTP/1.1, its connection), if it is not over yet."""
        told, self._told = self._told, None
        if told is not None:
            self._deadlines.discard(self)
            if self.connection is not None:
                self.connection.cancel(self.stream_id)
