"""One request and one answer, the same for HTTP/2 and HTTP/1.1, and what a simulator is to the server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from connectors.simulators.faults import Faults, Strike

# More than any provider takes (FCM: 4,096 bytes of data in a message with all its options); what is longer is counted
# but not kept.
BODY_BYTES_MAX = 64 * 1024


@dataclass(slots=True)
class Request:
    """A request, complete. Header names are lower case, without the pseudo-headers of HTTP/2.

    `repeated_header`: a header name came twice; `headers` has the last. `body_bytes` is the length that came,
    `body` is cut at BODY_BYTES_MAX.
    """

    method: str
    path: str
    headers: dict[bytes, bytes]
    repeated_header: bool
    connection: int
    stream: int
    body: bytes = b""
    body_bytes: int = 0

    def header(self, name: bytes) -> str | None:
        """The header as text, or None. Bytes beyond ASCII become characters that no valid value has."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


@dataclass(slots=True)
class Response:
    """An answer. `http2_headers` is built once, so that an answer that is sent often costs no more than its bytes."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    http2_headers: list[tuple[bytes, bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self.http2_headers = [(b":status", b"%d" % self.status), *self.headers]
        if self.body:
            self.http2_headers.append((b"content-length", b"%d" % len(self.body)))

    @property
    def ok(self) -> bool:
        """The provider took it."""
        return 200 <= self.status < 300


def json_response(status: int, body: Any, *headers: tuple[bytes, bytes]) -> Response:
    """An answer with a JSON body."""
    content_type = (b"content-type", b"application/json; charset=UTF-8")
    return Response(status, (content_type, *headers), json.dumps(body).encode())


class Service(Protocol):
    """What stands behind a server: decides what to answer, without IO."""

    def faults_for(self, request: Request) -> Faults:
        """The plan of faults that this request is subject to."""

    def respond(self, request: Request) -> Response:
        """Take the request, or refuse it. What is accepted is on record when this returns."""

    def fault_response(self, request: Request, strike: Strike) -> Response:
        """The provider's own answer for a fault that is an answer."""
