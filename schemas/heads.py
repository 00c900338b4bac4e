"""Reads what suppress decides by, and checks all the rest: the hot path, used once for every event.

A head is valid exactly when `Codec.decode` and the checks of schemas/keys.py accept the whole record, so that an event
which is only suppressed cannot hide that it is broken. The usual record is walked here by hand; whatever is unusual
(an id of 64 bytes or more, several map blocks, an older schema, any flaw) is left to the complete path, which knows
every case and names what is wrong. tests/benchmarks/bench_codec.py measures this against the other ways.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.keys import check_key, check_notification_id, check_type, check_user_id
from schemas.poison import PoisonError
from schemas.structure import read_varint

RE_ENCODE: Final = -1
"""`body_start` of a record that an older schema wrote: its body cannot be taken over as it is."""

_PLAIN_CODEC: Final = Codec()
_HEADER: Final = CONTRACTS["Notification"].header
_NOTIFICATION: Final = ("Notification",)
_DUE: Final = ("Due",)

# created_at, then send_at and expires_at with their union branches. Nine bytes hold 63 bits, so none can overflow;
# a tenth is legal and left to the complete path.
_INSTANTS: Final = re.compile(
    rb"[\x80-\xff]{0,8}[\x00-\x7f](?:\x00|\x02([\x80-\xff]{0,8}[\x00-\x7f]))(?:\x00|\x02([\x80-\xff]{0,8}[\x00-\x7f]))"
)
_TYPES_MAX: Final = 10_000  # Types come from a settings file; what exceeds this is a mistake, not a reason to grow.


class Head(NamedTuple):
    """What suppress needs of one notification.

    `notification_id` in UTF-8, `send_at` and `expires_at` in milliseconds since the epoch, and where the body of the
    notification starts in the value: it goes on to the end, and can be embedded as it is. RE_ENCODE: it cannot, ask
    `current_body`.
    """

    notification_id: bytes
    send_at: int | None
    expires_at: int | None
    body_start: int


_types: Final[set[bytes]] = set()


def read_head(value: bytes | None, key: bytes | None, codec: Codec = _PLAIN_CODEC) -> Head:
    """The head of one value of `notifications`. Raises PoisonError, and with a registry RegistryUnavailableError."""
    head = read_heads((value,), (key,), codec)[0]
    if isinstance(head, PoisonError):
        raise head
    return head


def read_heads(
    values: Sequence[bytes | None], keys: Sequence[bytes | None], codec: Codec = _PLAIN_CODEC
) -> list[Head | PoisonError]:
    """The heads of a chunk, in its order; for a record that is poison, the error instead.

    Raises nothing, but with a registry RegistryUnavailableError: then nothing is known of the chunk, try again.
    """
    heads: list[Head | PoisonError] = []
    append = heads.append
    for value, key in zip(values, keys, strict=True):
        if value is not None and key is not None:
            start = 10 if value[:10] == _HEADER else codec.body_start(value, "Notification")
            head = _read_usual(value, key, start) if start else None
            if head is not None:
                append(head)
                continue
        append(_read_completely(value, key, codec))
    return heads


def _read_usual(value: bytes, key: bytes, start: int) -> Head | None:
    """The head of a usual and flawless record whose body starts there; None for any other."""
    try:
        id_size = value[start]
        user_at = start + 1 + (id_size >> 1)
        user_size = value[user_at]
        type_at = user_at + 1 + (user_size >> 1)
        type_size = value[type_at]
        instants_at = type_at + 1 + (type_size >> 1)
        if (id_size | user_size | type_size) & 0x81 or not id_size or not user_size:
            return None
        type = value[type_at + 1 : instants_at]
        if value[user_at + 1 : type_at] + b":" + type != key:
            return None
        if type not in _types and not _is_type(type):
            return None
        notification_id = value[start + 1 : user_at]
        if not notification_id.isascii():
            str(notification_id, "utf-8")
        if not key.isascii():
            str(key, "utf-8")
        instants = _INSTANTS.match(value, instants_at)
        if instants is None or not _ends_well(value[instants.end() :]):
            return None
    except (IndexError, UnicodeDecodeError):
        return None
    send_at, expires_at = instants.groups()
    return Head(
        notification_id,
        None if send_at is None else read_varint(send_at, 0)[0],
        None if expires_at is None else read_varint(expires_at, 0)[0],
        start,
    )


def _ends_well(tail: bytes) -> bool:
    """Whether these are a title, a body and a map in one block, and nothing else."""
    if not tail.isascii():
        return _ends_well_in_unicode(tail)
    odd = at = 0
    for _ in (0, 1):
        branch = tail[at]
        at += 1
        if branch == 2:
            size = tail[at]
            odd |= size
            at += 1 + (size >> 1)
        elif branch:
            return False
    count = tail[at]
    at += 1
    if count:
        odd |= count
        for _ in range(count):  # Twice the number of entries, as zigzag has it: each has a key and a value.
            size = tail[at]
            odd |= size
            at += 1 + (size >> 1)
        if tail[at]:
            return False
        at += 1
    return at == len(tail) and not odd & 1


def _ends_well_in_unicode(tail: bytes) -> bool:
    """The same for texts that are long (a length in two bytes) or not ASCII. May raise UnicodeDecodeError."""
    at = 0
    for _ in (0, 1):
        branch = tail[at]
        at += 1
        if branch == 2:
            at = _skip_text(tail, at)
        elif branch:
            return False
    count = tail[at]
    at += 1
    if count:
        if count & 0x81:
            return False
        for _ in range(count):
            at = _skip_text(tail, at)
        if tail[at]:
            return False
        at += 1
    return at == len(tail)


def _skip_text(tail: bytes, at: int) -> int:
    size = tail[at]
    at += 1
    if size > 0x7F:
        high = tail[at]
        at += 1
        if high > 0x7F:
            raise IndexError
        size = size & 0x7F | high << 7
    if size & 1:
        raise IndexError
    end = at + (size >> 1)
    str(tail[at:end], "utf-8")
    return end


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
        return _checked_head(record, key, codec.body_start(value, "Notification") or RE_ENCODE)
    except PoisonError as error:
        return error


def _checked_head(notification: Mapping[str, Any], key: bytes | None, body_start: int) -> Head:
    notification_id: bytes = notification["notification_id"].encode()
    user_id: bytes = notification["user_id"].encode()
    type: bytes = notification["type"].encode()
    check_notification_id(notification_id)
    check_user_id(user_id)
    check_type(type)
    check_key(key, user_id, type)
    return Head(notification_id, notification["send_at"], notification["expires_at"], body_start)


class DueHead(NamedTuple):
    """What suppress needs of a Due: its own fields, and the head of the notification in it.

    `head.body_start` is where the notification starts in the value of the Due; it goes on to the end.
    """

    due_at: int
    released_at: int
    origin_partition: int
    origin_offset: int
    head: Head


def read_due_head(value: bytes | None, key: bytes | None, codec: Codec = _PLAIN_CODEC) -> DueHead:
    """The head of one value of `due`. Raises PoisonError, and with a registry RegistryUnavailableError."""
    if value is not None and key is not None:
        at = codec.body_start(value, "Due")
        if at:
            try:
                due_at, at = read_varint(value, at)
                released_at, at = read_varint(value, at)
                partition, at = read_varint(value, at)
                offset, at = read_varint(value, at)
                usual = _read_usual(value, key, at) if -(2**31) <= partition < 2**31 else None
            except PoisonError:
                usual = None
            if usual is not None:
                return DueHead(due_at, released_at, partition, offset, usual)
    record = codec.decode(value, _DUE).record
    assert value is not None  # decode refuses it
    own = record["due_at"], record["released_at"], record["origin_partition"], record["origin_offset"]
    start = codec.body_start(value, "Due")
    for _ in own if start else ():
        start = read_varint(value, start)[1]
    return DueHead(*own, _checked_head(record["notification"], key, start or RE_ENCODE))
