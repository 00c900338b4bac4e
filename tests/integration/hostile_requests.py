"""Requests that no good client sends, byte for byte, and what may be answered to them."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

SECONDS_MAX: Final = 5.0
_STATUS: Final = re.compile(rb"HTTP/[0-9]\.[0-9] ([0-9]{3}) ")
ONE: Final = {"user_id": "hostile", "type": "order_ready"}
BODY: Final = json.dumps({"notification_id": "hostile", **ONE}).encode()
TITLE: Final = b"a" * 30_000_000
BOMB: Final = gzip.compress(b'{"notification_id": "bomb", "user_id": "u", "type": "t", "title": "' + TITLE + b'"}')


def post(body: bytes, *lines: str, path: str = "/notifications", length: int | None = None) -> bytes:
    """Return the bytes of a POST. `length`: what it says of itself, if that is not true."""
    said = len(body) if length is None else length
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *lines, f"Content-Length: {said}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("utf-8", "surrogateescape") + body


def nested(depth: int) -> bytes:
    """Return arrays in arrays, in a notification."""
    return b'{"notification_id": "deep", "user_id": "u", "type": "t", "data": ' + b"[" * depth + b"]" * depth + b"}"


def head(*lines: bytes) -> bytes:
    """Return the head of a request, as its lines are."""
    return b"\r\n".join([*lines, b"", b""])


def get(target: bytes, *lines: bytes) -> bytes:
    """Return the bytes of a GET."""
    return head(b"GET " + target + b" HTTP/1.1", b"Host: 127.0.0.1", *lines, b"Connection: close")


def posted(*lines: bytes) -> bytes:
    """Return the head of a POST."""
    return head(b"POST /notifications HTTP/1.1", b"Host: 127.0.0.1", *lines, b"Connection: close")


def chunked(*chunks: bytes, lines: tuple[bytes, ...] = ()) -> bytes:
    """Return a POST whose body comes in chunks, which are sent as they are."""
    return posted(b"Transfer-Encoding: chunked", *lines) + b"".join(chunks)


def number(digits: bytes) -> bytes:
    """Return a notification with a number of these digits."""
    return post(b'{"notification_id": "number", "user_id": "u", "type": "order_ready", "send_at": ' + digits + b"}")


XML: Final = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
DEEP_TEMPLATE: Final = b'{"type": "t", "template": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001

REFUSED: Final[Mapping[str, bytes]] = {
    "deep": post(nested(200_000)),
    "deep in a template": post(DEEP_TEMPLATE, path="/templates/render"),
    "a name twice": post(b'{"notification_id": "twice", "user_id": "a", "user_id": "b", "type": "order_ready"}'),
    "no number": number(b"NaN"),
    "infinite": number(b"-Infinity"),
    "huge number": number(b"9" * 4_000),
    "endless number": number(b"9" * 100_000),
    "far exponent": number(b"1e400"),
    "half a pair": post(b'{"notification_id": "half", "user_id": "\\ud800", "type": "order_ready"}'),
    "bad utf-8": post(b'{"notification_id": "bad", "user_id": "\xff\xfe", "type": "order_ready"}'),
    "overlong utf-8": post(b'{"notification_id": "over", "user_id": "\xc0\xaf", "type": "order_ready"}'),
    "utf-16": post('{"notification_id": "wide", "user_id": "u", "type": "order_ready"}'.encode("utf-16")),
    "a list of nothing": post(b"[]"),
    "a list in a list": post(b"[[]]"),
    "too many": post(json.dumps([{"notification_id": str(each), **ONE} for each in range(1_001)]).encode()),
    "too large": post(b" " * (4 * 1024 * 1024 + 1)),
    "larger than it says": post(BODY, length=10),
    "a large title": post(json.dumps({"notification_id": "large", **ONE, "title": "x" * 1_100_000}).encode()),
    "a form": post(b"notification_id=form&user_id=u&type=t", "Content-Type: application/x-www-form-urlencoded"),
    "a form that is JSON": post(BODY, "Content-Type: text/plain"),
    "files": post(BODY, "Content-Type: multipart/form-data; boundary=x"),
    "xml": post(XML, "Content-Type: text/xml"),
    "a bomb": post(BOMB, "Content-Encoding: gzip"),
    "compressed twice": post(gzip.compress(gzip.compress(BODY)), "Content-Encoding: gzip, gzip"),
    "unknown encoding": post(BODY, "Content-Encoding: zstd"),
    "a key twice": post(json.dumps(ONE).encode(), "Idempotency-Key: a", "Idempotency-Key: b"),
    "a long key": post(json.dumps(ONE).encode(), "Idempotency-Key: " + "k" * 5_000),
    "an empty key": post(json.dumps(ONE).encode(), 'Idempotency-Key: ""'),
    "no type accepted": post(BODY, "Accept: image/png"),
    "both lengths": posted(b"Content-Length: 5", b"Content-Length: 6") + b"{}    ",
    "length and chunks": posted(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + get(b"/metrics"),
    "chunked twice": chunked(b"0\r\n\r\n", lines=(b"Transfer-Encoding: identity",)),
    "chunk that lies": chunked(b"5\r\n{}\r\n0\r\n\r\n"),
    "chunk without a number": chunked(b"zz\r\n{}\r\n0\r\n\r\n"),
    "negative chunk": chunked(b"-1\r\n{}\r\n0\r\n\r\n"),
    "endless chunk": chunked(b"f" * 40 + b"\r\n{}"),
    "negative length": posted(b"Content-Length: -1"),
    "length that is none": posted(b"Content-Length: 0x10") + b"{}",
    "a space before the colon": posted(b"Content-Length : 2") + b"{}",
    "a folded header": get(b"/health/live", b"X-A: 1", b"  2"),
    "a header with a null": get(b"/health/live", b"X-A: a\0b"),
    "another version": head(b"GET /health/live HTTP/3.0", b"Host: x"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "many headers": get(b"/health/live", *[b"X-A: b"] * 5_000),
    "a long header": get(b"/health/live", b"X-A: " + b"b" * 100_000),
    "a long path": get(b"/slots/" + b"u" * 100_000 + b"/t"),
    "a path with a break": get(b"/slots/a\r\nX-Injected: 1/t"),
    "a break in a name": get(b"/slots/a%0d%0aX-Injected:%201/t%0d%0aX-Injected:1"),
    "dots": get(b"/slots/../../etc/passwd"),
    "dots, encoded": get(b"/docs/..%2f..%2fetc%2fpasswd"),
    "dots of the page": get(b"/admin/x/..%2F..%2F..%2Fetc/passwd"),
    "a slash in a type": get(b"/slots/u/order%2Fready"),
    "a null in a type": get(b"/slots/u/%00"),
    "half a character": get(b"/slots/%C3/order_ready"),
    "a query that is none": get(b"/schedule?limit=%FF&%FE=1"),
    "many parameters": get(b"/schedule?" + b"a=1&" * 1_900),
    "a tunnel": head(b"CONNECT example.org:443 HTTP/1.1", b"Host: example.org:443", b"Connection: close"),
    "somebody else's address": head(b"GET http://192.0.2.1/x HTTP/1.1", b"Host: 192.0.2.1", b"Connection: close"),
    "somebody else's name": head(b"GET /metrics HTTP/1.1", b"Host: evil.example", b"Connection: close"),
    "trace": head(b"TRACE /health/live HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"),
    "a method that is none": head(b"G\xffT /health/live HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"),
}
"""None of them may be taken: each is answered with 4xx, or the connection ends."""

TAKEN: Final[Mapping[str, bytes]] = {
    "no version": b"GET /health/live\r\n\r\n",
    "HTTP/1.0": b"GET /health/live HTTP/1.0\r\n\r\n",
    "an address in full": get(b"http://127.0.0.1/health/live"),
    "a long list of types": get(b"/health/live", b"Accept: " + b"a/b," * 1_500 + b"*/*"),
    "OPTIONS": head(b"OPTIONS /notifications HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"),
    "HEAD": head(b"HEAD /health/live HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"),
    "chunks": chunked(b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"),
}
"""Odd, and allowed."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came back on a connection: the statuses of all answers, and everything as bytes."""

    statuses: tuple[int, ...]
    everything: bytes


def exchange(url: str, sent: bytes) -> Said:
    """Send these bytes, and read until the worker ends the connection or says nothing more."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=SECONDS_MAX) as connection:
        connection.settimeout(SECONDS_MAX)
        with contextlib.suppress(OSError):  # it has seen enough, and reads no further
            connection.sendall(sent)
        everything = b""
        with contextlib.suppress(OSError):  # it waits for more, or has let go of the connection
            while part := connection.recv(65_536):
                everything += part
    return Said(tuple(map(int, _STATUS.findall(everything))), everything)
