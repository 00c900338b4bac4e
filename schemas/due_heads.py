"""Reads what suppress decides by from the values of `due`; the notification in them is read as in schemas/heads.py."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.codec import Codec
from schemas.heads import PLAIN_CODEC, RE_ENCODE, Head, checked_head, read_usual
from schemas.poison import PoisonError
from schemas.structure import read_varint
from schemas.varint import UnusualError, read_instant

_DUE: Final = ("Due",)


class DueHead(NamedTuple):
    """What suppress needs of a Due: its own fields, and the head of the notification in it.

    `head.body_start` is where the notification starts in the value of the Due; it goes on to the end.
    """

    due_at: int
    released_at: int
    origin_partition: int
    origin_offset: int
    head: Head


def read_due_head(value: bytes | None, key: bytes | None, codec: Codec = PLAIN_CODEC) -> DueHead:
    """The head of one value of `due`. Raises PoisonError, and with a registry RegistryUnavailableError."""
    if value is not None and key is not None:
        at = codec.body_start(value, "Due")
        if at:
            try:
                due_at = read_instant(value, at)
                released_at = read_instant(value, at + 6)
                partition = value[at + 12] >> 1
                offset, body_at = read_varint(value, at + 13)
                usual = None if value[at + 12] & 0x81 else read_usual(value, key, body_at)
            except (IndexError, PoisonError, UnusualError):
                usual = None  # Legal or not: the complete reader knows.
            if usual is not None:
                return DueHead(due_at, released_at, partition, offset, usual)
    record = codec.decode(value, _DUE).record
    assert value is not None  # decode refuses it
    own = record["due_at"], record["released_at"], record["origin_partition"], record["origin_offset"]
    start = codec.body_start(value, "Due")
    for _ in own if start else ():
        start = read_varint(value, start)[1]
    return DueHead(*own, checked_head(record["notification"], key, start or RE_ENCODE))
