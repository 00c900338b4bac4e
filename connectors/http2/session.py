"""One HTTP/2 connection as a client sees it, without IO: bytes and requests in, bytes and endings out (RFC 9113).

Every stream that was opened ends exactly once, as an `Answer` or a `Failure`; what the failure says of arrival rests on
the frames alone. A GOAWAY leaves the streams up to its last id open, so a provider that restarts loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from connectors.exchange import CONNECTION_LOST, GOAWAY, REFUSED_STREAM, STREAM_RESET, Answer, Failure, Fields, Post
from connectors.http2 import frames
from connectors.http2.frames import ErrorCode, Flag, Frame, FrameType, ProtocolError, Setting
from connectors.http2.headers import HEADER_LIST_BYTES_MAX, HeaderDecoder, HeaderEncoder

# What we let a server send before we read on: answers are small, so the windows only have to be out of the way.
STREAM_WINDOW = 262_144
CONNECTION_WINDOW = 4_194_304
# No provider answers with more; the rest of a longer body is cut off.
BODY_BYTES_MAX = 65_536
_HEADERS, _DATA = int(FrameType.HEADERS), int(FrameType.DATA)  # members of an enum are looked up each time
_PADDED_OR_PRIORITY = Flag.PADDED | Flag.PRIORITY
_new: Final = tuple.__new__  # Ended(...) costs 0.2 µs more.
# RFC 9113 section 5.1.1: ids only grow. Leave long before the last one.
_STREAM_ID_RETIRED = 2**30
# A peer that announces no limit (RFC 9113 section 6.5.2 recommends at least 100).
_STREAMS_UNANNOUNCED = 100


class Ended(NamedTuple):
    """A stream is over."""

    stream_id: int
    result: Answer | Failure


class _Stream:
    __slots__ = ("body", "headers", "status", "unsent", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.unsent = b""
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""


class Session:
    """Feed it what is received with `feed`, and write what `take_output` gives."""

    def __init__(self, authority: str, streams_max: int) -> None:
        self._pseudo: Fields = ((":method", "POST"), (":scheme", "https"), (":authority", authority))
        self._streams_wanted = streams_max
        self._streams: dict[int, _Stream] = {}
        self._reader = frames.FrameReader()
        self._encoder = HeaderEncoder()
        self._decoder = HeaderDecoder()
        self._output = [
            frames.PREFACE,
            frames.settings({Setting.ENABLE_PUSH: 0, Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW}),
            frames.window_update(0, CONNECTION_WINDOW - 65_535),
        ]
        self._next_id = 1
        self._window = 65_535
        self._peer_stream_window = 65_535
        self._peer_frame_bytes = frames.FRAME_BYTES_MAX
        self._peer_streams_max = 0
        self._consumed = 0
        self._block_of: int | None = None
        self._block = b""
        self._block_flags = 0
        self._ended: list[Ended] = []
        self.settled = False
        self.draining = False
        self.goaway_detail = ""
        self.pings_unanswered = 0

    @property
    def streams_open(self) -> int:
        return len(self._streams)

    def capacity(self) -> int:
        """How many requests may be opened now. Zero until the server's first SETTINGS is here."""
        if not self.settled or self.draining:
            return 0
        return min(self._peer_streams_max, self._streams_wanted) - len(self._streams)

    def admits(self, body_bytes: int) -> bool:
        """Whether the connection's window holds a whole body, so that no request leaves in halves."""
        return self._window >= body_bytes

    def open(self, post: Post) -> int | None:
        """Open a stream with its whole request; its id, or None where the headers do not fit into one frame."""
        path, staying, differing, body = post
        block = self._encoder.encode(self._pseudo, path, staying, differing)
        if len(block) > self._peer_frame_bytes:
            # The table has moved with a block that never left: this connection must not encode another one.
            self.draining = True
            return None
        stream_id = self._next_id
        self._next_id += 2
        if self._next_id > _STREAM_ID_RETIRED:
            self.draining = True
        window, size = self._peer_stream_window, len(body)
        stream = self._streams[stream_id] = _Stream(window)
        if 0 < size <= window and size <= self._window and size <= self._peer_frame_bytes:  # as nearly all are
            stream.window = window - size
            self._window -= size
            self._output += (
                frames.head(_HEADERS, Flag.END_HEADERS, stream_id, len(block)),
                block,
                frames.head(_DATA, Flag.END_STREAM, stream_id, size),
                body,
            )
            return stream_id
        if not body:
            self._output.append(
                frames.frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream_id, block),
            )
            return stream_id
        self._output.append(frames.frame(FrameType.HEADERS, Flag.END_HEADERS, stream_id, block))
        stream.unsent = body
        self._send_body(stream_id, stream)
        return stream_id

    def cancel(self, stream_id: int) -> None:
        """Give a stream up: its answer is no longer wanted."""
        if self._streams.pop(stream_id, None) is not None:
            self._output.append(frames.rst_stream(stream_id, ErrorCode.CANCEL))

    def ping(self) -> None:
        """Ask whether the server is there; `pings_unanswered` falls to zero with any frame that it sends."""
        self.pings_unanswered += 1
        self._output.append(frames.frame(FrameType.PING, 0, 0, b"ringonce"))

    def take_output(self) -> bytes:
        if not self._output:
            return b""
        data = b"".join(self._output)
        self._output.clear()
        return data

    def feed(self, chunk: bytes) -> list[Ended]:
        """Take what was received. Raises ProtocolError after the GOAWAY for it is in the output; call `lose` then."""
        try:
            for item in self._reader.feed(chunk):
                self.pings_unanswered = 0
                self._receive(item)
        except ProtocolError as error:
            self.draining = True
            self._output.append(frames.goaway(error.code))
            raise
        return self.take_ended()

    def take_ended(self) -> list[Ended]:
        """What has ended since the last call; after a ProtocolError it holds what ended before it."""
        ended, self._ended = self._ended, []
        return ended

    def lose(self, detail: str) -> list[Ended]:
        """The connection is gone: everything still open may have arrived."""
        self.draining = True
        for stream_id in list(self._streams):
            self._end(stream_id, Failure(True, CONNECTION_LOST, self.goaway_detail or detail))
        return self.take_ended()

    def _receive(self, item: Frame) -> None:
        kind = item.type
        if self._block_of is not None and (kind != FrameType.CONTINUATION or item.stream_id != self._block_of):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        if not self.settled and kind != FrameType.SETTINGS:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        receive = _RECEIVERS.get(kind)
        if receive is not None:  # RFC 9113 section 4.1: a frame of an unknown type is ignored
            receive(self, item)

    def _receive_headers(self, item: Frame) -> None:
        if item.stream_id % 2 == 0 or item.stream_id >= self._next_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that was never opened")
        self._block_of = item.stream_id
        self._block_flags = item.flags
        self._block = frames.without_padding(item) if item.flags & _PADDED_OR_PRIORITY else item.payload
        if item.flags & Flag.END_HEADERS:
            self._finish_block()

    def _receive_continuation(self, item: Frame) -> None:
        if self._block_of is None:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block += item.payload
        if len(self._block) > HEADER_LIST_BYTES_MAX:
            raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "a header block without end")
        if item.flags & Flag.END_HEADERS:
            self._finish_block()

    def _finish_block(self) -> None:
        stream_id, block, flags = self._block_of, self._block, self._block_flags
        assert stream_id is not None
        self._block_of, self._block = None, b""
        # The block of a stream that we gave up must be decoded all the same: it may change the table.
        fields = self._decoder.decode(block)
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.status is None:
            status = _status_of(fields)
            if status is None:
                self._refuse(stream_id, "an answer without a valid status")
                return
            if status < 200:
                return
            stream.status = status
            for name, value in fields:
                known = stream.headers.get(name)
                stream.headers[name] = value if known is None else f"{known}, {value}"
        if flags & Flag.END_STREAM:
            self._finish(stream_id, stream)

    def _receive_data(self, item: Frame) -> None:
        self._consumed += len(item.payload)  # padding counts as well
        if self._consumed > CONNECTION_WINDOW // 2:
            self._output.append(frames.window_update(0, self._consumed))
            self._consumed = 0
        if item.stream_id % 2 == 0 or item.stream_id >= self._next_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "DATA on a stream that was never opened")
        stream = self._streams.get(item.stream_id)
        if stream is None:
            return
        if stream.status is None:
            self._refuse(item.stream_id, "a body before its status")
            return
        payload = frames.without_padding(item) if item.flags & Flag.PADDED else item.payload
        stream.body = stream.body + payload if stream.body else payload
        if item.flags & Flag.END_STREAM:
            self._finish(item.stream_id, stream)
        elif len(stream.body) > BODY_BYTES_MAX:
            self._output.append(frames.rst_stream(item.stream_id, ErrorCode.CANCEL))
            self._finish(item.stream_id, stream)

    def _receive_rst_stream(self, item: Frame) -> None:
        if item.stream_id % 2 == 0 or item.stream_id >= self._next_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on a stream that was never opened")
        code = frames.parse_word(item.payload)
        if code == ErrorCode.REFUSED_STREAM:
            self._end(item.stream_id, Failure(False, REFUSED_STREAM))
        else:
            self._end(item.stream_id, Failure(True, STREAM_RESET, frames.error_name(code)))

    def _receive_settings(self, item: Frame) -> None:
        if item.stream_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if item.flags & Flag.ACK:
            return
        if not self.settled:
            self.settled = True
            self._peer_streams_max = _STREAMS_UNANNOUNCED
        for key, value in frames.parse_settings(item.payload):
            self._apply(key, value)
        self._output.append(frames.frame(FrameType.SETTINGS, Flag.ACK, 0, b""))

    def _apply(self, key: int, value: int) -> None:
        if key == Setting.MAX_CONCURRENT_STREAMS:
            self._peer_streams_max = value
        elif key == Setting.HEADER_TABLE_SIZE:
            self._encoder.set_table_bytes_max(value)
        elif key == Setting.MAX_FRAME_SIZE:
            if not frames.FRAME_BYTES_MAX <= value < 2**24:
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE out of range")
            self._peer_frame_bytes = value
        elif key == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.WINDOW_MAX:
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE out of range")
            change = value - self._peer_stream_window
            self._peer_stream_window = value
            for stream_id, stream in self._streams.items():
                stream.window += change
                self._send_body(stream_id, stream)

    def _receive_ping(self, item: Frame) -> None:
        if len(item.payload) != 8 or item.stream_id:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "a malformed PING")
        if not item.flags & Flag.ACK:
            self._output.append(frames.frame(FrameType.PING, Flag.ACK, 0, item.payload))

    def _receive_goaway(self, item: Frame) -> None:
        if len(item.payload) < 8:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of less than eight bytes")
        last_id = int.from_bytes(item.payload[:4], "big") & frames.WINDOW_MAX
        code = frames.error_name(int.from_bytes(item.payload[4:8], "big"))
        debug = item.payload[8:200].decode("utf-8", "replace")
        self.draining = True
        self.goaway_detail = f"GOAWAY {code} {debug}".rstrip()
        for stream_id in [open_id for open_id in self._streams if open_id > last_id]:
            self._end(stream_id, Failure(False, GOAWAY, self.goaway_detail))

    def _receive_window_update(self, item: Frame) -> None:
        increment = frames.parse_word(item.payload)
        if item.stream_id == 0:
            self._window += increment
            if increment == 0 or self._window > frames.WINDOW_MAX:
                raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is out of range")
            for stream_id, stream in self._streams.items():
                self._send_body(stream_id, stream)
            return
        known = self._streams.get(item.stream_id)
        if known is None:
            return
        known.window += increment
        if increment == 0 or known.window > frames.WINDOW_MAX:
            self._refuse(item.stream_id, "the stream's window is out of range")
            return
        self._send_body(item.stream_id, known)

    def _receive_push_promise(self, item: Frame) -> None:
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE although push is off")

    def _send_body(self, stream_id: int, stream: _Stream) -> None:
        while stream.unsent:
            size = min(len(stream.unsent), stream.window, self._window, self._peer_frame_bytes)
            if size <= 0:
                return
            part, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            stream.window -= size
            self._window -= size
            flags = 0 if stream.unsent else Flag.END_STREAM
            self._output.append(frames.frame(FrameType.DATA, flags, stream_id, part))

    def _refuse(self, stream_id: int, detail: str) -> None:
        """The server broke the rules on one stream only (RFC 9113 section 5.4.2)."""
        self._output.append(frames.rst_stream(stream_id, ErrorCode.PROTOCOL_ERROR))
        self._end(stream_id, Failure(True, STREAM_RESET, detail))

    def _finish(self, stream_id: int, stream: _Stream) -> None:
        assert stream.status is not None
        if stream.unsent:  # answered before it had all of the request: it does not want the rest
            self._output.append(frames.rst_stream(stream_id, ErrorCode.NO_ERROR))
        del self._streams[stream_id]
        self._ended.append(_new(Ended, (stream_id, Answer(stream.status, stream.headers, stream.body))))

    def _end(self, stream_id: int, failure: Failure) -> None:
        """End a stream without END_STREAM; a status that is already here is the server's word and outweighs it."""
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        result = failure if stream.status is None else Answer(stream.status, stream.headers, stream.body)
        self._ended.append(Ended(stream_id, result))


def _status_of(fields: list[tuple[str, str]]) -> int | None:
    name, value = fields[0] if fields else ("", "")
    if name == ":status" and len(value) == 3 and value.isdigit():
        return int(value)
    return None


_RECEIVERS: dict[int, Callable[[Session, Frame], None]] = {
    FrameType.DATA: Session._receive_data,
    FrameType.HEADERS: Session._receive_headers,
    FrameType.RST_STREAM: Session._receive_rst_stream,
    FrameType.SETTINGS: Session._receive_settings,
    FrameType.PUSH_PROMISE: Session._receive_push_promise,
    FrameType.PING: Session._receive_ping,
    FrameType.GOAWAY: Session._receive_goaway,
    FrameType.WINDOW_UPDATE: Session._receive_window_update,
    FrameType.CONTINUATION: Session._receive_continuation,
}
