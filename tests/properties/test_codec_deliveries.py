"""The fast readers of deliver, of `outbox` and of devices, and the complete decoder are of one mind."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.notification import read_delivery, read_device_row
from schemas.poison import PoisonError
from tests.properties.codec_records import legal_bodies, notifications, padded_long, records

CODEC = Codec()
HEADER = CONTRACTS["Delivery"].header
NAMES = ("Delivery", "LocalDeferral")
FIELDS = ("device_id", "provider", "address", "p256dh", "auth", "registered_at")


def complete(value: bytes | None) -> object:
    """What the decoder makes of a value, or the code of the poison."""
    try:
        return CODEC.decode(value, NAMES)
    except PoisonError as error:
        return error.code


def fast(value: bytes | None) -> object:
    try:
        return read_delivery(value, CODEC)
    except PoisonError as error:
        return error.code


_instants = st.one_of(st.integers(1_700_000_000_000, 1_900_000_000_000), st.integers(-(2**63), 2**63 - 1))
deliveries: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "admitted_at": _instants,
        "send_by": _instants,
        "attempt": st.sampled_from([1, 1, 2, 64, -1]),
        "devices": st.one_of(st.just([]), st.lists(st.text(max_size=5), max_size=2)),
        "origin_partition": st.integers(0, 70),
        "origin_offset": st.integers(0, 2**40),
        "notification": notifications,
    }
)


@given(deliveries)
def test_a_delivery_is_what_the_decoder_says(delivery: dict[str, Any]) -> None:
    """Usual or not, the fast reader gives each field as the decoder does."""
    value = CODEC.encode("Delivery", delivery)
    assert fast(value) == complete(value) == ("Delivery", delivery)


@given(deliveries, st.data())
def test_every_legal_form_is_read_alike(delivery: dict[str, Any], data: st.DataObject) -> None:
    """Long varints and several blocks change nothing."""
    own = CODEC.encode("Delivery", delivery)[: -len(CODEC.encode("Notification", delivery["notification"])) + 10]
    padding = data.draw(st.integers(0, 2))
    value = own + data.draw(legal_bodies(delivery["notification"]))
    assert fast(value) == complete(value) == ("Delivery", delivery)
    first = padded_long(delivery["admitted_at"], padding)
    padded = HEADER + first + value[len(HEADER) + len(padded_long(delivery["admitted_at"], 0)) :]
    assert fast(padded) == complete(padded) == ("Delivery", delivery)


@given(deliveries, st.data())
def test_changed_bytes_are_judged_alike(delivery: dict[str, Any], data: st.DataObject) -> None:
    """Some changed bytes, a cut or something behind it leave a record or make poison, and the two agree which."""
    value = bytearray(CODEC.encode("Delivery", delivery))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] = data.draw(st.one_of(st.integers(0, 255), st.just(value[at] ^ 1), st.just(value[at] ^ 0x80)))
    cut = data.draw(st.integers(0, len(value)))
    for changed in (bytes(value), bytes(value[:cut]), bytes(value) + b"\x00"):
        assert fast(changed) == complete(changed)


USUAL: dict[str, Any] = {
    "admitted_at": 1_750_000_000_000,
    "send_by": 1_750_000_300_000,
    "attempt": 1,
    "devices": [],
    "origin_partition": 3,
    "origin_offset": 1_234_567,
    "notification": {
        "notification_id": "0123456789abcdef",
        "user_id": "user-1",
        "type": "order_ready",
        "created_at": 1_750_000_000_000,
        "send_at": None,
        "expires_at": None,
        "send_at_local": None,
        "time_zone": None,
        "title": None,
        "body": None,
        "data": {"name": "Alice", "order": "1"},
    },
}
TEXTS = {"title": "Grüße", "body": "x" * 70, "expires_at": 1_750_000_000_001}
UNUSUAL = USUAL | {"notification": USUAL["notification"] | TEXTS}
SHORT = USUAL | {"notification": USUAL["notification"] | {"title": "a", "body": "b", "data": {}}}


@pytest.mark.parametrize("delivery", [USUAL, UNUSUAL, SHORT])
def test_every_single_bit_is_looked_at(delivery: dict[str, Any]) -> None:
    """Whichever bit of a record is flipped, and wherever it is cut off, the two agree."""
    value = CODEC.encode("Delivery", delivery)
    for bit in range(8 * len(value)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        assert fast(bytes(flipped)) == complete(bytes(flipped)), bit
    for end in range(len(value)):
        assert fast(value[:end]) == complete(value[:end])


@pytest.mark.parametrize("start", ["created_at", "title", "title, long", "data"])
def test_every_short_end_is_judged_alike(start: str) -> None:
    """All ends of up to five bytes, made of those that mean something, after a sound beginning."""
    value = CODEC.encode("Delivery", SHORT | {"notification": USUAL["notification"] | {"data": {}}})
    created_at = value.index(b"\x16order_ready") + 12
    beginning = value[: created_at if start == "created_at" else -1 if start == "data" else -3]
    ending = b"\x02\x80\x01" + b"x" * 64 if start == "title, long" else b""
    for size in range(6):
        for end in product((0, 1, 2, 3, 4, 0x80) if size > 3 else (0, 1, 2, 3, 4, 6, 0x61, 0x80, 0xFF), repeat=size):
            candidate = beginning + ending + bytes(end)
            assert fast(candidate) == complete(candidate), candidate


def test_what_is_no_delivery_is_judged_alike() -> None:
    """A tombstone, another record and a question about a local time are as the decoder has them."""
    notification = USUAL["notification"] | {"send_at_local": "2026-12-24T18:00"}
    question = {"asked_at": 1, "origin_partition": 0, "origin_offset": 0, "notification": notification}
    for value in (None, b"", CODEC.encode("Notification", notification), CODEC.encode("LocalDeferral", question)):
        assert fast(value) == complete(value)


@given(records("Devices"))
def test_devices_are_what_the_decoder_says(devices: dict[str, Any]) -> None:
    """Usual or not, a row gives the devices as the decoder does."""
    row = CODEC.encode("Devices", devices)
    assert read_device_row(row) == [tuple(device[name] for name in FIELDS) for device in devices["devices"]]


def test_devices_in_several_blocks_are_read() -> None:
    """The array may come in blocks, with their sizes or without."""
    device = {"device_id": "d", "provider": "FCM", "address": "a" * 200, "p256dh": None, "auth": "k"}
    devices = [{**device, "registered_at": 1_750_000_000_000}, {**device, "registered_at": 7}]
    row = CODEC.encode("Devices", {"user_id": "u", "devices": devices})
    start = row.index(b"\x04", 11)
    one = CODEC.encode("Devices", {"user_id": "u", "devices": devices[:1]})[start + 1 : -1]
    other = CODEC.encode("Devices", {"user_id": "u", "devices": devices[1:]})[start + 1 : -1]
    sized = b"\x01" + padded_long(len(one), 0) + one
    for blocks in (b"\x02" + one + b"\x02" + other, sized + b"\x02" + other):
        assert read_device_row(row[:start] + blocks + b"\x00") == read_device_row(row)
