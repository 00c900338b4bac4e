"""A listening socket that gives each connection to HTTP/2 or HTTP/1.1, as ALPN says (RFC 7301).

On the loopback, unless its authority names another host.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
from typing import cast

from connectors.simulators.exchange import Service
from connectors.simulators.faults import Faults
from connectors.simulators.http1_server import Http1Connection
from connectors.simulators.http2_server import MAX_CONCURRENT_STREAMS, Http2Connection, cut
from connectors.simulators.tls import LOOPBACK, Authority

EVERYWHERE = "0.0.0.0"
# Connections are numbered over all listeners of a process, so that the push log can tell any two apart.
_numbers = itertools.count(1)


class Listener:
    """Serves one `Service` on a free port of 127.0.0.1, or of all addresses where its authority names another host.

    `http1`: clients without HTTP/2 are served too. `authority` None: plain HTTP/1.1, for the control port only.
    `one_stream_first`: over HTTP/2 a client has one stream until it has shown good credentials.
    """

    def __init__(
        self,
        service: Service,
        authority: Authority | None,
        faults: Faults,
        *,
        http1: bool = True,
        one_stream_first: bool = False,
        max_concurrent_streams: int = MAX_CONCURRENT_STREAMS,
    ) -> None:
        self.port = 0
        self.max_concurrent_streams = max_concurrent_streams
        # Looked at when it starts: a server that speaks HTTP/1.1 only.
        self.http2 = True
        self._service = service
        self._authority = authority
        self._host = LOOPBACK if authority is None else authority.host
        self._faults = faults
        self._http1 = http1
        self._one_stream_first = one_stream_first
        self._connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @property
    def origin(self) -> str:
        """The origin that clients use, without a slash at the end."""
        return f"{'http' if self._authority is None else 'https'}://{self._host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    async def start(self, port: int = 0) -> None:
        """Listen. Raises OSError where `port` is taken; 0 takes a free one."""
        context = None
        if self._authority is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(self._authority.cert_file, self._authority.key_file)
            context.set_alpn_protocols(["h2"] * self.http2 + ["http/1.1"] * self._http1)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Greeting(self),
            self._host if self._host == LOOPBACK else EVERYWHERE,
            port,
            ssl=context,
            backlog=1024,
            start_serving=True,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for transport in list(self._connections):
            transport.abort()
        # One turn of the loop for connection_lost; Server.wait_closed() would wait for handshakes that never end.
        await asyncio.sleep(0)

    def protocol_for(self, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """What speaks on a new connection; None: it is to be cut."""
        if self._faults.refuses_connection():
            return None
        connection = transport.get_extra_info("ssl_object")
        if connection is not None and connection.selected_alpn_protocol() == "h2":
            return Http2Connection(
                self._service,
                next(_numbers),
                self._connections,
                self.max_concurrent_streams,
                one_stream_first=self._one_stream_first,
            )
        if self._http1:
            return Http1Connection(self._service, next(_numbers), self._connections)
        return None


class _Greeting(asyncio.Protocol):
    """Stands in until the handshake has said which protocol it is to be."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection over."""
        tcp = cast(asyncio.Transport, transport)
        protocol = self._listener.protocol_for(tcp)
        if protocol is None:
            cut(tcp)
        else:
            tcp.set_protocol(protocol)
            protocol.connection_made(tcp)
