"""One request to a server as the connectors see it: its header fields, and what can be said of it when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

# Names in lower case.
Fields = tuple[tuple[str, str], ...]


class Post(NamedTuple):
    """A request. `staying` are header fields that repeat over many requests (give equal tuples), `differing` the
    rest."""

    path: str
    staying: Fields
    differing: Fields
    body: bytes


@dataclass(slots=True)  # frozen, it would take three times as long to make one for each request
class Answer:
    """The server answered. `headers` has lower-case names; a body that was cut short holds what came of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """There is no answer.

    `may_have_arrived` is False only where it is certain that the server did not process the request: no byte of it was
    ever handed to the socket, or the server said so (HTTP/2: RST_STREAM with REFUSED_STREAM, or a GOAWAY with a lower
    last stream id: RFC 9113 sections 8.7 and 6.8). `detail` is for people.
    """

    may_have_arrived: bool
    reason: str
    detail: str = ""


# What is called once when a request is over, from the event loop: with an exception where what was asked is wrong. It
# must not raise: whoever calls it has others to tell.
Told = Callable[[Answer | Failure | Exception], None]

# Reasons of failures that certainly did not arrive.
DEADLINE_PASSED = "deadline_passed"
CONNECT_FAILED = "connect_failed"
REFUSED_STREAM = "refused_stream"
GOAWAY = "goaway"
QUEUE_TIMEOUT = "queue_timeout"
HEADERS_TOO_LARGE = "headers_too_large"
CLOSED = "closed"

# Reasons of failures that may have arrived.
TIMEOUT = "timeout"
STREAM_RESET = "stream_reset"
CONNECTION_LOST = "connection_lost"


class ConnectError(Exception):
    """No connection could be opened; nothing was asked. `reason` is that of the failures that come of it."""

    def __init__(self, detail: str, reason: str = CONNECT_FAILED) -> None:
        super().__init__(detail)
        self.reason = reason
