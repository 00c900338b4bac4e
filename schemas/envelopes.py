"""Records that hold a whole notification, written around its bytes, which are not decoded: Delivery, Due and others.

A record within a record is just its bytes in Avro, so what the producer wrote is passed on as it is. `body` is always
that of a valid notification of the current contract: `value[head.body_start:]` or `current_body`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from fastavro import schemaless_writer

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.varint import write_bytes, write_long

_NOTIFICATION: Final = CONTRACTS["Notification"]
_DELIVERY_HEADER: Final = CONTRACTS["Delivery"].header
_DEFERRAL_HEADER: Final = CONTRACTS["Deferral"].header
_LOCAL_DEFERRAL_HEADER: Final = CONTRACTS["LocalDeferral"].header
_DUE_HEADER: Final = CONTRACTS["Due"].header
_HOLDERS: Final = ("Notification", "Due", "Deferral", "LocalDeferral", "Delivery")


def notification_body(value: bytes) -> bytes | None:
    """The body of a Notification in single-object encoding by the current contract, None for any other value.

    The body is not checked: it is what `read_heads` found to be sound.
    """
    return value[len(_NOTIFICATION.header) :] if value.startswith(_NOTIFICATION.header) else None


def current_body(codec: Codec, value: bytes) -> bytes:
    """The body of the notification that a Notification, Due, Deferral or Delivery holds, by the current contract.

    Taken as it is where it can be, else decoded and written anew. Raises PoisonError and RegistryUnavailableError.
    """
    start = codec.body_start(value, "Notification")
    if start:
        return value[start:]
    name, record = codec.decode(value, _HOLDERS)
    notification = record if name == "Notification" else record["notification"]
    buffer = io.BytesIO()
    schemaless_writer(buffer, _NOTIFICATION.parsed, notification)
    return buffer.getvalue()


def write_delivery(
    admitted_at: int,
    send_by: int,
    attempt: int,
    devices: Sequence[str],
    origin_partition: int,
    origin_offset: int,
    body: bytes,
    header: bytes = _DELIVERY_HEADER,
) -> bytes:
    """A Delivery; the fields are those of schemas/avsc/delivery.avsc. `header`: `Codec.header("Delivery", topic)`."""
    listed = b"\x00"
    if devices:
        listed = b"".join((write_long(len(devices)), *(write_bytes(device.encode()) for device in devices), listed))
    return b"".join(
        (
            header,
            write_long(admitted_at),
            write_long(send_by),
            write_long(attempt),
            listed,
            write_long(origin_partition),
            write_long(origin_offset),
            body,
        )
    )


def write_deferral(
    due_at: int, origin_partition: int, origin_offset: int, body: bytes, header: bytes = _DEFERRAL_HEADER
) -> bytes:
    """A Deferral; the fields are those of schemas/avsc/deferral.avsc. `header`: `Codec.header("Deferral", topic)`."""
    return b"".join((header, write_long(due_at), write_long(origin_partition), write_long(origin_offset), body))


def write_local_deferral(
    asked_at: int, origin_partition: int, origin_offset: int, body: bytes, header: bytes = _LOCAL_DEFERRAL_HEADER
) -> bytes:
    """A LocalDeferral; the fields are those of schemas/avsc/local_deferral.avsc.

    `header`: `Codec.header("LocalDeferral", topic)`.
    """
    return b"".join((header, write_long(asked_at), write_long(origin_partition), write_long(origin_offset), body))


def write_due(
    due_at: int,
    released_at: int,
    origin_partition: int,
    origin_offset: int,
    body: bytes,
    header: bytes = _DUE_HEADER,
) -> bytes:
    """A Due; the fields are those of schemas/avsc/due.avsc. `header`: `Codec.header("Due", topic)`."""
    return b"".join(
        (
            header,
            write_long(due_at),
            write_long(released_at),
            write_long(origin_partition),
            write_long(origin_offset),
            body,
        )
    )
