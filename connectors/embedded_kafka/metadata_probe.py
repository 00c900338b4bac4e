"""One Metadata request, spoken over a plain socket: is the broker there, and is it ours?

Written out because a start blocks, and a Kafka client would need an event loop of its own for one question.
Wire format: Kafka protocol guide, Metadata request and response version 2.
"""

from __future__ import annotations

import socket
import struct

_METADATA, _VERSION = 3, 2
_RESPONSE_BYTES_MAX = 1 << 20  # No topics are asked for, so that a real answer has about a hundred bytes.


def ready_cluster_id(host: str, port: int, timeout_seconds: float) -> str | None:
    """The id of the cluster whose broker answers there and can serve; None: not (yet)."""
    body = struct.pack(">hhih", _METADATA, _VERSION, 0, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection((host, port), timeout_seconds) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            (length,) = struct.unpack(">i", _read(connection, 4))
            if not 8 <= length <= _RESPONSE_BYTES_MAX:
                return None
            return _cluster_id(_read(connection, length))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _read(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise ConnectionResetError
        received += part
    return bytes(received)


def _cluster_id(response: bytes) -> str | None:
    """A broker that the controller has not let in yet answers with no brokers."""
    _, brokers = struct.unpack_from(">ii", response, 0)
    position = 8
    for _ in range(brokers):
        position += 4  # node id
        position = _skip_string(response, position) + 4  # host, port
        position = _skip_string(response, position)  # rack
    if brokers < 1:
        return None
    (length,) = struct.unpack_from(">h", response, position)
    return response[position + 2 : position + 2 + length].decode() if length > 0 else None


def _skip_string(response: bytes, position: int) -> int:
    length: int = struct.unpack_from(">h", response, position)[0]
    return position + 2 + max(length, 0)
