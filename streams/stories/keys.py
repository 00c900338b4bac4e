"""Keys of the index of stories, and what is read of a status to make them. Pure.

    <bucket> c <slot> <holder>                           how many were suppressed by a holder of the slot
    <bucket> d <slot> <inverse instant> <inverse offset> a decision of suppress, the newest first
    <bucket> s <slot> <name> <offset>                    a status

`<bucket>` is a stretch of time, so that what is too old is one range of keys, which is removed without being looked at.
User, type and id are written behind their lengths: the rows of `tenant` are not among those of `tenant:1`. `<name>` is
the id, or, where the event could not be read, its place on `notifications`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.contracts import CONTRACTS
from schemas.keys import NOTIFICATION_ID_BYTES_MAX, USER_ID_BYTES_MAX
from schemas.records import State
from schemas.varint import UnusualError, read_instant

COUNT, DECISION, STORY = b"c", b"d", b"s"
ROWS: Final = (COUNT, DECISION, STORY)
META: Final = b"\xff"  # behind every bucket
BUCKETS: Final = 6  # of what is kept; one more is there, of which a part is too old
STATES: Final[tuple[State, ...]] = tuple(
    symbol
    for field in CONTRACTS["Status"].schema["fields"]
    if field["name"] == "state"
    for symbol in field["type"]["symbols"]
)
_SUPPRESS: Final = b"\x10suppress"
_INSTANT_MAX: Final = (1 << 48) - 1
_OFFSET_MAX: Final = (1 << 63) - 1
# Longer ones are no names of ours, and have to be computed.
_LENGTHS: Final = tuple(
    size.to_bytes(2, "big") for size in range(max(USER_ID_BYTES_MAX, NOTIFICATION_ID_BYTES_MAX) + 1)
)


class Head(NamedTuple):
    """What of a status its rows need. `decided`: suppress has decided on its event. `stage_at`: where in the bytes the
    stage is said, for whoever reads on."""

    notification_id: bytes
    state: State
    at: int
    decided: bool
    stage_at: int


def read_head(value: bytes, start: int) -> Head:
    """Read the front of a Status whose body starts there. Raises IndexError where it is cut off."""
    size, at = _long(value, start)
    notification_id = value[at : at + size]
    at += size
    for _ in range(2):  # user and type, which its key has
        size, at = _long(value, at)
        at += size
    number, at = _long(value, at)
    size, at = _long(value, at)
    at += size
    try:
        instant, stage_at = read_instant(value, at), at + 6
    except UnusualError:
        instant, stage_at = _signed(value, at)
    return Head(notification_id, STATES[number], instant, value.startswith(_SUPPRESS, stage_at), stage_at)


def read_origin(value: bytes, head: Head) -> tuple[int, int]:
    """Read the place of the event on `notifications`, behind the head of its status."""
    size, at = _long(value, head.stage_at)
    partition, at = _signed(value, at + size)
    offset, _ = _signed(value, at)
    return partition, offset


def read_holder(value: bytes, head: Head) -> bytes:
    """Read who stands in the way, behind the head of a SUPPRESSED of suppress: never without one."""
    at = head.stage_at + len(_SUPPRESS)
    for _ in range(3):  # partition, offset, attempt
        while value[at] >= 0x80:
            at += 1
        at += 1
    if value[at : at + 3] != b"\0\0\x02":  # no provider, no device
        raise IndexError(at)
    size, at = _long(value, at + 3)
    return value[at : at + size]


def _long(value: bytes, at: int) -> tuple[int, int]:
    """A number that is not negative, and the position behind it."""
    byte = value[at]
    if byte < 0x80:
        return byte >> 1, at + 1
    number, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = value[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number >> 1, at + 1
        shift += 7


def _signed(value: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = value[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number >> 1 ^ -(number & 1), at
        shift += 7


def bucket_of(at: int, bucket_ms: int) -> int:
    """The number of the stretch of time that an instant (milliseconds since the epoch) is in."""
    return max(0, at) // bucket_ms


def bucket_bytes(number: int) -> bytes:
    """The number of a bucket as its keys begin with it."""
    return number.to_bytes(4, "big")


def sized(text: bytes) -> bytes:
    """A text behind its length."""
    size = len(text)
    return (_LENGTHS[size] if size < len(_LENGTHS) else size.to_bytes(2, "big")) + text


def user_part(user: bytes) -> bytes:
    """A user in a key."""
    return sized(user)


def slot_part(user: bytes, kind: bytes) -> bytes:
    """A slot in a key."""
    return sized(user) + sized(kind)


def name_part(notification_id: bytes, origin: tuple[int, int]) -> bytes:
    """The name of a notification in a key; `origin` counts where it has no id."""
    if notification_id:
        return sized(notification_id)
    partition, offset = origin
    return b"\0\0" + (partition & 0xFFFFFFFF).to_bytes(4, "big") + (offset & _OFFSET_MAX).to_bytes(8, "big")


def inverse(at: int, offset: int) -> bytes:
    """An instant and an offset, so that the latest comes first."""
    instant = _INSTANT_MAX - min(max(at, 0), _INSTANT_MAX)
    return instant.to_bytes(6, "big") + (_OFFSET_MAX - offset).to_bytes(8, "big")


def read_inverse(key: bytes) -> tuple[int, int]:
    """The instant and the offset that a key ends with."""
    return _INSTANT_MAX - int.from_bytes(key[-14:-8], "big"), _OFFSET_MAX - int.from_bytes(key[-8:], "big")


def split_sized(row: bytes) -> tuple[bytes, bytes]:
    """A text behind its length, and what follows."""
    size = 2 + int.from_bytes(row[:2], "big")
    return row[2:size], row[size:]


def after(prefix: bytes) -> bytes:
    """The first key behind all that begin with this prefix, whose last byte is none of 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def ranges_of_user(user: bytes, buckets: range) -> Iterator[tuple[bytes, bytes]]:
    """The ranges of keys that hold all rows of a user."""
    for number in buckets:
        for row in ROWS:
            prefix = bucket_bytes(number) + row + user_part(user)
            yield prefix, after(prefix)
