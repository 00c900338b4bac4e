"""A push provider that costs next to nothing: HTTP/2 over TLS by raw frames, the same answer to all after a while.

    python -m tests.benchmarks.responder --directory DIR --provider apns [--answer-ms 50]

The strict simulators check everything and cost 280 to 420 µs of CPU for each request: on a machine with two cores they
would be what is measured. This one finds the id of a push by its mark in the bytes and keeps it with the instant of its
arrival. It checks nothing, and knows no header compression: where the mark is in a header it serves the clients of
connectors/http2 alone, where it is in the body, any. `DIR` holds `server.pem` and `server.key`.

It prints one line of JSON, `{"url": …}`. For each line that it reads from stdin it writes `{"arrivals": [[id, ms], …]}`
to the file of that name, forgets what it wrote, and prints the name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import uvloop

from connectors.http2 import frames
from connectors.http2.frames import Flag, FrameType, Setting

STREAMS_MAX: Final = 4_000
# Given back to the client when so much of the connection's window is used up.
WINDOW_RENEWED: Final = 2**29
UUID_LENGTH: Final = 36

Arrival = tuple[str, float]


def apns_id(block: bytes) -> str:
    """The value of the header `apns-id`, which our client writes as a plain literal."""
    start = block.index(b"apns-id") + len(b"apns-id") + 1
    return block[start : start + UUID_LENGTH].decode("ascii")


def fcm_id(body: bytes) -> str:
    """The `push_id` among the data of the message."""
    mark = b'"push_id":"'
    start = body.index(mark) + len(mark)
    return body[start : start + UUID_LENGTH].decode("ascii")


def webpush_path(block: bytes) -> str:
    """The path of the endpoint: the body is encrypted, and nothing else tells one message from another."""
    start = block.index(b"/push/")
    return block[start : start + block[start - 1]].decode("ascii")


def webhook_id(block: bytes) -> str:
    """The value of the header `webhook-id`."""
    start = block.index(b"webhook-id") + len(b"webhook-id") + 1
    return block[start : start + UUID_LENGTH].decode("ascii")


@dataclass(frozen=True, slots=True)
class Answering:
    """How requests to one provider are told apart, and what follows the stream id in the frames of its answer."""

    find_in_headers: Callable[[bytes], str] | None
    find_in_body: Callable[[bytes], str] | None
    headers: bytes
    body: bytes = b""


ANSWERING: Final = {
    "apns": Answering(apns_id, None, b"\x88"),  # static table, 8: `:status: 200`
    "fcm": Answering(None, fcm_id, b"\x88", b'{"name":"projects/p/messages/1"}'),
    "webpush": Answering(webpush_path, None, b"\x08\x03201"),  # name 8, a literal value
    "webhook": Answering(webhook_id, None, b"\x89"),  # static table, 9: `:status: 204`
}


class Responder:
    """What all connections share."""

    def __init__(self, answering: Answering, answer_seconds: float) -> None:
        self.answering = answering
        self.answer_seconds = answer_seconds
        self.arrivals: list[Arrival] = []

    def answer(self, stream_id: int) -> bytes:
        """The frames of one answer."""
        known = self.answering
        last = Flag.END_HEADERS if known.body else Flag.END_HEADERS | Flag.END_STREAM
        headers = frames.frame(FrameType.HEADERS, last, stream_id, known.headers)
        return headers + frames.frame(FrameType.DATA, Flag.END_STREAM, stream_id, known.body) if known.body else headers


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._reader = frames.FrameReader()
        self._preface = len(frames.PREFACE)
        self._used = 0
        self._bodies: dict[int, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        settings = {Setting.MAX_CONCURRENT_STREAMS: STREAMS_MAX, Setting.INITIAL_WINDOW_SIZE: frames.WINDOW_MAX // 2}
        self._transport.write(frames.settings(settings) + frames.window_update(0, frames.WINDOW_MAX - 65_535))

    def data_received(self, data: bytes) -> None:
        if self._preface:
            dropped = min(self._preface, len(data))
            self._preface -= dropped
            data = data[dropped:]
        responder, now = self._responder, time.time() * 1000
        known, arrivals = responder.answering, responder.arrivals
        complete: list[int] = []
        for kind, flags, stream_id, payload in self._reader.feed(data):
            if kind == FrameType.HEADERS:
                if known.find_in_headers is not None:
                    arrivals.append((known.find_in_headers(payload), now))
            elif kind == FrameType.DATA:
                self._used += len(payload)
                if not flags & Flag.END_STREAM:  # its end comes by another frame, as windows allow
                    self._bodies[stream_id] = self._bodies.get(stream_id, b"") + payload
                elif known.find_in_body is not None:
                    body = self._bodies.pop(stream_id, b"") + payload if self._bodies else payload
                    arrivals.append((known.find_in_body(body), now))
            else:
                self._control(kind, flags, payload)
                continue
            if flags & Flag.END_STREAM:
                complete.append(stream_id)
        if self._used > WINDOW_RENEWED:
            self._transport.write(frames.window_update(0, self._used))
            self._used = 0
        if complete and responder.answer_seconds:
            asyncio.get_running_loop().call_later(responder.answer_seconds, self._answer, complete)
        elif complete:
            self._answer(complete)

    def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind in (FrameType.SETTINGS, FrameType.PING) and not flags & Flag.ACK:
            answer = payload if kind == FrameType.PING else b""
            self._transport.write(frames.frame(kind, Flag.ACK, 0, answer))

    def _answer(self, stream_ids: list[int]) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"".join(map(self._responder.answer, stream_ids)))


async def serve(directory: Path, responder: Responder) -> None:
    """Answer until stdin ends."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(directory / "server.pem", directory / "server.key")
    tls.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(responder), "127.0.0.1", 0, ssl=tls)
    print(json.dumps({"url": f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"}), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().strip():
        arrivals, responder.arrivals = responder.arrivals, []
        report: dict[str, Any] = {"arrivals": arrivals}
        Path(line).write_text(json.dumps(report), encoding="utf-8")  # noqa: ASYNC240 (between two runs)
        print(line, flush=True)
    server.close()


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--provider", choices=ANSWERING, required=True)
    parser.add_argument("--answer-ms", type=float, default=50.0)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.directory, Responder(ANSWERING[arguments.provider], arguments.answer_ms / 1000)))


if __name__ == "__main__":
    main()
