"""Kafka keys: how the slot of a notification is written as a key, what its parts may be, and where it goes."""

from __future__ import annotations

import re
from typing import Final

from murmurhash2 import murmurhash2

from schemas.poison import PoisonError

USER_ID_BYTES_MAX: Final = 256
TYPE_BYTES_MAX: Final = 64
NOTIFICATION_ID_BYTES_MAX: Final = 128

_TYPE: Final = re.compile(rb"[A-Za-z0-9_.\-]{1,64}\Z")
_KINDS_MAX: Final = 10_000  # types come from a settings file; what exceeds this is a mistake, not a reason to grow
_kinds: Final[dict[str, bytes]] = {}  # those that were found to be right
_SEED: Final = 0x9747B28C  # org.apache.kafka.common.utils.Utils.murmur2


def slot_key(user_id: str, type: str) -> bytes:
    """The key of a slot, `user_id:type` in UTF-8. Raises PoisonError INVALID_FIELD for parts that cannot be."""
    user = _utf8("user_id", user_id)
    kind = _kinds.get(type)
    if kind is None:
        kind = _utf8("type", type)
        check_type(kind)
        if len(_kinds) < _KINDS_MAX:
            _kinds[type] = kind
    if not 0 < len(user) <= USER_ID_BYTES_MAX:
        check_user_id(user)
    return user + b":" + kind


def split_slot_key(key: bytes) -> tuple[str, str]:
    """The user_id and the type of a slot's key: a user_id may hold colons, a type cannot, so the last one parts them.

    Raises PoisonError KEY_MISMATCH when it is not the key of a slot.
    """
    user, colon, kind = key.rpartition(b":")
    if not colon:
        raise PoisonError("KEY_MISMATCH", f"the key {_shown(key)} is not user_id:type")
    try:
        check_user_id(user)
        check_type(kind)
        return str(user, "utf-8"), str(kind, "ascii")
    except PoisonError as error:
        raise PoisonError("KEY_MISMATCH", f"the key {_shown(key)} is not user_id:type: {error.reason}") from None


def check_user_id(user_id: bytes) -> None:
    """Raise PoisonError INVALID_FIELD unless it is 1 to 256 bytes of UTF-8."""
    _check_size("user_id", user_id, USER_ID_BYTES_MAX)


def check_type(type: bytes) -> None:
    """Raise PoisonError INVALID_FIELD unless it is 1 to 64 letters, digits, `_`, `-` and `.` of ASCII."""
    if not _TYPE.match(type):
        raise PoisonError("INVALID_FIELD", f"type {_shown(type)} is not 1 to 64 of A-Z a-z 0-9 _ - .")


def check_notification_id(notification_id: bytes) -> None:
    """Raise PoisonError INVALID_FIELD unless it is 1 to 128 bytes of UTF-8."""
    _check_size("notification_id", notification_id, NOTIFICATION_ID_BYTES_MAX)


def check_key(key: bytes | None, user_id: bytes, type: bytes) -> None:
    """Raise PoisonError NO_KEY or KEY_MISMATCH unless the key of a record is that of the slot in its body."""
    if key is None:
        raise PoisonError("NO_KEY", "the record has no key; it must be user_id:type")
    if key != user_id + b":" + type:
        raise PoisonError(
            "KEY_MISMATCH", f"the key {_shown(key)} is not that of the body, {_shown(user_id + b':' + type)}"
        )


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key: murmur2, positive, modulo the count.

    Source: org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey.
    """
    return (murmurhash2(key, _SEED) & 0x7FFFFFFF) % partitions


def _utf8(field: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise PoisonError("INVALID_FIELD", f"{field} is not UTF-8: {error.reason}") from None


def _check_size(field: str, text: bytes, size_max: int) -> None:
    if not 0 < len(text) <= size_max:
        raise PoisonError("INVALID_FIELD", f"{field} has {len(text)} bytes, it must have 1 to {size_max}")
    try:
        str(text, "utf-8")
    except UnicodeDecodeError as error:
        raise PoisonError("INVALID_FIELD", f"{field} is not UTF-8: {error.reason} at byte {error.start}") from None


def _shown(text: bytes) -> str:
    """As text for a person, at most as long as is useful in a sentence."""
    return repr(text[:400].decode("utf-8", "backslashreplace"))
