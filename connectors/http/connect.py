"""Opening a connection: addresses, TLS, and the protocol that both sides speak (ALPN, RFC 7301)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from connectors.exchange import ConnectError, Post, Told

# Addresses of a host, in the order in which to try them. Raises OSError where there are none, or a ConnectError.
Resolve = Callable[[str, int], Awaitable[list[str]]]


class Connection(Protocol):
    """What both protocols have in common. Requests end by their future.

    It tells its owner whenever another request may be possible, or none ever. `ready` is done once requests may be
    written, `lost` when the connection is gone. `draining`: it takes no further request.
    """

    ready: asyncio.Future[None]
    lost: asyncio.Future[None]

    @property
    def in_flight(self) -> int: ...

    @property
    def draining(self) -> bool: ...

    def capacity(self) -> int:
        """How many requests may be written now."""

    def admits(self, body_bytes: int) -> bool:
        """Whether it takes a request with so long a body at once: asked right before `open`."""

    def open(self, post: Post, told: Told) -> int | None:
        """Encode a request, which `flush` writes: its number. None: its headers are too large, nothing of it leaves.

        Raises ValueError for text that does not belong in a request.
        """

    def flush(self) -> None:
        """Write what there is to say, in one piece."""

    def cancel(self, stream_id: int) -> None:
        """The answer to this request is not wanted any more."""

    def check(self, ping_interval_seconds: float, ping_timeout_seconds: float) -> None:
        """Called now and then: find out whether the server is still there."""

    def retire(self) -> None:
        """Take no further request, and close when the last answer is here."""

    def abort(self, detail: str) -> None:
        """Close now; what is in flight may have arrived."""

    def connection_made(self, made: asyncio.BaseTransport) -> None: ...


class _Greeting(asyncio.Protocol):
    """Stands in until the handshake has said which protocol it is to be."""

    def __init__(self, make: Callable[[str | None], Connection | None]) -> None:
        self._make = make
        self.connection: Connection | None = None

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, made)
        self.connection = self._make(transport.get_extra_info("ssl_object").selected_alpn_protocol())
        if self.connection is None:
            transport.abort()
            return
        transport.set_protocol(cast(asyncio.Protocol, self.connection))
        self.connection.connection_made(transport)


def tls_context(ca_file: str | None, *, http1: bool) -> ssl.SSLContext:
    """TLS as RFC 9113 section 9.2 asks for it; `ca_file` replaces the system's authorities. Raises OSError."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"] if http1 else ["h2"])
    return context


async def resolve_by_system(host: str, port: int) -> list[str]:
    """All addresses of the host, as the system has them."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=2)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


async def connect(
    host: str,
    port: int,
    make: Callable[[str | None], Connection | None],
    context: ssl.SSLContext,
    resolve: Resolve,
    timeout_seconds: float,
) -> Connection:
    """A connection that may be written to. Raises ConnectError for whatever stands in the way.

    `make` gets the protocol that the server chose by ALPN (None: it chose none), and gives none where it is no use.
    """
    loop = asyncio.get_running_loop()
    detail = f"no address for {host}"
    try:
        async with asyncio.timeout(timeout_seconds):
            for address in await resolve(host, port):
                greeting = _Greeting(make)
                given = False
                try:
                    # Half of the time at most, so that an address that swallows packets leaves time for the next.
                    async with asyncio.timeout(timeout_seconds / 2):
                        await loop.create_connection(
                            lambda made=greeting: made,  # type: ignore[misc] # mypy infers no lambda with a default
                            address,
                            port,
                            ssl=context,
                            server_hostname=host,
                            ssl_shutdown_timeout=1.0,
                        )
                        if greeting.connection is None:
                            raise ConnectError("the server does not speak HTTP/2")
                        await greeting.connection.ready
                        given = True
                        return greeting.connection
                except (OSError, ConnectError) as error:  # TimeoutError is an OSError
                    detail = str(error) or f"{address} did not answer in time"
                finally:
                    if greeting.connection is not None and not given:
                        greeting.connection.abort("given up while connecting")
    except TimeoutError:
        detail = f"no connection within {timeout_seconds:g} s"
    except (OSError, UnicodeError) as error:  # UnicodeError: the name is no host name
        detail = str(error)
    raise ConnectError(detail)
