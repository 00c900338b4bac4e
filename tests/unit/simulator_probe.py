"""A bare HTTP/2 client that tells apart what a push client must tell apart: answers, resets, GOAWAY, and cuts."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events

from tests.unit.simulator_bench import Call


@dataclass
class Answer:
    """What became of one stream."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset_code: int | None = None


class Probe(asyncio.Protocol):
    """One connection. `closed`: the server ended it."""

    def __init__(self) -> None:
        self.answers: dict[int, Answer] = {}
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.ended: list[int] = []  # streams in the order in which their answers were complete
        self.closed = False
        self.close_error: Exception | None = None
        self.settings: dict[Any, Any] = {}
        config = h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast(asyncio.Transport, transport)
        self.h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it."""
        self.closed, self.close_error = True, exc
        self._changed.set()

    def data_received(self, data: bytes) -> None:
        """Note what came."""
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                headers = dict(cast(list[tuple[str, str]], event.headers))
                answer = self.answers[event.stream_id]
                answer.status, answer.headers = int(headers[":status"]), headers
            elif isinstance(event, h2.events.DataReceived):
                self.answers[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.answers[event.stream_id].ended = True
                self.ended.append(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.answers[event.stream_id].reset_code = int(event.error_code)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goaway = event
                # h2 would take no more frames, but answers to streams below the last one still come.
                self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            elif isinstance(event, h2.events.RemoteSettingsChanged):
                self.settings.update({code: change.new_value for code, change in event.changed_settings.items()})
        self._flush()
        self._changed.set()

    def send(self, *calls: Call) -> list[Answer]:
        """Send all in one write, so that they arrive together."""
        sent = []
        for call in calls:
            url = urlsplit(call.url)
            stream = self.h2.get_next_available_stream_id()
            answer = self.answers[stream] = Answer()
            sent.append(answer)
            pseudo = [(":method", call.method), (":scheme", "https"), (":authority", url.netloc), (":path", url.path)]
            self.h2.send_headers(stream, [*pseudo, *call.headers], end_stream=not call.body)
            if call.body:
                self.h2.send_data(stream, call.body, end_stream=True)
        self._flush()
        return sent

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true` or the end of the connection. The caller limits the time."""
        while not true() and not self.closed:
            self._changed.clear()
            await self._changed.wait()
        assert true(), f"the connection was closed: {self.close_error}"

    async def until_ended(self, *answers: Answer) -> None:
        """Wait until all are answered or reset."""
        await self.until(lambda: all(answer.ended or answer.reset_code is not None for answer in answers))

    def _flush(self) -> None:
        data = self.h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)


async def connect(url: str, tls: ssl.SSLContext) -> Probe:
    """Open a connection."""
    parts = urlsplit(url)
    tls.set_alpn_protocols(["h2"])
    assert parts.hostname is not None
    assert parts.port is not None
    loop = asyncio.get_running_loop()
    _, probe = await loop.create_connection(Probe, parts.hostname, parts.port, ssl=tls)
    return probe
