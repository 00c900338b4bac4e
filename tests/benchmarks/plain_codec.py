"""The contracts by fastavro alone, as anyone would read and write them: what `plain loop` is given in place of ours."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastavro import schemaless_reader, schemaless_writer

from schemas.contracts import CONTRACTS
from schemas.notification import Head, StatusWriter, read_heads, read_slot, write_delivery, write_slot
from schemas.slots import SlotRow

HEADER_BYTES = 10  # of single-object encoding


class Event(NamedTuple):
    """What was read of one value; `notification` is whatever `delivery` takes it from."""

    notification_id: bytes
    send_at: int | None
    expires_at: int | None
    notification: Any


class LoopCodec(NamedTuple):
    """How the loop reads and writes. Each function does so for one record, but for `events`."""

    events: Callable[[Sequence[Any]], list[Event]]
    delivery: Callable[[Any, int, int, int, int], bytes]
    status: Callable[..., bytes]
    read_slot: Callable[[bytes], SlotRow]
    write_slot: Callable[..., bytes]


def _write(name: str, record: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    buffer.write(CONTRACTS[name].header)
    schemaless_writer(buffer, CONTRACTS[name].parsed, record)
    return buffer.getvalue()


def _read(name: str, value: bytes) -> dict[str, Any]:
    assert value[:HEADER_BYTES] == CONTRACTS[name].header
    record: dict[str, Any] = schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), CONTRACTS[name].parsed, None)  # type: ignore[assignment] # a record is a dictionary
    return record


def _events(records: Sequence[Any]) -> list[Event]:
    found = []
    for record in records:
        notification = _read("Notification", record.value)
        key = f"{notification['user_id']}:{notification['type']}".encode()
        assert key == record.key, "the key of another slot"
        found.append(
            Event(
                notification["notification_id"].encode(),
                notification["send_at"],
                notification["expires_at"],
                notification,
            )
        )
    return found


def _delivery(notification: Any, now: int, send_by: int, partition: int, offset: int) -> bytes:
    return _write(
        "Delivery",
        {
            "admitted_at": now,
            "send_by": send_by,
            "attempt": 1,
            "devices": [],
            "origin_partition": partition,
            "origin_offset": offset,
            "notification": notification,
        },
    )


def _status(
    now: int,
    partition: int,
    notification_id: bytes,
    slot: bytes,
    state: str,
    reason: bytes,
    offset: int,
    by: bytes | None,
    until: int | None,
) -> bytes:
    user_id, _, type = slot.decode().rpartition(":")
    return _write(
        "Status",
        {
            "notification_id": notification_id.decode(),
            "user_id": user_id,
            "type": type,
            "state": state,
            "reason": reason.decode(),
            "at": now,
            "stage": "suppress",
            "origin_partition": partition,
            "origin_offset": offset,
            "attempt": 0,
            "provider": None,
            "device_id": None,
            "by_notification_id": None if by is None else by.decode(),
            "until": until,
        },
    )


def _read_slot(row: bytes) -> SlotRow:
    slot = _read("Slot", row)
    return SlotRow(
        slot["notification_id"].encode(), slot["phase"], slot["blocked_until"], slot["admitted_at"], slot["send_by"]
    )


def _write_slot(notification_id: bytes, phase: str, blocked_until: int, admitted_at: int, send_by: int) -> bytes:
    slot = {
        "notification_id": notification_id.decode(),
        "phase": phase,
        "blocked_until": blocked_until,
        "admitted_at": admitted_at,
        "send_by": send_by,
    }
    return _write("Slot", slot)


FASTAVRO = LoopCodec(_events, _delivery, _status, _read_slot, _write_slot)


def _our_events(records: Sequence[Any]) -> list[Event]:
    found = []
    heads = read_heads([record.value for record in records], [record.key for record in records])
    for record, head in zip(records, heads, strict=True):
        assert isinstance(head, Head)
        found.append(Event(head.notification_id, head.send_at, head.expires_at, (record.value, head.body_start)))
    return found


def _our_delivery(notification: Any, now: int, send_by: int, partition: int, offset: int) -> bytes:
    value, start = notification
    return write_delivery(now, send_by, 1, (), partition, offset, value[start:])


class _OurStatuses:
    """Our writer, one for each instant and partition as it wants it."""

    def __init__(self) -> None:
        self._writers: dict[int, tuple[int, StatusWriter]] = {}

    def __call__(
        self,
        now: int,
        partition: int,
        notification_id: bytes,
        slot: bytes,
        state: Any,
        reason: bytes,
        offset: int,
        by: bytes | None,
        until: int | None,
    ) -> bytes:
        known = self._writers.get(partition)
        if known is None or known[0] != now:
            known = self._writers[partition] = (now, StatusWriter("suppress", now, partition))
        return known[1].write(notification_id, slot, state, reason, offset, 0, by, until)


OURS = LoopCodec(_our_events, _our_delivery, _OurStatuses(), read_slot, write_slot)
