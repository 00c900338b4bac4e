"""One HTTP/1.1 connection, server side, on h11: for token clients and Web Push senders that speak nothing newer."""

from __future__ import annotations

import asyncio
from typing import cast

import h11

from connectors.simulators.exchange import BODY_BYTES_MAX, Request, Response, Service
from connectors.simulators.faults import Fault
from connectors.simulators.http2_server import cut


class Http1Connection(asyncio.Protocol):
    """Reads requests one after the other, asks `service`, writes answers."""

    def __init__(self, service: Service, number: int, connections: set[asyncio.Transport]) -> None:
        self._service = service
        self._number = number
        self._connections = connections
        self._h11 = h11.Connection(h11.SERVER)
        self._request: Request | None = None
        self._requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Work through what came."""
        try:
            self._h11.receive_data(data)
            self._advance()
        except h11.RemoteProtocolError as error:
            if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._send(Response(error.error_status_hint))
            self._transport.close()

    def _advance(self) -> None:
        while not self._transport.is_closing():
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    self._transport.write(self._h11.send(go_on) or b"")
                return
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Request):
                headers = dict(event.headers)
                self._requests += 1
                self._request = Request(
                    event.method.decode("latin-1"),
                    event.target.decode("latin-1"),
                    headers,
                    len(headers) != len(event.headers),
                    self._number,
                    self._requests,
                )
            elif isinstance(event, h11.Data) and self._request is not None:
                if self._request.body_bytes < BODY_BYTES_MAX:
                    self._request.body += bytes(event.data)
                self._request.body_bytes += len(event.data)
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                self._complete(self._request)

    def _complete(self, request: Request) -> None:
        self._request = None
        faults = self._service.faults_for(request)
        strike = faults.draw()
        if strike is None:
            self._send(self._service.respond(request))
            return
        match strike.fault:
            case Fault.RESET_BEFORE | Fault.REFUSE_STREAM:
                cut(self._transport)
            case Fault.RESET_AFTER_ACCEPT | Fault.RESET_STREAM:
                self._service.respond(request)
                cut(self._transport)
            case Fault.HANG_BEFORE:
                pass
            case Fault.HANG:
                self._service.respond(request)
            case Fault.SLOW:
                response = self._service.respond(request)
                asyncio.get_running_loop().call_later(strike.seconds, self._send_later, response)
            case _:
                self._send(self._service.fault_response(request, strike))

    def _send_later(self, response: Response) -> None:
        if not self._transport.is_closing():
            self._send(response)
            self._advance()

    def _send(self, response: Response) -> None:
        headers = [*response.headers, (b"content-length", b"%d" % len(response.body))]
        parts = [self._h11.send(h11.Response(status_code=response.status, headers=headers))]
        if response.body:
            parts.append(self._h11.send(h11.Data(data=response.body)))
        parts.append(self._h11.send(h11.EndOfMessage()))
        self._transport.write(b"".join(part or b"" for part in parts))
        if self._h11.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
