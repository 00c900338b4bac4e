"""Requests to one origin over a few HTTP/2 connections. README.md: how close to the write `may_start` is asked."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from connectors.http2.answer import (
    CLOSED,
    DEADLINE_PASSED,
    HEADERS_TOO_LARGE,
    QUEUE_TIMEOUT,
    TIMEOUT,
    Answer,
    Failure,
)
from connectors.http2.connection import ConnectError, Connection, Resolve, connect, resolve_by_system, tls_context
from connectors.http2.headers import Fields
from connectors.http2.session import Session

logger = logging.getLogger(__name__)

# After a failed connect, the next one waits: 0.1 s doubling to 2 s, so that an outage is noticed soon after its end.
_BACKOFF_SECONDS_FIRST = 0.1
_BACKOFF_SECONDS_MAX = 2.0
# Requests written in one piece. The first of them has been asked `may_start` about 2 ms before the write.
_BATCH_MAX = 64


@dataclass(frozen=True, slots=True)
class Http2Config:
    """One origin. `ca_file` replaces the system's authorities.

    `streams_max` is our own limit per connection, the server's lower one is honoured. `drain_seconds`: how long
    `close` waits for answers.
    """

    host: str
    port: int
    ca_file: str | None = None
    connections: int = 2
    streams_max: int = 500
    connect_timeout_seconds: float = 5.0
    ping_interval_seconds: float = 30.0
    ping_timeout_seconds: float = 10.0
    drain_seconds: float = 5.0

    @classmethod
    def for_url(
        cls,
        url: str,
        setting: str,
        *,
        ca_file: str | None,
        connections: int,
        streams_max: int,
        connect_timeout_seconds: float,
    ) -> Http2Config:
        """For the origin of `url`. Raises ValueError, naming `setting`, for anything but https://host[:port]."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise ValueError(f"{setting} must be https://host or https://host:port, not {url!r}")
        return cls(
            parts.hostname,
            parts.port or 443,
            ca_file,
            connections=connections,
            streams_max=streams_max,
            connect_timeout_seconds=connect_timeout_seconds,
        )

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


class _Request:
    __slots__ = ("body", "connection", "differing", "future", "may_start", "path", "staying", "stream_id")

    def __init__(
        self,
        path: str,
        staying: Fields,
        differing: Fields,
        body: bytes,
        may_start: Callable[[], bool],
        future: asyncio.Future[Answer | Failure],
    ) -> None:
        self.path = path
        self.staying = staying
        self.differing = differing
        self.body = body
        self.may_start = may_start
        self.future = future
        self.connection: Connection | None = None
        self.stream_id = 0


