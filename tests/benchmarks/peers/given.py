"""What every peer in Python is given, and what is the same for all: the bytes of the contracts, by fastavro.

A peer may have packages that ringonce cannot live with, so nothing here needs more than fastavro.
"""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from fastavro import schemaless_reader, schemaless_writer

from schemas.contracts import CONTRACTS

HEADER_BYTES: Final = 10  # of single-object encoding
WINDOW_MS: Final = 3600 * 1000
SEND_MS: Final = 300 * 1000


@dataclass(frozen=True, slots=True)
class Given:
    """Where to read, where to write, and where to keep what is kept."""

    bootstrap: str
    group: str
    partitions: int
    directory: str
    notifications: str
    outbox: str
    statuses: str
    mode: str

    @classmethod
    def from_command_line(cls) -> Given:
        """The first argument, as JSON."""
        return cls(**json.loads(sys.argv[1]))


def read_notification(value: bytes) -> dict[str, Any]:
    """The event, or AssertionError where it is something else."""
    contract = CONTRACTS["Notification"]
    assert value[:HEADER_BYTES] == contract.header
    record: dict[str, Any] = schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), contract.parsed, None)  # type: ignore[assignment] # a record is a dictionary
    return record


def write(contract_name: str, record: dict[str, Any]) -> bytes:
    """The record as the value of a Kafka record."""
    contract, buffer = CONTRACTS[contract_name], io.BytesIO()
    buffer.write(contract.header)
    schemaless_writer(buffer, contract.parsed, record)
    return buffer.getvalue()


def now_ms() -> int:
    """The clock of the worker."""
    return time.time_ns() // 1_000_000


def status(
    notification: dict[str, Any], partition: int, offset: int, now: int, holder: tuple[str, int] | None
) -> dict[str, Any]:
    """What became of the event. `holder`: who has the slot, and until when; None: the event has it now."""
    found = {
        "notification_id": notification["notification_id"],
        "user_id": notification["user_id"],
        "type": notification["type"],
        "at": now,
        "stage": "suppress",
        "origin_partition": partition,
        "origin_offset": offset,
        "attempt": 0,
    }
    if holder is None:
        found |= {"state": "ADMITTED", "reason": "the window is free", "until": now + SEND_MS}
    else:
        found |= {"state": "SUPPRESSED", "reason": "the slot is held"}
        found |= {"by_notification_id": holder[0], "until": holder[1]}
    return found


def delivery(notification: dict[str, Any], partition: int, offset: int, now: int) -> dict[str, Any]:
    """What is sent on of an event that passes."""
    return {
        "admitted_at": now,
        "send_by": now + SEND_MS,
        "attempt": 1,
        "devices": [],
        "origin_partition": partition,
        "origin_offset": offset,
        "notification": notification,
    }
