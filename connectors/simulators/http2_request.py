"""Turns the header list of an HTTP/2 request into a `Request`, or finds it malformed (RFC 9113 section 8).

hyper-h2 can check the same; it takes as long for it as for all the rest of a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from connectors.simulators.exchange import Request

# A token without capitals (RFC 9113 section 8.2.1).
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE_FORBIDDEN = re.compile(rb"[\x00\r\n]|^[ \t]|[ \t]$")
_CONNECTION_HEADERS = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
_PSEUDO_HEADERS = {b":method", b":scheme", b":authority", b":path"}
_REQUIRED = {b":method", b":scheme", b":path"}
# Names come again and again; the set is bounded, because a client may send anything.
_known_names: set[bytes] = set()
KNOWN_NAMES_MAX = 200


def parse(headers: Iterable[tuple[bytes, bytes]], connection: int, stream: int) -> Request | None:
    """The request without its body; None: malformed, a stream error."""
    pseudo: dict[bytes, bytes] = {}
    regular: dict[bytes, bytes] = {}
    count = 0
    for name, value in headers:
        if _VALUE_FORBIDDEN.search(value):
            return None
        if name in _known_names:
            regular[name] = value
            count += 1
        elif name[:1] == b":":
            if count or name in pseudo or name not in _PSEUDO_HEADERS:
                return None
            pseudo[name] = value
        else:
            if not _NAME.fullmatch(name) or name in _CONNECTION_HEADERS or (name == b"te" and value != b"trailers"):
                return None
            if len(_known_names) < KNOWN_NAMES_MAX and name != b"te":
                _known_names.add(name)
            regular[name] = value
            count += 1
    if not pseudo.keys() >= _REQUIRED or not pseudo[b":path"]:
        return None
    return Request(
        pseudo[b":method"].decode("latin-1"),
        pseudo[b":path"].decode("latin-1"),
        regular,
        len(regular) != count,
        connection,
        stream,
    )
