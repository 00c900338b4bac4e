"""The HTTP server below the views: how many connections it takes, how long it waits for the head of a request, and what
it answers to what is no request. aiohttp's own answers repeat what was sent, a key included, and tell its version."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from streams.api_settings import ApiSettings
from streams.web.problems import problem
from streams.web.security.headers import add_headers

logger = logging.getLogger(__name__)

IDLE_SECONDS_MAX: Final = 120.0  # between two requests; longer than what proxies keep, so that they close first
LINE_BYTES_MAX: Final = 8_190
LINES_MAX: Final = 100
TOO_MANY_LINES: Final = "Too many headers"  # aiohttp has no class for it


class FrontConnection(RequestHandler):
    """One connection. A head that has begun must end in time."""

    def __init__(self, server: FrontServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._head_seconds_max = server.api.read_seconds_max
        self._head_limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what comes; what ends no head leaves the limit as it is."""
        super().data_received(data)
        is_waiting = self._waiter is not None and not self._waiter.done()
        if not is_waiting:
            self._stop_waiting()
        elif self._head_limit is None:
            self._wait_for_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._head_limit = self._loop.call_later(self._head_seconds_max, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._head_limit is not None:
            self._head_limit.cancel()
            self._head_limit = None

    def _head_is_late(self) -> None:
        self._head_limit = None
        if self.transport is not None and self._waiter is not None and not self._waiter.done():
            self.transport.write(_LATE)
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what never reached a view, without a word of what was sent."""
        super().handle_error(request, status, exc, message)  # it says in the log what is ours
        return _answer(*_refusal(status, exc))


def _refusal(status: int, error: BaseException | None) -> tuple[int, str]:
    if isinstance(error, LineTooLong):
        return 431, f"a line of the head has more than {LINE_BYTES_MAX:,} bytes"
    if isinstance(error, HttpProcessingError):
        if error.message.startswith(TOO_MANY_LINES):
            return 431, f"the head has more than {LINES_MAX} lines"
        return 400, "this is no HTTP request that can be read"
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return status, "this is no HTTP request that can be read"
    return 500, "this is a mistake of ours; the worker's log says more"


def _answer(status: int, detail: str) -> web.Response:
    response = problem(status, detail)
    add_headers(response.headers)
    response.headers["Server"] = "ringonce"  # without any, aiohttp would tell its own version
    response.force_close()
    return response


def _late() -> bytes:
    response = problem(408, "the head of the request has not come in time")
    add_headers(response.headers)
    body = response.body
    assert isinstance(body, bytes), "made of one"
    named = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = ["HTTP/1.1 408 Request Timeout", *(f"{name}: {value}" for name, value in named.items()), "", ""]
    return "\r\n".join(lines).encode() + body


_LATE: Final = _late()


class FrontServer(web.Server):
    """Makes connections, so many at a time."""

    def __init__(self, made: web.Server, api: ApiSettings) -> None:
        options = {
            **made._kwargs,
            "keepalive_timeout": IDLE_SECONDS_MAX,
            "max_line_size": LINE_BYTES_MAX,
            "max_field_size": LINE_BYTES_MAX,
            "max_headers": LINES_MAX,
            "auto_decompress": False,  # a small body may be a large one; views take none that is compressed
        }
        super().__init__(made.request_handler, request_factory=made.request_factory, loop=made._loop, **options)
        self.api = api

    def __call__(self) -> RequestHandler:
        """Return the protocol of the next connection."""
        return FrontConnection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take it, or let go of it at once where there are too many."""
        if len(self._connections) >= self.api.connections_max:
            transport.abort()
        super().connection_made(handler, transport)


class FrontRunner(web.AppRunner):
    """Runs an application behind a FrontServer."""

    __slots__ = ("_api",)

    def __init__(self, application: web.Application, api: ApiSettings) -> None:
        super().__init__(application, access_log=None)
        self._api = api

    async def _make_server(self) -> web.Server:
        return FrontServer(await super()._make_server(), self._api)
