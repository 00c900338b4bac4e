"""hyper-h2 on asyncio: HTTP/2 in Python with nothing around it, and one write for what one turn of the loop brings."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any, cast
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, WindowUpdated

WINDOW_BYTES = 1 << 24  # for answers


class H2Client(asyncio.Protocol):
    """One connection. A request is a future until its stream has ended."""

    def __init__(self) -> None:
        self._http = H2Connection(H2Configuration(header_encoding=None))
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._statuses: dict[int, int] = {}
        self._flushing = False
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, made: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, made)
        self._http.initiate_connection()
        self._http.increment_flow_control_window(WINDOW_BYTES)
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, ResponseReceived):
                self._statuses[event.stream_id] = int(dict(event.headers)[b":status"])
            elif isinstance(event, DataReceived) and event.flow_controlled_length:
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self._answers.pop(event.stream_id).set_result(self._statuses.pop(event.stream_id))
            elif isinstance(event, StreamReset):
                self._answers.pop(event.stream_id).set_exception(ConnectionError(f"reset: {event.error_code}"))
            elif isinstance(event, WindowUpdated):
                self._room.set()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for answer in self._answers.values():
            answer.set_exception(exc or ConnectionError("the server has closed the connection"))

    async def post(self, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
        """Return the status."""
        http = self._http
        while http.outbound_flow_control_window < len(body):
            self._room.clear()
            await self._room.wait()
        stream_id: int = http.get_next_available_stream_id()
        http.send_headers(stream_id, headers)
        http.send_data(stream_id, body, end_stream=True)
        answer: asyncio.Future[int] = self._loop.create_future()
        self._answers[stream_id] = answer
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return await answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        self._flushing = False
        data = self._http.data_to_send()
        if data and self._transport is not None:
            self._transport.write(data)


async def h2_client(given: dict[str, Any], stack: AsyncExitStack) -> Callable[[bytes], Awaitable[int]]:
    """As many connections as deliver opens, in turns."""
    where = urlsplit(given["url"])
    tls = ssl.create_default_context(cafile=given["ca_file"])
    tls.set_alpn_protocols(["h2"])
    clients = []
    for _ in range(given["connections"]):
        _, client = await asyncio.get_running_loop().create_connection(H2Client, where.hostname, where.port, ssl=tls)
        stack.callback(client.close)
        clients.append(client)
    fields = {":method": "POST", ":scheme": "https", ":authority": where.netloc, ":path": where.path}
    headers = [(name.encode(), value.encode()) for name, value in {**fields, **given["headers"]}.items()]
    turns = cycle(clients)

    async def post(body: bytes) -> int:
        return await next(turns).post(headers, body)

    return post
