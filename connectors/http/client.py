"""Requests to one origin, over a few HTTP/2 connections or, where the server speaks nothing newer, more of HTTP/1.1.

connectors/http2/README.md: how close to the write `may_start` is asked.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import methodcaller

from connectors.exchange import (
    CLOSED,
    CONNECT_FAILED,
    DEADLINE_PASSED,
    HEADERS_TOO_LARGE,
    QUEUE_TIMEOUT,
    TIMEOUT,
    Answer,
    ConnectError,
    Failure,
    Post,
    Told,
)
from connectors.http.asked import Asked
from connectors.http.config import HTTP1_CONNECTIONS_FACTOR, HttpConfig
from connectors.http.connect import Connection, Resolve, connect, resolve_by_system, tls_context
from connectors.http.deadlines import Deadlines
from connectors.http1.connection import Http1Connection
from connectors.http1.session import Session as Http1Session
from connectors.http2.connection import Http2Connection
from connectors.http2.session import Session as Http2Session

logger = logging.getLogger(__name__)

# After a failed connect, the next one waits: 0.1 s doubling to 2 s, so that an outage is noticed soon after its end.
_BACKOFF_SECONDS_FIRST = 0.1
_BACKOFF_SECONDS_MAX = 2.0
# So many handshakes of HTTP/1.1 are under way at a time.
_HTTP1_CONNECTING_MAX = 8
# A server that ends a new connection within this, before any request was written, takes none.
_CUT_AT_ONCE_SECONDS = 1.0
# Requests written in one piece. The first of them has been asked `may_start` about 2 ms before the write.
_BATCH_MAX = 64


class HttpClient:
    """Requests wait here, in order, until a connection can take one and has an empty write buffer; they never wait
    inside a connection. Nothing is ever sent twice: a failure goes to the caller, who knows what it means."""

    def __init__(
        self, config: HttpConfig, resolve: Resolve = resolve_by_system, context: ssl.SSLContext | None = None
    ) -> None:
        """`context`: shared by several clients, in place of the CA file. Raises OSError where that cannot be read."""
        self._config = config
        self._resolve = resolve
        self._context = context or tls_context(config.ca_file, http1=config.http1)
        self._queue: deque[Asked] = deque()
        self._deadlines: Deadlines[Asked] = Deadlines(self._expire)
        self._connections: list[Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._pump_scheduled = False
        self._watch: asyncio.TimerHandle | None = None
        self._speaks_http1 = False
        self._backoff_seconds = 0.0
        self._connect_at = 0.0
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests written and not answered, and requests that wait to be written."""
        return sum(connection.in_flight for connection in self._connections) + len(self._queue)

    def ask(self, post: Post, timeout_seconds: float, may_start: Callable[[], bool], told: Told) -> Asked | Failure:
        """Send it; `told` is called later, unless it ends here already or is cancelled."""
        if self._closed:
            return Failure(False, CLOSED)
        if timeout_seconds <= 0:  # it would be written first and time out then, and nobody would know
            return Failure(False, QUEUE_TIMEOUT, "no time left")
        loop = asyncio.get_running_loop()
        asked = Asked(post, may_start, told, self._deadlines)
        self._queue.append(asked)
        if not self._pump_scheduled:
            self._pump_scheduled = True
            loop.call_soon(self._pump)
        self._deadlines.add(asked, timeout_seconds, loop)
        return asked

    async def request(self, post: Post, timeout_seconds: float, may_start: Callable[[], bool]) -> Answer | Failure:
        """As `ask`, for who waits for it. Raises what was wrong with it."""
        future: asyncio.Future[Answer | Failure] = asyncio.get_running_loop().create_future()
        asked = self.ask(post, timeout_seconds, may_start, partial(_set, future))
        if isinstance(asked, Failure):
            return asked
        try:
            return await future
        finally:
            asked.cancel()

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
        self._deadlines.close()

    def _expire(self, asked: Asked) -> None:
        if asked.connection is None:
            asked.end(Failure(False, QUEUE_TIMEOUT, "no free connection in time"))
            self._schedule_pump()  # takes it out of the queue
            return
        asked.end(Failure(True, TIMEOUT))
        asked.connection.cancel(asked.stream_id)

    def _schedule_pump(self) -> None:
        """Once per iteration of the loop, however many requests it brought: they leave in one write."""
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        queue = self._queue
        while queue:
            if queue[0].is_over:  # timed out or cancelled while it waited
                queue.popleft()
                continue
            connection = max(self._connections, key=_capacity, default=None)
            room = 0 if connection is None else connection.capacity()
            if connection is None or room <= 0 or not (self._write_batch(connection, room) or connection.draining):
                break
        if queue:
            self._grow()

    def _write_batch(self, connection: Connection, room: int) -> int:
        """Write what the connection takes now; how many requests left the queue."""
        queue = self._queue
        # Spread over the connections: one that took everything would make the others useless.
        room = min(room, _BATCH_MAX)
        taken = 0
        while queue and taken < room and connection.admits(len(queue[0].post.body)):
            asked = queue.popleft()
            taken += 1
            if not asked.is_over:
                self._write(connection, asked)
        connection.flush()
        if taken:
            self._backoff_seconds = 0.0  # whoever takes requests is there
        return taken

    def _write(self, connection: Connection, asked: Asked) -> None:
        try:
            if not asked.may_start():
                asked.end(Failure(False, DEADLINE_PASSED))
                return
            stream_id = connection.open(asked.post, asked.end)
        except Exception as error:  # what the caller passed in is wrong: it is told, and the others go on
            asked.end(error)
            return
        if stream_id is None:
            asked.end(Failure(False, HEADERS_TOO_LARGE))
            connection.retire()
            return
        asked.connection, asked.stream_id = connection, stream_id

    def _grow(self) -> None:
        """Open a connection, or several of HTTP/1.1, where there is work and room for it."""
        if self._closed:
            return
        usable_max, connecting_max = self._config.connections, 1
        if self._speaks_http1:
            usable_max *= HTTP1_CONNECTIONS_FACTOR
            if not self._backoff_seconds:
                connecting_max = min(_HTTP1_CONNECTING_MAX, len(self._queue))
        usable = len(self._usable())
        while len(self._connecting) < min(connecting_max, usable_max - usable):
            task = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _usable(self) -> list[Connection]:
        return [connection for connection in self._connections if not connection.draining]

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._connect_at - loop.time()))
        config = self._config
        try:
            connection = await connect(
                config.host, config.port, self._make, self._context, self._resolve, config.connect_timeout_seconds
            )
        except ConnectError as error:
            self._connect_failed(str(error), error.reason)
            return
        self._speaks_http1 = isinstance(connection, Http1Connection)
        self._connections.append(connection)
        connection.lost.add_done_callback(partial(self._on_lost, connection, loop.time()))
        if self._watch is None:
            self._watch = loop.call_later(config.ping_timeout_seconds, self._check)
        loop.call_soon(self._schedule_pump)  # after this task is out of `_connecting`

    def _make(self, protocol: str | None) -> Connection | None:
        config = self._config
        if protocol == "h2":
            return Http2Connection(Http2Session(config.authority, config.streams_max), self._on_capacity)
        if not config.http1:
            return None
        return Http1Connection(Http1Session(config.authority), self._on_capacity)

    def _connect_failed(self, detail: str, reason: str = CONNECT_FAILED) -> None:
        self._backoff_seconds = min(max(_BACKOFF_SECONDS_FIRST, self._backoff_seconds * 2), _BACKOFF_SECONDS_MAX)
        self._connect_at = asyncio.get_running_loop().time() + self._backoff_seconds
        logger.info("no connection to %s: %s", self._config.authority, detail)
        if not self._usable():
            self._fail_queue(Failure(False, reason, detail))

    def _on_lost(self, connection: Connection, made_at: float, _: asyncio.Future[None]) -> None:
        self._connections.remove(connection)
        # HTTP/2 greets before anything is asked; here a server that takes no request shows only now.
        unused = isinstance(connection, Http1Connection) and not connection.requests and not self._closed
        if unused and asyncio.get_running_loop().time() - made_at < _CUT_AT_ONCE_SECONDS:
            self._connect_failed("the server ends connections before it was asked anything")
        self._on_capacity()

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
        """Those that wait now; who is told may ask for more, which are not among them."""
        queue, self._queue = self._queue, deque()
        for asked in queue:
            asked.end(failure)


def _set(future: asyncio.Future[Answer | Failure], result: Answer | Failure | Exception) -> None:
    if not future.done():
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


_capacity = methodcaller("capacity")
