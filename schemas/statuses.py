"""Writes the many statuses of one chunk: what is the same in them is encoded once."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.contracts import CONTRACTS
from schemas.records import State
from schemas.varint import SHORT, write_bytes, write_long

_new: Final = tuple.__new__  # Subject(...) costs 0.2 µs more.
_HEADER: Final = CONTRACTS["Status"].header
_STATES: Final[dict[str, bytes]] = {
    symbol: write_long(index)
    for field in CONTRACTS["Status"].schema["fields"]
    if field["name"] == "state"
    for index, symbol in enumerate(field["type"]["symbols"])
}
_BEFORE_DELIVERY: Final = b"\x00\x00\x00"  # attempt 0, no provider, no device
_OWN_REASON: Final = "ATTEMPTED"  # says what the provider answered: its own id for the push, which never comes again
_REASONS_MAX: Final = 1024  # Reasons are words of a small set; where a provider's words vary, forget and go on.


class Subject(NamedTuple):
    """What all statuses of one attempt have in common, as their bytes: `notification_id`, `user_id` and `type`;
    `origin_offset` and `attempt`."""

    notification: bytes
    attempt: bytes


def subject_of(notification_id: bytes, user_id: bytes, type: bytes, origin_offset: int, attempt: int) -> Subject:
    """The subject of statuses; texts in UTF-8. Nothing is checked. Raises OverflowError beyond 64 bits."""
    named = write_bytes(notification_id) + write_bytes(user_id) + write_bytes(type)
    return _new(Subject, (named, write_long(origin_offset) + write_long(attempt)))


class StatusWriter:
    """Writes Status records that share the stage, the instant and the partition of origin.

    `at` in milliseconds since the epoch. `header`: `Codec.header("Status", topic)`.
    """

    __slots__ = ("_after_reason", "_header", "_middles")

    def __init__(self, stage: str, at: int, origin_partition: int, header: bytes = _HEADER) -> None:
        self._header = header
        self._after_reason = write_long(at) + write_bytes(stage.encode()) + write_long(origin_partition)
        self._middles: dict[tuple[State, bytes], bytes] = {}

    def write(
        self,
        notification_id: bytes,
        user_type_key: bytes,
        state: State,
        reason: bytes,
        origin_offset: int,
        attempt: int = 0,
        by_notification_id: bytes | None = None,
        until: int | None = None,
        provider: bytes | None = None,
        device_id: bytes | None = None,
    ) -> bytes:
        """One Status as the value of a record. The fields are those of schemas/avsc/status.avsc, texts in UTF-8.

        `user_type_key` is the key of the slot; user and type are empty where it holds no colon. Nothing is checked:
        texts must be valid UTF-8. Raises KeyError for no state of the contract, OverflowError beyond 64 bits.
        """
        middle = self._middles.get((state, reason))
        if middle is None:
            middle = self._middle(state, reason)
        user_id, _, type = user_type_key.rpartition(b":")
        if not user_id:
            type = b""
        by = b"\x00"
        if by_notification_id is not None:
            by_size = len(by_notification_id)
            by = b"\x02" + (SHORT[by_size] if by_size < 1024 else write_long(by_size)) + by_notification_id
        id_size = len(notification_id)
        user_size = len(user_id)
        type_size = len(type)
        return b"".join(
            (
                self._header,
                SHORT[id_size] if id_size < 1024 else write_long(id_size),
                notification_id,
                SHORT[user_size] if user_size < 1024 else write_long(user_size),
                user_id,
                SHORT[type_size] if type_size < 1024 else write_long(type_size),
                type,
                middle,
                write_long(origin_offset),
                _BEFORE_DELIVERY
                if provider is None and device_id is None and not attempt
                else write_long(attempt) + _optional(provider) + _optional(device_id),
                by,
                b"\x00" if until is None else b"\x02" + write_long(until),
            )
        )

    def write_of(
        self,
        subject: Subject,
        state: State,
        reason: bytes,
        until: int | None = None,
        provider: bytes | None = None,
        device_id: bytes | None = None,
    ) -> bytes:
        """The same for one of several statuses with the same subject, which was encoded once."""
        if state == _OWN_REASON:
            middle = self._encoded(state, reason)
        else:
            middle = self._middles.get((state, reason)) or self._middle(state, reason)
        return b"".join(
            (
                self._header,
                subject.notification,
                middle,
                subject.attempt,
                b"\x00" if provider is None else b"\x02" + write_bytes(provider),
                b"\x00" if device_id is None else b"\x02" + write_bytes(device_id),
                b"\x00\x00" if until is None else b"\x00\x02" + write_long(until),
            )
        )

    def _middle(self, state: State, reason: bytes) -> bytes:
        if len(self._middles) >= _REASONS_MAX:
            self._middles.clear()
        middle = self._middles[state, reason] = self._encoded(state, reason)
        return middle

    def _encoded(self, state: State, reason: bytes) -> bytes:
        return _STATES[state] + write_bytes(reason) + self._after_reason


class StatusWriters(dict[int, StatusWriter]):
    """The writers of one step by partition of origin; each is made when it is first asked for."""

    def __init__(self, stage: str, at: int, header: bytes = _HEADER) -> None:
        super().__init__()
        self._stage = stage
        self._at = at
        self._header = header

    def __missing__(self, origin_partition: int) -> StatusWriter:
        writer = self[origin_partition] = StatusWriter(self._stage, self._at, origin_partition, self._header)
        return writer


def _optional(text: bytes | None) -> bytes:
    return b"\x00" if text is None else b"\x02" + write_bytes(text)
