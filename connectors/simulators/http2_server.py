"""One HTTP/2 connection, server side, on hyper-h2: low enough that every fault of the protocol can be shown.

All frames of one read are answered in one write. A request is answered, or struck by a fault, in the instant in which
it is complete; nothing waits for anything else.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from h2.config import H2Configuration
from hyperframe.frame import GoAwayFrame

from connectors.simulators.exchange import BODY_BYTES_MAX, Request, Response, Service
from connectors.simulators.faults import Fault, Strike
from connectors.simulators.header_compression import PlainEncoder, QuickDecoder
from connectors.simulators.http2_request import parse

# What Apple's servers announce once a connection is authenticated, and one before.
MAX_CONCURRENT_STREAMS = 1000
MAX_HEADER_LIST_BYTES = 16 * 1024
# A client that got a GOAWAY closes by itself; one that does not is cut off then.
GOAWAY_LINGER_SECONDS = 2.0
GOAWAY_REASON = b'{"reason":"Shutdown"}'
_CREDENTIALS_REFUSED = (401, 403)


class _Connection(h2.connection.H2Connection):
    """hyper-h2 walks over all streams for each new one, to count the open ones and to drop the closed ones; and it ends
    the connection for one stream too many, which is a stream error (RFC 9113 section 5.1.2)."""

    @property
    def open_inbound_streams(self) -> int:
        """None, as far as hyper-h2 is concerned."""
        return 0

    def has_too_many_streams(self) -> bool:
        """Whether more are open than we have said, counted only where a cheap upper bound does not do."""
        limit = self.local_settings.max_concurrent_streams
        return len(self.streams) > limit and self._open_streams(1) > limit


class Http2Connection(asyncio.Protocol):
    """Reads requests, asks `service`, writes answers."""

    def __init__(
        self,
        service: Service,
        number: int,
        connections: set[asyncio.Transport],
        max_concurrent_streams: int = MAX_CONCURRENT_STREAMS,
        *,
        one_stream_first: bool = False,
    ) -> None:
        self._service = service
        # What is announced once a request has shown good credentials; None: that is done.
        self._streams_later = max_concurrent_streams if one_stream_first else None
        self._number = number
        self._connections = connections
        self._h2 = _Connection(
            # Requests are checked in http2_request, several times as fast; our own answers need no check.
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._h2.decoder = QuickDecoder(MAX_HEADER_LIST_BYTES)
        self._h2.encoder = PlainEncoder()
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1 if one_stream_first else max_concurrent_streams,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_BYTES,
            },
        )
        self._open: dict[int, Request] = {}
        self._bodies_waiting: dict[int, bytes] = {}
        self._requests = 0
        self._last_stream_processed = 0
        self._going_away = False
        # What a client sends before it has seen our SETTINGS cannot be held against it.
        self._settings_seen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet with our SETTINGS."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self._transport)
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; what hangs on it is over."""
        self._connections.discard(self._transport)
        self._open.clear()

    def data_received(self, data: bytes) -> None:
        """Work through all frames that came, then write all answers at once."""
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            # h2 has put the GOAWAY that says why into its buffer.
            self._flush()
            self._transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                self._begin(event)
            elif isinstance(event, h2.events.DataReceived):
                self._add_body(event)
            elif isinstance(event, h2.events.StreamEnded):
                self._complete(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self._open.pop(event.stream_id, None)
                self._bodies_waiting.pop(event.stream_id, None)
            elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
                self._resume_bodies()
            elif isinstance(event, h2.events.SettingsAcknowledged):
                self._settings_seen = True
            elif isinstance(event, h2.events.ConnectionTerminated):
                self._transport.close()
            if self._transport.is_closing():
                return
        self._flush()

    def _begin(self, event: h2.events.RequestReceived) -> None:
        request = parse(event.headers, self._number, event.stream_id)
        if request is None:
            self._h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
        elif self._settings_seen and self._h2.has_too_many_streams():
            self._h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            self._open[event.stream_id] = request

    def _add_body(self, event: h2.events.DataReceived) -> None:
        request = self._open.get(event.stream_id)
        if request is not None:
            if request.body_bytes < BODY_BYTES_MAX:
                request.body += event.data
            request.body_bytes += len(event.data)
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _complete(self, stream: int) -> None:
        request = self._open.pop(stream, None)
        if request is None or self._going_away:
            # Beyond the last stream id that the GOAWAY named: neither processed nor answered.
            return
        self._requests += 1
        faults = self._service.faults_for(request)
        if faults.goes_away(self._requests):
            self._go_away()
            return
        strike = faults.draw()
        if strike is None or strike.fault not in (Fault.RESET_BEFORE, Fault.HANG_BEFORE, Fault.REFUSE_STREAM):
            self._last_stream_processed = max(self._last_stream_processed, stream)
        if strike is None:
            self._send(stream, self._service.respond(request))
        else:
            self._strike(strike, request)

    def _strike(self, strike: Strike, request: Request) -> None:
        stream = request.stream
        match strike.fault:
            case Fault.RESET_BEFORE:
                self._cut()
            case Fault.RESET_AFTER_ACCEPT:
                self._service.respond(request)
                self._cut()
            case Fault.HANG_BEFORE:
                pass
            case Fault.HANG:
                self._service.respond(request)
            case Fault.REFUSE_STREAM:
                self._h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            case Fault.RESET_STREAM:
                self._service.respond(request)
                self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            case Fault.SLOW:
                response = self._service.respond(request)
                asyncio.get_running_loop().call_later(strike.seconds, self._send_later, stream, response)
            case _:
                self._send(stream, self._service.fault_response(request, strike))

    def _send_later(self, stream: int, response: Response) -> None:
        if not self._transport.is_closing():
            self._send(stream, response)
            self._flush()

    def _send(self, stream: int, response: Response) -> None:
        body = response.body
        if self._streams_later is not None and response.status not in _CREDENTIALS_REFUSED:
            self._h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self._streams_later})
            self._streams_later = None
        try:
            self._h2.send_headers(stream, response.http2_headers, end_stream=not body)
            if not body:
                return
            if self._h2.local_flow_control_window(stream) < len(body):
                self._bodies_waiting[stream] = body
                self._resume_bodies()
            else:
                self._h2.send_data(stream, body, end_stream=True)
        except (h2.exceptions.StreamClosedError, h2.exceptions.NoSuchStreamError):
            # The client has cancelled the stream in the meantime.
            self._bodies_waiting.pop(stream, None)

    def _resume_bodies(self) -> None:
        for stream, body in list(self._bodies_waiting.items()):
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(body))
            if room <= 0:
                continue
            rest = body[room:]
            self._h2.send_data(stream, body[:room], end_stream=not rest)
            if rest:
                self._bodies_waiting[stream] = rest
            else:
                del self._bodies_waiting[stream]

    def _go_away(self) -> None:
        """Say that no stream beyond the last processed one was or will be processed; answers owed still go out."""
        self._going_away = True
        frame = GoAwayFrame(0, last_stream_id=self._last_stream_processed, additional_data=GOAWAY_REASON)
        self._flush()
        # Not by h2's close_connection(): it would forbid the answers that are still owed (RFC 9113 section 6.8).
        self._transport.write(frame.serialize())
        asyncio.get_running_loop().call_later(GOAWAY_LINGER_SECONDS, self._transport.close)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self._transport.write(data)

    def _cut(self) -> None:
        cut(self._transport)


def cut(transport: asyncio.Transport) -> None:
    """End the TCP connection at once with a reset, as a crashed machine or a middlebox does."""
    original = transport.get_extra_info("socket")
    if original is not None:
        # The event loop's own object need not allow options to be set; a duplicate of its descriptor does.
        with socket.fromfd(original.fileno(), original.family, socket.SOCK_STREAM) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