class Http2Client:
    """Requests wait here, in order, until a connection has a free stream and an empty write buffer; they never wait
    inside a connection. Nothing is ever sent twice: a failure goes to the caller, who knows what it means."""

    def __init__(self, config: Http2Config, resolve: Resolve = resolve_by_system) -> None:
        """Raises OSError (ssl.SSLError) where the CA file cannot be read."""
        self._config = config
        self._resolve = resolve
        self._context = tls_context(config.ca_file)
        self._queue: deque[_Request] = deque()
        self._connections: list[Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._pump_scheduled = False
        self._watch: asyncio.TimerHandle | None = None
        self._backoff_seconds = 0.0
        self._connect_at = 0.0
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests written and not answered, and requests that wait to be written."""
        return sum(connection.session.streams_open for connection in self._connections) + len(self._queue)

    async def request(
        self,
        path: str,
        staying: Fields,
        differing: Fields,
        body: bytes,
        timeout_seconds: float,
        may_start: Callable[[], bool],
    ) -> Answer | Failure:
        """POST. `staying` are header fields that repeat over many requests (pass equal tuples), `differing` the rest.

        Names in lower case. Cancelled, it takes the request out of the queue, or resets its stream.
        """
        if self._closed:
            return Failure(False, CLOSED)
        if timeout_seconds <= 0:  # it would be written first and time out then, and nobody would know
            return Failure(False, QUEUE_TIMEOUT, "no time left")
        loop = asyncio.get_running_loop()
        request = _Request(path, staying, differing, body, may_start, loop.create_future())
        self._queue.append(request)
        self._schedule_pump()
        timer = loop.call_later(timeout_seconds, self._expire, request)
        try:
            return await request.future
        finally:
            timer.cancel()
            if request.future.cancelled() and request.connection is not None:
                request.connection.cancel(request.stream_id)

    async def close(self) -> None:
        """Fail what is unsent, wait `drain_seconds` for answers, then close; what is left may have arrived."""
        self._closed = True
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        self._fail_queue(Failure(False, CLOSED))
        if self._watch is not None:
            self._watch.cancel()
        lost = [connection.lost for connection in self._connections]
        for connection in list(self._connections):
            connection.retire()
        if lost:
            _, pending = await asyncio.wait(lost, timeout=self._config.drain_seconds)
            for connection in list(self._connections):
                connection.abort("closed")
            if pending:
                await asyncio.wait(pending, timeout=1.0)

    def _expire(self, request: _Request) -> None:
        if request.future.done():
            return
        if request.connection is None:
            request.future.set_result(Failure(False, QUEUE_TIMEOUT, "no free stream in time"))
            self._schedule_pump()  # takes it out of the queue
            return
        request.future.set_result(Failure(True, TIMEOUT))
        request.connection.cancel(request.stream_id)

    def _schedule_pump(self) -> None:
        """Once per iteration of the loop, however many requests it brought: they leave in one write."""
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        queue = self._queue
        self._connections = [connection for connection in self._connections if not connection.lost.done()]
        while queue:
            if queue[0].future.done():  # timed out or cancelled while it waited
                queue.popleft()
                continue
            connection = max(self._connections, key=Connection.capacity, default=None)
            if connection is None or not self._write_batch(connection):
                break
        if queue:
            self._grow()

    def _write_batch(self, connection: Connection) -> int:
        """Write what the connection takes now; how many requests left the queue."""
        queue, session = self._queue, connection.session
        # Spread over the connections: one that took everything would make the others useless.
        room = min(connection.capacity(), _BATCH_MAX)
        taken = 0
        while queue and taken < room and session.admits(len(queue[0].body)):
            request = queue.popleft()
            taken += 1
            if not request.future.done():
                self._write(connection, request)
        connection.flush()
        return taken

    def _write(self, connection: Connection, request: _Request) -> None:
        try:
            if not request.may_start():
                request.future.set_result(Failure(False, DEADLINE_PASSED))
                return
            stream_id = connection.session.open(request.path, request.staying, request.differing, request.body)
        except Exception as error:  # what the caller passed in is wrong: it is told, and the others go on
            request.future.set_exception(error)
            return
        if stream_id is None:
            request.future.set_result(Failure(False, HEADERS_TOO_LARGE))
            connection.retire()
            return
        request.connection, request.stream_id = connection, stream_id
        connection.register(stream_id, request.future)

    def _grow(self) -> None:
        """Open a connection where there is work and room for one."""
        usable = sum(not connection.session.draining for connection in self._connections)
        if self._closed or self._connecting or usable >= self._config.connections:
            return
        task = asyncio.get_running_loop().create_task(self._connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._connect_at - loop.time()))
        config = self._config

        def make() -> Connection:
            return Connection(Session(config.authority, config.streams_max), self._on_capacity)

        try:
            connection = await connect(
                config.host, config.port, make, self._context, self._resolve, config.connect_timeout_seconds
            )
        except ConnectError as error:
            self._backoff_seconds = min(max(_BACKOFF_SECONDS_FIRST, self._backoff_seconds * 2), _BACKOFF_SECONDS_MAX)
            self._connect_at = loop.time() + self._backoff_seconds
            logger.info("no connection to %s: %s", config.authority, error)
            if not any(not known.session.draining for known in self._connections):
                self._fail_queue(Failure(False, error.reason, str(error)))
            return
        self._backoff_seconds = 0.0
        self._connect_at = 0.0
        self._connections.append(connection)
        if self._watch is None:
            self._watch = loop.call_later(config.ping_timeout_seconds, self._check)
        loop.call_soon(self._schedule_pump)  # after this task is out of `_connecting`

    def _on_capacity(self) -> None:
        if self._queue:
            self._schedule_pump()

    def _check(self) -> None:
        self._watch = None
        for connection in self._connections:
            connection.check(self._config.ping_interval_seconds, self._config.ping_timeout_seconds)
        if not self._closed and self._connections:
            interval_seconds = min(self._config.ping_timeout_seconds, self._config.ping_interval_seconds)
            self._watch = asyncio.get_running_loop().call_later(interval_seconds, self._check)

    def _fail_queue(self, failure: Failure) -> None:
        while self._queue:
            future = self._queue.popleft().future
            if not future.done():
                future.set_result(failure)
