"""A `Session` on a connection of asyncio."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

from connectors.exchange import Answer, Failure, Post, Told
from connectors.http1.session import Session

# An idle connection is not used again after this. Servers close theirs after 5 s (Node, uvicorn, Apache) or later, and
# a request that meets the close on its way may have arrived. One that says how long it waits is believed, and left a
# second before.
IDLE_SECONDS = 4.0
IDLE_SECONDS_TOLD_MAX = 60.0
_IDLE_MARGIN_SECONDS = 1.0


class Http1Connection(asyncio.Protocol):
    """See `connectors.http.connect.Connection`. It takes one request at a time."""

    def __init__(self, session: Session, on_capacity: Callable[[], None]) -> None:
        self._session = session
        self._on_capacity = on_capacity
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._told: Told | None = None
        self._output = b""
        self._retired = False
        self._idle_since = self._loop.time()
        self._idle_seconds_max = IDLE_SECONDS
        self.requests = 0
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, made)  # uvloop's is one in all but its base class
        socket = self._transport.get_extra_info("socket")
        if socket is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(socket.fileno(), select.POLLIN)
        self.ready.set_result(None)

    @property
    def in_flight(self) -> int:
        return 1 if self._session.busy else 0

    @property
    def draining(self) -> bool:
        return self._retired or self._session.closing or self._idle_too_long()

    def capacity(self) -> int:
        transport = self._transport
        if transport is None or transport.is_closing() or self._session.busy or self.draining:
            return 0
        return 1

    def admits(self, body_bytes: int) -> bool:
        """Whether the server has said nothing since the last answer. What could be read now is its end, mostly: a
        close that is in our socket already, and that the event loop has not come to."""
        if self.requests and self._poll is not None and self._poll.poll(0):
            self.retire()
            return False
        return True

    def open(self, post: Post, told: Told) -> int:
        self._output = self._session.open(post)
        self._told = told
        self.requests += 1
        return self.requests

    def flush(self) -> None:
        if self._output and self._transport is not None:
            self._transport.write(self._output)
            self._output = b""

    def cancel(self, stream_id: int) -> None:
        """Give the request up, and with it the connection: whatever is answered now belongs to nobody."""
        if stream_id == self.requests and self._session.busy:
            self._told = None
            self.abort("given up")

    def data_received(self, data: bytes) -> None:
        if not self._session.busy:  # nobody asked: whatever it is, the next answer could not be told from it
            self.abort("the server spoke first")
            return
        self._end(self._session.feed(data))

    def eof_received(self) -> None:
        self._end(self._session.feed(b""))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self._poll = None
        self._end(self._session.lose(str(exc) if exc is not None else "closed by the server"))
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_capacity()

    def check(self, ping_interval_seconds: float, ping_timeout_seconds: float) -> None:
        """Called now and then. There is no PING in HTTP/1.1: an idle connection is closed before the server does it."""
        if self._idle_too_long():
            self.retire()

    def retire(self) -> None:
        self._retired = True
        if not self._session.busy and self._transport is not None:
            self._transport.close()

    def abort(self, detail: str) -> None:
        self._end(self._session.lose(detail))
        if self._transport is not None:
            self._transport.abort()

    def _end(self, result: Answer | Failure | None) -> None:
        transport = self._transport
        if result is not None:
            self._idle_since = self._loop.time()
            keep_alive_seconds = self._session.keep_alive_seconds
            if keep_alive_seconds is not None:
                self._idle_seconds_max = min(keep_alive_seconds, IDLE_SECONDS_TOLD_MAX) - _IDLE_MARGIN_SECONDS
            told, self._told = self._told, None
            if told is not None:
                told(result)
            self._on_capacity()
        if transport is not None and not self._session.busy and (self._retired or self._session.closing):
            transport.close()

    def _idle_too_long(self) -> bool:
        return not self._session.busy and self._loop.time() - self._idle_since >= self._idle_seconds_max
