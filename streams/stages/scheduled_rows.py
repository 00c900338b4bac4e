"""What is on `scheduled`, and what the rows hold: read as far as holding, moving and releasing it needs.

The usual deferral is walked by hand and checked as a whole (schemas/heads.py), in a few µs; whatever is unusual is left
to the codec. A row is always in single-object encoding, so that releasing asks no registry.
"""

from __future__ import annotations

import io
from typing import Final, NamedTuple

from fastavro import schemaless_writer

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.heads import checked_head, read_usual
from schemas.keys import check_key, check_notification_id, check_type, check_user_id
from schemas.poison import PoisonError
from schemas.structure import read_varint
from schemas.varint import UnusualError, read_instant
from streams.stages.forgetting import Forget, read_forget
from streams.stages.origin import Origin
from streams.stages.traced_rows import bare

NAMES: Final = ("Deferral", "Retry", "Cancel", "Move", "Forget")
INSTANT_MAX: Final = 10**15  # the year 33658: whoever asks for more has mistaken the unit
ID_BYTES_MAX: Final = 128
PLAIN_CODEC: Final = Codec()
_DEFERRAL_HEADER: Final = CONTRACTS["Deferral"].header
_RETRY_HEADER: Final = CONTRACTS["Retry"].header
_BODY_START: Final = len(_DEFERRAL_HEADER)


class Deferral(NamedTuple):
    """A notification to hold until it is due; `row` is what the table keeps."""

    slot: bytes
    notification_id: bytes
    due_at: int
    expires_at: int | None
    origin: Origin
    row: bytes


class Retry(NamedTuple):
    """A delivery to hold until its next attempt; `row` is what the table keeps."""

    slot: bytes
    notification_id: bytes
    due_at: int
    row: bytes


class Command(NamedTuple):
    """A Move to `due_at`, or a Cancel: None."""

    slot: bytes
    notification_id: bytes
    due_at: int | None
    request_id: str
    requested_by: str


class Held(NamedTuple):
    """A row of a deferral; `body` is that of the notification, as it can stand in another record."""

    origin: Origin
    expires_at: int | None
    body: bytes


def read_scheduled(codec: Codec, value: bytes | None, key: bytes | None) -> Deferral | Retry | Command | Forget:
    """Read a record of `scheduled`. Raises PoisonError, and with a registry RegistryUnavailableError."""
    if value is not None and key is not None:
        at = codec.body_start(value, "Deferral")
        if at:
            try:
                due_at = read_instant(value, at)
                partition = value[at + 6] >> 1
                offset, body_at = read_varint(value, at + 7)
                head = None if value[at + 6] & 0x81 else read_usual(value, key, body_at)
            except (IndexError, PoisonError, UnusualError):
                head = None  # Legal or not: the complete reader knows.
            if head is not None:
                row = value if at == _BODY_START else _DEFERRAL_HEADER + value[at:]
                return Deferral(key, head.notification_id, due_at, head.expires_at, (partition, offset), row)
    return _read_completely(codec, value, key)


def _read_completely(codec: Codec, value: bytes | None, key: bytes | None) -> Deferral | Retry | Command | Forget:
    if key is None:
        raise PoisonError("NO_KEY", "the record has no key; it must be user_id:type")
    name, record = codec.decode(value, NAMES)
    assert value is not None, "decode refuses it"
    if name in ("Cancel", "Move"):
        return _command(record, key)
    if name == "Forget":
        return read_forget(record, key)
    notification = record["notification"] if name == "Deferral" else record["delivery"]["notification"]
    head = checked_head(notification, key, 0)
    due_at = max(0, record["due_at"])
    if name == "Retry":
        return Retry(key, head.notification_id, due_at, _row(codec, value, name, record))
    origin = (record["origin_partition"], record["origin_offset"])
    return Deferral(key, head.notification_id, due_at, head.expires_at, origin, _row(codec, value, name, record))


def _row(codec: Codec, value: bytes, name: str, record: dict[str, object]) -> bytes:
    """Return the record as the current contract has it, in single-object encoding."""
    start = codec.body_start(value, name)
    if not start:
        return PLAIN_CODEC.encode(name, record)
    return CONTRACTS[name].header + value[start:]


def _command(record: dict[str, str | int], key: bytes) -> Command:
    texts = {name: str(record[name]) for name in ("notification_id", "user_id", "type", "request_id", "requested_by")}
    notification_id, user, kind = (texts[name].encode() for name in ("notification_id", "user_id", "type"))
    check_notification_id(notification_id)
    check_user_id(user)
    check_type(kind)
    check_key(key, user, kind)
    for name, least in (("request_id", 1), ("requested_by", 0)):
        size = len(texts[name].encode())
        if not least <= size <= ID_BYTES_MAX:
            raise PoisonError("INVALID_FIELD", f"{name} has {size} bytes, it must have {least} to {ID_BYTES_MAX}")
    due_at = None if "due_at" not in record else int(record["due_at"])
    if due_at is not None and abs(due_at) > INSTANT_MAX:
        raise PoisonError("INVALID_FIELD", f"due_at: {due_at} is no instant in milliseconds")
    return Command(
        key, notification_id, None if due_at is None else max(0, due_at), texts["request_id"], texts["requested_by"]
    )


def read_held(row: bytes, slot: bytes) -> Held:
    """Read the row of a deferral. Raises PoisonError: state that cannot be read is a reason to stop."""
    row = bare(row)
    if row.startswith(_DEFERRAL_HEADER):
        at = _BODY_START
        while row[at] > 0x7F:  # when it was due is in the key of the row, which counts where it was moved
            at += 1
        partition, at = read_varint(row, at + 1)
        offset, at = read_varint(row, at)
        head = read_usual(row, slot, at)
        if head is not None:
            return Held((partition, offset), head.expires_at, row[at:])
    record = PLAIN_CODEC.decode(row, ("Deferral",)).record
    notification = record["notification"]
    origin = (record["origin_partition"], record["origin_offset"])
    return Held(origin, notification["expires_at"], _body("Notification", notification))


def read_delivery_body(row: bytes) -> bytes:
    """Return the body of the Delivery in the row of a retry. Raises PoisonError as `read_held` does."""
    row = bare(row)
    if row.startswith(_RETRY_HEADER):
        return row[read_varint(row, _BODY_START)[1] :]
    return _body("Delivery", PLAIN_CODEC.decode(row, ("Retry",)).record["delivery"])


def _body(name: str, record: object) -> bytes:
    buffer = io.BytesIO()
    schemaless_writer(buffer, CONTRACTS[name].parsed, record)
    return buffer.getvalue()
