"""HTTP/2 frames as bytes (RFC 9113 sections 4 and 6): written by functions, read by `FrameReader`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES = 9
# The smallest limit that the protocol allows, and the default; answers of push providers are far smaller.
FRAME_BYTES_MAX = 16_384
WINDOW_MAX = 2**31 - 1

_new: Final = tuple.__new__  # Frame(...) costs 0.2 µs more.
_FRAME_HEADER = struct.Struct(">HBBBL")  # the length is 24 bits: 16 high bits, then 8 low bits
_SETTING = struct.Struct(">HL")


class FrameType(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag:
    """Plain numbers: four are looked at for each answer, and an IntFlag costs a microsecond each time."""

    END_STREAM: Final = 0x1
    ACK: Final = 0x1
    END_HEADERS: Final = 0x4
    PADDED: Final = 0x8
    PRIORITY: Final = 0x20


class ErrorCode(IntEnum):
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ProtocolError(Exception):
    """The peer broke the protocol: the connection is to be closed with this code."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Frame(NamedTuple):
    """One frame; `type` is an int because unknown types are to be ignored, not refused."""

    type: int
    flags: int
    stream_id: int
    payload: bytes


def error_name(code: int) -> str:
    """The name of an error code, or its number where the RFC has none."""
    return ErrorCode(code).name if code in ErrorCode._value2member_map_ else f"0x{code:x}"


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A whole frame; the caller keeps the payload within the peer's limit."""
    length = len(payload)
    return _FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def head(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """What stands before the payload of a frame."""
    return _FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id)


def settings(values: dict[Setting, int]) -> bytes:
    return frame(FrameType.SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    return frame(FrameType.RST_STREAM, 0, stream_id, struct.pack(">L", code))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, struct.pack(">L", increment))


def goaway(code: ErrorCode) -> bytes:
    """Ours always names stream 0: a client that takes no pushes has processed none of the server's streams."""
    return frame(FrameType.GOAWAY, 0, 0, struct.pack(">LL", 0, code))


def parse_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    if len(payload) % _SETTING.size:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is not a multiple of six bytes")
    return _SETTING.iter_unpack(payload)


def parse_word(payload: bytes) -> int:
    """The single 31-bit number of a RST_STREAM or WINDOW_UPDATE frame (the reserved bit is dropped)."""
    if len(payload) != 4:
        raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "a frame of four bytes has another length")
    return int.from_bytes(payload, "big") & WINDOW_MAX


def without_padding(item: Frame) -> bytes:
    """The payload of a DATA or HEADERS frame without padding and priority fields."""
    payload = item.payload
    start = end = 0
    if item.flags & Flag.PADDED:
        if not payload:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a pad length")
        start, end = 1, payload[0]
    if item.type == FrameType.HEADERS and item.flags & Flag.PRIORITY:
        start += 5
    if start + end > len(payload):
        raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "padding is longer than the frame")
    return payload[start : len(payload) - end]


class FrameReader:
    """Cuts a stream of bytes into frames, whatever the pieces in which it arrives."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Yield the frames that are complete. Raises ProtocolError for a frame above our limit."""
        data = self._pending + chunk if self._pending else chunk
        position, end = 0, len(data)
        try:
            while end - position >= FRAME_HEADER_BYTES:
                high, low, kind, flags, stream_id = _FRAME_HEADER.unpack_from(data, position)
                length = high << 8 | low
                if length > FRAME_BYTES_MAX:
                    raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
                start = position + FRAME_HEADER_BYTES
                if end - start < length:
                    break
                position = start + length
                yield _new(Frame, (kind, flags, stream_id & WINDOW_MAX, data[start:position]))
        finally:
            self._pending = data[position:]
