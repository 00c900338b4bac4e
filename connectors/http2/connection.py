"""A `Session` on a TLS connection of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from connectors.exchange import ConnectError, Post, Told
from connectors.http2.frames import ProtocolError
from connectors.http2.session import Ended, Session

# Above this, bytes wait in the process instead of the socket, and a request handed over would not have left yet.
_WRITE_BUFFER_BYTES_MAX = 65_536
# A server whose frames make us answer (PING, SETTINGS) without reading what we say is not worth the memory.
_WRITE_BUFFER_BYTES_ABORT = 4_194_304


class Http2Connection(asyncio.Protocol):
    """See `connectors.http.connect.Connection`. It takes as many requests as both sides want streams."""

    def __init__(self, session: Session, on_capacity: Callable[[], None]) -> None:
        self.session = session
        self._on_capacity = on_capacity
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, Told] = {}
        self._writable = True
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.received_at = self._loop.time()
        self.admits = session.admits

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        transport = self._transport = cast(asyncio.Transport, made)  # uvloop's is one in all but its base class
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES_MAX)
        self.flush()

    @property
    def in_flight(self) -> int:
        return self.session.streams_open

    @property
    def draining(self) -> bool:
        return self.session.draining

    def capacity(self) -> int:
        return self.session.capacity() if self._writable and self._transport is not None else 0

    def open(self, post: Post, told: Told) -> int | None:
        stream_id = self.session.open(post)
        if stream_id is not None:
            self._waiting[stream_id] = told
        return stream_id

    def cancel(self, stream_id: int) -> None:
        self._waiting.pop(stream_id, None)
        self.session.cancel(stream_id)
        self.flush()
        self._close_when_drained()

    def flush(self) -> None:
        """Write what the session has to say, in one piece."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        data = self.session.take_output()
        if data:
            transport.write(data)
            if not self._writable and transport.get_write_buffer_size() > _WRITE_BUFFER_BYTES_ABORT:
                self._fail("the server does not read")

    def data_received(self, data: bytes) -> None:
        self.received_at = self._loop.time()
        settled = self.session.settled
        try:
            ended = self.session.feed(data)
        except ProtocolError as error:
            self._deliver(self.session.take_ended())
            self.flush()
            self._fail(f"protocol error: {error}")
            return
        self._deliver(ended)
        self.flush()
        if self.session.settled and not settled and not self.ready.done():
            self.ready.set_result(None)
        self._close_when_drained()
        self._on_capacity()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._on_capacity()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        detail = str(exc) if exc is not None else "closed by the server"
        self._deliver(self.session.lose(detail))
        if not self.ready.done():
            self.ready.set_exception(ConnectError(detail))
            self.ready.exception()  # read here, so that nobody has to wait for it
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_capacity()

    def check(self, ping_interval_seconds: float, ping_timeout_seconds: float) -> None:
        """Called now and then: PING a silent server, and give up one that stays silent."""
        silent_seconds = self._loop.time() - self.received_at
        if silent_seconds < ping_interval_seconds:
            return
        if self.session.pings_unanswered and silent_seconds >= ping_interval_seconds + ping_timeout_seconds:
            self._fail("no answer to PING")
        elif not self.session.pings_unanswered:
            self.session.ping()
            self.flush()

    def retire(self) -> None:
        self.session.draining = True
        self._close_when_drained()

    def abort(self, detail: str) -> None:
        self._fail(detail)

    def _deliver(self, ended: list[Ended]) -> None:
        for stream_id, result in ended:
            told = self._waiting.pop(stream_id, None)
            if told is not None:
                told(result)

    def _close_when_drained(self) -> None:
        if self.session.draining and not self.session.streams_open and self._transport is not None:
            self._transport.close()

    def _fail(self, detail: str) -> None:
        self._deliver(self.session.lose(detail))
        if not self.ready.done():
            self.ready.set_exception(ConnectError(detail))
            self.ready.exception()  # read here, so that nobody has to wait for it
        if self._transport is not None:
            self._transport.abort()
        self._on_capacity()
