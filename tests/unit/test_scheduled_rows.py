"""What is on `scheduled`, and what the table keeps of it."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from fastavro import schemaless_writer

from schemas.codec import Codec
from schemas.contracts import CONTRACTS, Contract
from schemas.poison import PoisonError
from streams.stages.schedule_table import DEFERRALS, RETRIES, Pending, index_key, pending_key, read_pending
from streams.stages.scheduled_rows import (
    Command,
    Deferral,
    Retry,
    read_delivery_body,
    read_held,
    read_scheduled,
)

CODEC = Codec()
SLOT = "ü:t".encode()
NOTIFICATION: dict[str, Any] = {
    "notification_id": "n-1",
    "user_id": "ü",
    "type": "t",
    "created_at": 1_700_000_000_000,
    "send_at": 1_700_000_005_000,
    "expires_at": 1_700_000_009_000,
    "data": {"k": "v"},
}
DEFERRAL: dict[str, Any] = {
    "due_at": 1_700_000_005_000,
    "origin_partition": 3,
    "origin_offset": 2**40,
    "notification": NOTIFICATION,
}
DELIVERY: dict[str, Any] = {
    "admitted_at": 10,
    "send_by": 20,
    "attempt": 2,
    "devices": ["phone"],
    "origin_partition": 3,
    "origin_offset": 2**40,
    "notification": NOTIFICATION,
}
COMMAND: dict[str, Any] = {
    "notification_id": "n-1",
    "user_id": "ü",
    "type": "t",
    "request_id": "r-1",
    "requested_by": "ops",
    "requested_at": 1,
}


@pytest.mark.parametrize("due_at", [1_700_000_005_000, 5_000, 0])
@pytest.mark.parametrize("notification_id", ["n-1", "é" * 64])
def test_a_deferral_says_when_it_is_due_and_whose_it_is(due_at: int, notification_id: str) -> None:
    """Whether it is read by hand or by the codec; its row holds the notification as it can stand in another record."""
    notification = {**NOTIFICATION, "notification_id": notification_id}
    value = CODEC.encode("Deferral", {**DEFERRAL, "due_at": due_at, "notification": notification})
    found = read_scheduled(CODEC, value, SLOT)
    assert found == Deferral(SLOT, notification_id.encode(), due_at, 1_700_000_009_000, (3, 2**40), value)
    held = read_held(found.row, SLOT)
    assert (held.origin, held.expires_at) == ((3, 2**40), 1_700_000_009_000)
    assert CODEC.header("Notification") + held.body == CODEC.encode("Notification", notification)


def test_a_retry_holds_a_whole_delivery() -> None:
    """Its body is that of the delivery, ready for `outbox`."""
    found = read_scheduled(CODEC, CODEC.encode("Retry", {"due_at": 7, "delivery": DELIVERY}), SLOT)
    assert isinstance(found, Retry)
    assert (found.slot, found.notification_id, found.due_at) == (SLOT, b"n-1", 7)
    assert CODEC.header("Delivery") + read_delivery_body(found.row) == CODEC.encode("Delivery", DELIVERY)


def test_commands_say_who_asks_for_what() -> None:
    """A move has a time, a cancel has none."""
    cancel = read_scheduled(CODEC, CODEC.encode("Cancel", COMMAND), SLOT)
    assert cancel == Command(SLOT, b"n-1", None, "r-1", "ops")
    move = read_scheduled(CODEC, CODEC.encode("Move", {**COMMAND, "due_at": -5}), SLOT)
    assert move == Command(SLOT, b"n-1", 0, "r-1", "ops")


@pytest.mark.parametrize(
    ("value", "key", "code"),
    [
        (None, SLOT, "NO_VALUE"),
        (b"", SLOT, "BAD_MAGIC"),
        (b"garbage", SLOT, "BAD_MAGIC"),
        (CODEC.encode("Notification", NOTIFICATION), SLOT, "WRONG_RECORD"),
        (CODEC.header("Retry") + b"\x02", SLOT, "TRUNCATED"),
        (CODEC.encode("Deferral", DEFERRAL)[:-1], SLOT, "TRUNCATED"),
        (CODEC.encode("Deferral", DEFERRAL) + b"\0", SLOT, "TRAILING_BYTES"),
        (CODEC.encode("Deferral", DEFERRAL), None, "NO_KEY"),
        (CODEC.encode("Deferral", DEFERRAL), b"other:t", "KEY_MISMATCH"),
        (CODEC.encode("Retry", {"due_at": 7, "delivery": DELIVERY}), b"other:t", "KEY_MISMATCH"),
        (CODEC.encode("Cancel", COMMAND), b"other:t", "KEY_MISMATCH"),
        (CODEC.encode("Cancel", {**COMMAND, "request_id": ""}), SLOT, "INVALID_FIELD"),
        (CODEC.encode("Cancel", {**COMMAND, "requested_by": "x" * 129}), SLOT, "INVALID_FIELD"),
        (CODEC.encode("Cancel", {**COMMAND, "notification_id": ""}), SLOT, "INVALID_FIELD"),
        (CODEC.encode("Move", {**COMMAND, "due_at": 10**16}), SLOT, "INVALID_FIELD"),
    ],
)
def test_what_cannot_be_is_poison(value: bytes | None, key: bytes | None, code: str) -> None:
    """And it is said what is wrong."""
    with pytest.raises(PoisonError) as caught:
        read_scheduled(CODEC, value, key)
    assert caught.value.code == code


def test_rows_of_an_earlier_version_are_read() -> None:
    """What an older worker deferred is kept as the current contract has it; a row that it left is read as it is."""

    def without_expires_at(node: Any) -> Any:
        if isinstance(node, list):
            return [without_expires_at(each) for each in node if not _is_expires_at(each)]
        return {key: without_expires_at(each) for key, each in node.items()} if isinstance(node, dict) else node

    older = Contract.of(without_expires_at(copy.deepcopy(dict(CONTRACTS["Deferral"].schema))))
    codec = Codec(writers={older.fingerprint: older})
    buffer = io.BytesIO()
    schemaless_writer(buffer, older.parsed, DEFERRAL)
    found = read_scheduled(codec, older.header + buffer.getvalue(), SLOT)
    assert isinstance(found, Deferral)
    assert found.row == CODEC.encode("Deferral", {**DEFERRAL, "notification": {**NOTIFICATION, "expires_at": None}})


def _is_expires_at(field: Any) -> bool:
    return isinstance(field, dict) and field.get("name") == "expires_at"


def test_rows_are_in_due_order_and_then_in_the_order_of_arrival() -> None:
    """The store's byte order is the order of release, for both kinds."""
    pending = [
        Pending(0, 9, b"a:t", b"1"),
        Pending(255, 8, b"z:t", b"1"),
        Pending(256, 1, b"b:t", "ü".encode()),
        Pending(256, 300, b"a:t", b"1"),
        Pending(2**41, 0, b"a:t", b"\0"),
    ]
    for prefix in (DEFERRALS, RETRIES):
        keys = [pending_key(each, prefix) for each in pending]
        assert sorted(keys) == keys
        assert [read_pending(key) for key in keys] == pending


def test_the_key_of_a_deferral_holds_that_of_its_index() -> None:
    """So the index of a row can be removed without reading it."""
    assert pending_key(Pending(7, 9, SLOT, b"id"))[17:] == index_key(SLOT, b"id")[1:]
