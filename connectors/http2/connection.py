"""A `Session` on a TLS connection of asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

from connectors.http2.answer import CONNECT_FAILED, Answer, Failure
from connectors.http2.frames import ProtocolError
from connectors.http2.session import Ended, Session

# Addresses of a host, in the order in which to try them. Raises OSError where there are none.
Resolve = Callable[[str, int], Awaitable[list[str]]]

# Above this, bytes wait in the process instead of the socket, and a request handed over would not have left yet.
_WRITE_BUFFER_BYTES_MAX = 65_536
# A server whose frames make us answer (PING, SETTINGS) without reading what we say is not worth the memory.
_WRITE_BUFFER_BYTES_ABORT = 4_194_304


class ConnectError(Exception):
    """No connection could be opened; nothing was asked. A `Resolve` may raise it with a reason of its own."""

    def __init__(self, detail: str, reason: str = CONNECT_FAILED) -> None:
        super().__init__(detail)
        self.reason = reason


class Connection(asyncio.Protocol):
    """Streams end by their future; `on_capacity` is called whenever another request may be possible, or none ever."""

    def __init__(self, session: Session, on_capacity: Callable[[], None]) -> None:
        self.session = session
        self._on_capacity = on_capacity
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[Answer | Failure]] = {}
        self._writable = True
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.received_at = self.used_at = self._loop.time()

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        transport = self._transport = cast(asyncio.Transport, made)  # uvloop's is one in all but its base class
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES_MAX)
        tls = transport.get_extra_info("ssl_object")
        if tls is None or tls.selected_alpn_protocol() != "h2":
            self._fail("the server does not speak HTTP/2")
            return
        self.flush()

    def capacity(self) -> int:
        """How many requests may be written now."""
        return self.session.capacity() if self._writable and self._transport is not None else 0

    def register(self, stream_id: int, future: asyncio.Future[Answer | Failure]) -> None:
        self._waiting[stream_id] = future
        self.used_at = self._loop.time()

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
        """Take no further request, and close when the last answer is here."""
        self.session.draining = True
        self._close_when_drained()

    def abort(self, detail: str) -> None:
        """Close now; what is in flight may have arrived."""
        self._fail(detail)

    def _deliver(self, ended: list[Ended]) -> None:
        for stream_id, result in ended:
            future = self._waiting.pop(stream_id, None)
            if future is not None and not future.done():
                future.set_result(result)

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


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS as RFC 9113 section 9.2 asks for it; `ca_file` replaces the system's authorities. Raises OSError."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context


async def resolve_by_system(host: str, port: int) -> list[str]:
    """All addresses of the host, as the system has them."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=2)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


async def connect(
    host: str,
    port: int,
    make: Callable[[], Connection],
    context: ssl.SSLContext,
    resolve: Resolve,
    timeout_seconds: float,
) -> Connection:
    """A connection that has seen the server's SETTINGS. Raises ConnectError for whatever stands in the way."""
    loop = asyncio.get_running_loop()
    detail = f"no address for {host}"
    try:
        async with asyncio.timeout(timeout_seconds):
            for address in await resolve(host, port):
                connection: Connection | None = None
                try:
                    # Half of the time at most, so that an address that swallows packets leaves time for the next.
                    async with asyncio.timeout(timeout_seconds / 2):
                        _, connection = await loop.create_connection(
                            make, address, port, ssl=context, server_hostname=host, ssl_shutdown_timeout=1.0
                        )
                        await connection.ready
                        return connection
                except (OSError, ConnectError) as error:  # TimeoutError is an OSError
                    detail = str(error) or f"{address} did not answer in time"
                finally:
                    if connection is not None and not connection.session.settled:
                        connection.abort("given up while connecting")
    except TimeoutError:
        detail = f"no connection within {timeout_seconds:g} s"
    except (OSError, UnicodeError) as error:  # UnicodeError: the name is no host name
        detail = str(error)
    raise ConnectError(detail)
