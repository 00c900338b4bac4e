"""What is on `scheduled`, read as far as holding and releasing it needs."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.stages.schedule import Pending, pending_key, read_pending
from streams.stages.scheduled_rows import read_scheduled

CODEC = Codec()
NOTIFICATION: dict[str, Any] = {
    "notification_id": "n-1",
    "user_id": "ü",
    "type": "t",
    "created_at": 1,
    "send_at": 5_000,
    "data": {"k": "v"},
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


def test_a_deferral_says_when_it_is_due_and_whose_it_is() -> None:
    """Its body is that of the notification, as it can stand in another record."""
    value = CODEC.encode(
        "Deferral",
        {"due_at": 5_000, "origin_partition": 3, "origin_offset": 2**40, "notification": NOTIFICATION},
    )
    found = read_scheduled(CODEC, value)
    assert (found.due_at, found.is_retry, found.origin, found.notification_id) == (5_000, False, (3, 2**40), b"n-1")
    assert CODEC.header("Notification") + found.body == CODEC.encode("Notification", NOTIFICATION)


def test_a_retry_holds_a_whole_delivery() -> None:
    """Its body is that of the delivery, ready for `outbox`."""
    found = read_scheduled(CODEC, CODEC.encode("Retry", {"due_at": 7, "delivery": DELIVERY}))
    assert (found.due_at, found.is_retry) == (7, True)
    assert CODEC.header("Delivery") + found.body == CODEC.encode("Delivery", DELIVERY)


@pytest.mark.parametrize(
    "value", [None, b"", b"garbage", CODEC.encode("Notification", NOTIFICATION), CODEC.header("Retry") + b"\x02"]
)
def test_what_is_neither_is_poison(value: bytes | None) -> None:
    """And nothing else is raised."""
    with pytest.raises(PoisonError):
        read_scheduled(CODEC, value)


def test_rows_are_in_due_order_and_then_in_the_order_of_arrival() -> None:
    """The store's byte order is the order of release."""
    pending = [
        Pending(0, 9, b"a:t"),
        Pending(255, 8, b"z:t"),
        Pending(256, 1, b"b:t"),
        Pending(256, 300, b"a:t"),
        Pending(2**41, 0, b"a:t"),
    ]
    keys = [pending_key(each) for each in pending]
    assert sorted(keys) == keys
    assert [read_pending(key) for key in keys] == pending
