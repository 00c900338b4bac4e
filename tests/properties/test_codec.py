"""What `Codec` says of any bytes at all."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import Codec, Decoded
from schemas.contracts import CONTRACTS
from schemas.poison import PoisonError
from tests.properties.codec_records import NAMES, legal_bodies, named_records, notifications, padded_long

CODEC = Codec()


def decode(value: bytes | None, expected: list[str] = NAMES) -> Decoded | PoisonError:
    try:
        return CODEC.decode(value, expected)
    except PoisonError as error:
        return error


@given(named_records)
def test_every_record_comes_back_as_it_was_written(named: tuple[str, dict[str, Any]]) -> None:
    """Decoding what was encoded gives the record again, with integers for instants and strings for enums."""
    name, record = named
    assert CODEC.decode(CODEC.encode(name, record), [name]) == (name, record)


@given(st.data())
def test_every_legal_form_is_read(data: st.DataObject) -> None:
    """Long varints, several blocks and blocks with a size are legal Avro and read as the same record."""
    notification = data.draw(notifications)
    body = data.draw(legal_bodies(notification))
    assert CODEC.decode(CONTRACTS["Notification"].header + body, ["Notification"]).record == notification


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_poison(value: bytes) -> None:
    """Bytes from anywhere never raise anything but PoisonError."""
    decode(value)


@given(st.sampled_from(NAMES), st.binary(max_size=120))
def test_any_body_is_a_record_or_poison(name: str, body: bytes) -> None:
    """A right header before any bytes gives a record that can be written again, or PoisonError."""
    decoded = decode(CONTRACTS[name].header + body)
    if isinstance(decoded, Decoded):
        assert CODEC.decode(CODEC.encode(*decoded), [name]) == decoded
    else:
        assert decoded.code in ("TRUNCATED", "TRAILING_BYTES", "INVALID_FIELD")


@given(named_records, st.data())
def test_a_flipped_bit_is_a_record_or_poison(named: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    """One changed bit never raises anything but PoisonError."""
    value = bytearray(CODEC.encode(*named))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    decode(bytes(value))


@given(named_records, st.data())
def test_a_truncated_record_is_poison(named: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    """A record that lacks its end is TRUNCATED (BAD_MAGIC when nothing is left)."""
    value = CODEC.encode(*named)
    cut = value[: data.draw(st.integers(0, len(value) - 1))]
    decoded = decode(cut)
    assert isinstance(decoded, PoisonError)
    assert decoded.code == ("TRUNCATED" if cut else "BAD_MAGIC")


@given(named_records, st.binary(min_size=1, max_size=20))
def test_a_record_with_more_after_it_is_poison(named: tuple[str, dict[str, Any]], more: bytes) -> None:
    """Bytes after the record are TRAILING_BYTES, never ignored."""
    decoded = decode(CODEC.encode(*named) + more)
    assert isinstance(decoded, PoisonError)
    assert decoded.code == "TRAILING_BYTES"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([2**31, 2**40, 2**60, 2**63 - 1, -1, -5, -(2**31), -(2**60), -(2**63)]), st.booleans())
@pytest.mark.parametrize("place", ["length", "blocks", "sized blocks"])
def test_huge_numbers_cost_nothing(place: str, number: int, padded: bool) -> None:
    """A length of 2^40 or a block of 2^60 entries is refused before anything is allocated or counted."""
    long = padded_long(number, 3 if padded else 0)
    before_data = CODEC.encode(
        "Notification", {"notification_id": "n", "user_id": "u", "type": "t", "created_at": 1, "data": {}}
    )[:-1]
    value = {
        "length": CONTRACTS["Notification"].header + long + b"abc",
        "blocks": before_data + long + b"\x02a\x02b",
        "sized blocks": before_data + padded_long(-1, 0) + long + b"\x02a\x02b\x00",
    }[place]
    tracemalloc.start()
    try:
        decoded = decode(value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(decoded, PoisonError)
    assert decoded.code in ("INVALID_FIELD", "TRUNCATED")
    assert peak < 1_000_000


def test_many_small_sized_blocks_are_read() -> None:
    """Five thousand sized blocks of one entry after another are a legal map, read without recursion."""
    before_data = CODEC.encode(
        "Notification", {"notification_id": "n", "user_id": "u", "type": "t", "created_at": 1, "data": {}}
    )[:-1]
    blocks = b"".join(b"\x01\x0e" + b"\x08%04d\x02v" % number for number in range(5_000))
    record = CODEC.decode(before_data + blocks + b"\x00", ["Notification"]).record
    assert len(record["data"]) == 5_000
