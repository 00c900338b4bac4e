"""Reads the values of `outbox`: the hot path of deliver, used once for every push.

What it gives is what `Codec.decode` gives, field by field. The usual Delivery (a first attempt, texts of less than
8 kB, one map block) is read here by hand, and each byte of it is looked at; whatever is unusual, an older schema or any
flaw is left to the complete reader, which knows every case and names what is wrong.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812 (its own name says nothing)
from typing import Any, Final

from schemas.codec import Codec, Decoded
from schemas.poison import PoisonError
from schemas.structure import read_varint
from schemas.varint import UnusualError, instant_of, read_instant, read_text

_EXPECTED: Final = ("Delivery", "LocalDeferral")
# admitted_at and send_by in six bytes each, as instants of our days are, the attempt, and where the devices end.
_OWN_FIELDS: Final = Struct("<HIHIBB").unpack_from
_OWN_BYTES: Final = 14
_CREATED_AT: Final = Struct("<HII").unpack_from  # and four bytes for the nulls of what is seldom given
_ONE_BYTE_MASK: Final = 0x81  # set in the size of a text that is negative or has more than one byte


def read_delivery(value: bytes | None, codec: Codec) -> Decoded:
    """The Delivery or LocalDeferral that a value holds. Raises PoisonError, and with a registry
    RegistryUnavailableError."""
    if value is not None:
        start = codec.body_start(value, "Delivery")
        if start:
            try:
                return Decoded("Delivery", _read_usual(value, start))
            except (IndexError, PoisonError, StructError, UnicodeDecodeError, UnusualError):
                pass  # Legal or not: the complete reader knows.
    return codec.decode(value, _EXPECTED)


def _read_usual(value: bytes, at: int) -> dict[str, Any]:
    """One long function, because a call costs as much as a field. Raises for what is not usual."""
    low, high, low_2, high_2, attempt, no_devices = _OWN_FIELDS(value, at)
    at += _OWN_BYTES
    partition = value[at]
    if (attempt | partition) & _ONE_BYTE_MASK or no_devices:
        raise UnusualError
    offset, at = read_varint(value, at + 1)
    id_size = value[at]
    user_at = at + 1 + (id_size >> 1)
    user_size = value[user_at]
    type_at = user_at + 1 + (user_size >> 1)
    type_size = value[type_at]
    created_at = type_at + 1 + (type_size >> 1)
    if (id_size | user_size | type_size) & _ONE_BYTE_MASK:
        raise UnusualError
    created_low, created_high, nulls = _CREATED_AT(value, created_at)
    send_at = expires_at = None
    if nulls:
        send_at, expires_at, tail_at = _instants(value, created_at + 6)
    else:
        tail_at = created_at + 10
    title, body, data = _texts(value[tail_at:])
    return {
        "admitted_at": instant_of(low, high),
        "send_by": instant_of(low_2, high_2),
        "attempt": attempt >> 1,
        "devices": [],
        "origin_partition": partition >> 1,
        "origin_offset": offset,
        "notification": {
            "notification_id": str(value[at + 1 : user_at], "utf-8"),
            "user_id": str(value[user_at + 1 : type_at], "utf-8"),
            "type": str(value[type_at + 1 : created_at], "utf-8"),
            "created_at": instant_of(created_low, created_high),
            "send_at": send_at,
            "expires_at": expires_at,
            "send_at_local": None,
            "time_zone": None,
            "title": title,
            "body": body,
            "data": data,
        },
    }


def _instants(value: bytes, at: int) -> tuple[int | None, int | None, int]:
    """send_at and expires_at, and where the texts start; of local times there are none."""
    found: list[int | None] = []
    for _ in ("send_at", "expires_at"):
        branch = value[at]
        at += 1
        if branch == 2:
            found.append(read_instant(value, at))
            at += 6
        elif branch:
            raise UnusualError
        else:
            found.append(None)
    if value[at : at + 2] != b"\x00\x00":
        raise UnusualError
    return found[0], found[1], at + 2


def _texts(tail: bytes) -> tuple[str | None, str | None, dict[str, str]]:
    """title, body and data, which end the record."""
    if not tail.isascii():
        return _long_texts(tail)
    text = str(tail, "ascii")  # then each size has one byte: one decoding for all of them
    at = odd = 0
    found: list[str | None] = []
    for _ in ("title", "body"):
        branch = tail[at]
        at += 1
        if branch == 2:
            size = tail[at]
            odd |= size
            start = at + 1
            at = start + (size >> 1)
            found.append(text[start:at])
        elif branch:
            raise UnusualError
        else:
            found.append(None)
    count = tail[at]
    odd |= count
    at += 1
    data: dict[str, str] = {}
    if count:
        for _ in range(count >> 1):
            size = tail[at]
            odd |= size
            start = at + 1
            at = start + (size >> 1)
            key = text[start:at]
            size = tail[at]
            odd |= size
            start = at + 1
            at = start + (size >> 1)
            data[key] = text[start:at]
        if tail[at]:
            raise UnusualError
        at += 1
    if odd & 1 or at != len(tail):
        raise UnusualError
    return found[0], found[1], data


def _long_texts(tail: bytes) -> tuple[str | None, str | None, dict[str, str]]:
    """The same where texts are longer than 63 bytes or not ASCII."""
    at = 0
    found: list[str | None] = []
    for _ in ("title", "body"):
        branch = tail[at]
        at += 1
        text = None
        if branch == 2:
            text, at = read_text(tail, at)
        elif branch:
            raise UnusualError
        found.append(text)
    count = tail[at]
    at += 1
    data: dict[str, str] = {}
    if count:
        if count & _ONE_BYTE_MASK:
            raise UnusualError
        for _ in range(count >> 1):
            key, at = read_text(tail, at)
            data[key], at = read_text(tail, at)
        if tail[at]:
            raise UnusualError
        at += 1
    if at != len(tail):
        raise UnusualError
    return found[0], found[1], data
