"""Reads what suppress decides by, and checks all the rest: the hot path, used once for every event.

A head is valid exactly when `Codec.decode` and the checks of schemas/keys.py accept the whole record, so that an event
which is only suppressed cannot hide that it is broken. The usual record is walked here by hand; whatever is unusual
(an id of 64 bytes or more, several map blocks, an older schema, any flaw) is left to the complete path, which knows
every case and names what is wrong. tests/benchmarks/bench_codec.py measures this against the other ways.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from struct import Struct
from struct import error as StructError  # noqa: N812 (its own name says nothing)
from typing import Any, Final, NamedTuple

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.keys import check_key, check_notification_id, check_type, check_user_id
from schemas.local_times import read_local_time
from schemas.poison import PoisonError
from schemas.structure import read_varint
from schemas.varint import UnusualError, read_instant

RE_ENCODE: Final = -1
"""`body_start` of a record that an older schema wrote: its body cannot be taken over as it is."""

PLAIN_CODEC: Final = Codec()
_HEADER: Final = CONTRACTS["Notification"].header
_NOTIFICATION: Final = ("Notification",)

# An instant of our days has six bytes, five of them with the high bit set; then usually four nulls.
_TEN_BYTES: Final = Struct(">HQ").unpack_from
_FIRST_MASK: Final = 0x80_80
_REST_MASK: Final = 0x80_80_80_80_FF_FF_FF_FF
_REST_AND_FOUR_NULLS: Final = 0x80_80_80_00_00_00_00_00
# Any created_at, then send_at and expires_at with their union branches, and no local time. Nine bytes hold 63 bits, so
# none can overflow; a tenth is legal and left to the complete path, as local times are.
_INSTANTS: Final = re.compile(
    rb"[\x80-\xff]{0,8}[\x00-\x7f](?:\x00|\x02([\x80-\xff]{0,8}[\x00-\x7f]))(?:\x00|\x02([\x80-\xff]{0,8}[\x00-\x7f]))"
    rb"\x00\x00"
)
_TYPES_MAX: Final = 10_000  # Types come from a settings file; what exceeds this is a mistake, not a reason to grow.


class LocalTime(NamedTuple):
    """`send_at_local` as the clock of a place shows it, and `time_zone`, as the producer named it."""

    at: datetime | None
    zone: str | None


class Head(NamedTuple):
    """What suppress needs of one notification.

    `notification_id` in UTF-8, `send_at` and `expires_at` in milliseconds since the epoch, and where the body of the
    notification starts in the value: it goes on to the end, and can be embedded as it is. RE_ENCODE: it cannot, ask
    `current_body`. `local`: None where neither a local time nor a zone is given; whether there is such a zone is not
    known here.
    """

    notification_id: bytes
    send_at: int | None
    expires_at: int | None
    body_start: int
    local: LocalTime | None = None


_types: Final[set[bytes]] = set()
_new: Final = tuple.__new__  # Head(...) costs 0.2 µs more.


def read_head(value: bytes | None, key: bytes | None, codec: Codec = PLAIN_CODEC) -> Head:
    """The head of one value of `notifications`. Raises PoisonError, and with a registry RegistryUnavailableError."""
    head = read_heads((value,), (key,), codec)[0]
    if isinstance(head, PoisonError):
        raise head
    return head


def read_heads(
    values: Sequence[bytes | None], keys: Sequence[bytes | None], codec: Codec = PLAIN_CODEC
) -> list[Head | PoisonError]:
    """The heads of a chunk, in its order; for a record that is poison, the error instead.

    Raises nothing, but with a registry RegistryUnavailableError: then nothing is known of the chunk, try again.
    """
    heads: list[Head | PoisonError] = []
    append = heads.append
    for value, key in zip(values, keys, strict=True):
        if value is not None and key is not None:
            start = 10 if value[:10] == _HEADER else codec.body_start(value, "Notification")
            head = read_usual(value, key, start) if start else None
            if head is not None:
                append(head)
                continue
        append(_read_completely(value, key, codec))
    return heads


def read_usual(value: bytes, key: bytes, start: int) -> Head | None:
    """The head of a usual and flawless record whose body starts there; None for any other.

    One long function, because a call costs as much as a field.
    """
    send_at = expires_at = None
    try:
        id_size = value[start]
        user_at = start + 1 + (id_size >> 1)
        user_size = value[user_at]
        type_at = user_at + 1 + (user_size >> 1)
        type_size = value[type_at]
        instants_at = type_at + 1 + (type_size >> 1)
        type = value[type_at + 1 : instants_at]
        if (
            (id_size | user_size | type_size) & 0x81  # negative, or more than one byte
            or not id_size
            or not user_size
            or value[user_at + 1 : type_at] + b":" + type != key
            or (type not in _types and not _is_type(type))
        ):
            return None
        notification_id = value[start + 1 : user_at]
        if not notification_id.isascii():
            str(notification_id, "utf-8")
        if not key.isascii():
            str(key, "utf-8")

        first, rest = _TEN_BYTES(value, instants_at)
        if rest & _REST_MASK == _REST_AND_FOUR_NULLS and first & _FIRST_MASK == _FIRST_MASK:
            tail = value[instants_at + 10 :]
        else:
            instants = _INSTANTS.match(value, instants_at)
            if instants is None:
                return None
            tail = value[instants.end() :]
            written_send_at, written_expires_at = instants.groups()
            send_at = None if written_send_at is None else _read_long(written_send_at)
            expires_at = None if written_expires_at is None else _read_long(written_expires_at)

        if tail.isascii():  # Then each length has one byte, and all texts are UTF-8.
            odd = at = 0
            for _ in (0, 1):  # title, body
                branch = tail[at]
                at += 1
                if branch:
                    if branch != 2:
                        return None
                    size = tail[at]
                    odd |= size
                    at += 1 + (size >> 1)
            texts = tail[at]  # Of the map, twice its entries, as zigzag has it: each has a key and a value.
            at += 1
            if texts:
                odd |= texts
                for _ in range(texts):
                    size = tail[at]
                    odd |= size
                    at += 1 + (size >> 1)
                if tail[at]:
                    return None
                at += 1
            if odd & 1 or at != len(tail):
                return None
        elif not _ends_well(tail):
            return None
    except (IndexError, StructError, UnicodeDecodeError):
        return None
    return _new(Head, (notification_id, send_at, expires_at, start, None))


def _ends_well(tail: bytes) -> bool:
    """Whether these are a title, a body and a map in one block, and nothing else, where texts are long or not ASCII.

    Raises IndexError or UnicodeDecodeError, or returns False, when they are not or are unusual.
    """
    at = 0
    for _ in (0, 1):
        branch = tail[at]
        at += 1
        if branch == 2:
            at = _skip_texts(tail, at, 1)
        elif branch:
            return False
    texts = tail[at]
    at += 1
    if texts:
        if texts & 0x81:
            return False
        at = _skip_texts(tail, at, texts)
        if tail[at]:
            return False
        at += 1
    return at == len(tail)


def _skip_texts(tail: bytes, at: int, count: int) -> int:
    for _ in range(count):
        size = tail[at]
        at += 1
        if size > 0x7F:
            high = tail[at]
            at += 1
            if high > 0x7F:
                raise IndexError("a length of three bytes")
            size = size & 0x7F | high << 7
        if size & 1:
            raise IndexError("a negative length")
        end = at + (size >> 1)
        text = tail[at:end]
        if not text.isascii():
            str(text, "utf-8")
        at = end
    return at


def _read_long(written: bytes) -> int:
    try:
        return read_instant(written, 0) if len(written) == 6 else read_varint(written, 0)[0]
    except UnusualError:
        return read_varint(written, 0)[0]


def _is_type(type: bytes) -> bool:
    try:
        check_type(type)
    except PoisonError:
        return False
    if len(_types) < _TYPES_MAX:
        _types.add(type)
    return True


def _read_completely(value: bytes | None, key: bytes | None, codec: Codec) -> Head | PoisonError:
    try:
        record = codec.decode(value, _NOTIFICATION).record
        assert value is not None  # decode refuses it
        return checked_head(record, key, codec.body_start(value, "Notification") or RE_ENCODE)
    except PoisonError as error:
        return error


def checked_head(notification: Mapping[str, Any], key: bytes | None, body_start: int) -> Head:
    """The head of a decoded notification. Raises PoisonError for ids and local times that cannot be and a key that is
    not its."""
    notification_id: bytes = notification["notification_id"].encode()
    user_id: bytes = notification["user_id"].encode()
    type: bytes = notification["type"].encode()
    check_notification_id(notification_id)
    check_user_id(user_id)
    check_type(type)
    check_key(key, user_id, type)
    send_at, local_time, zone = (notification[name] for name in ("send_at", "send_at_local", "time_zone"))
    if send_at is not None and local_time is not None:
        raise PoisonError("INVALID_FIELD", "send_at and send_at_local are both given; one of them must be null")
    local = None
    if local_time is not None or zone is not None:
        local = LocalTime(None if local_time is None else read_local_time(local_time), zone)
    return Head(notification_id, send_at, notification["expires_at"], body_start, local)
