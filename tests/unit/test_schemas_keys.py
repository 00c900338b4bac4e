"""Keys and partitions."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import check_key, check_notification_id, partition_of, slot_key, split_slot_key
from schemas.poison import PoisonError

# The vectors of UtilsTest.testMurmur2 in Apache Kafka, as Java's signed integers.
JAVA_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA_MURMUR2)
def test_partitions_are_those_of_the_java_client(key: bytes) -> None:
    """A key goes to the partition to which Kafka's own producer sends it."""
    for partitions in (1, 2, 12, 97):
        assert partition_of(key, partitions) == (JAVA_MURMUR2[key] & 0x7FFFFFFF) % partitions


@given(st.binary(max_size=100), st.integers(1, 1000))
def test_partitions_are_those_of_aiokafka(key: bytes, partitions: int) -> None:
    """The fast hash and that of aiokafka agree on every key."""
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


@given(st.text(min_size=1, max_size=64), st.from_regex(r"\A[A-Za-z0-9_.\-]{1,64}\Z"))
def test_a_slot_key_is_taken_apart_again(user_id: str, type: str) -> None:
    """Whatever a user_id holds, colons too, the key gives back both parts."""
    key = slot_key(user_id, type)
    assert key == f"{user_id}:{type}".encode()
    assert split_slot_key(key) == (user_id, type)


@pytest.mark.parametrize(
    ("user_id", "type"),
    [
        ("", "t"),
        ("u" * 257, "t"),
        ("é" * 129, "t"),
        ("\ud800", "t"),
        ("u", ""),
        ("u", "a:b"),
        ("u", "a b"),
        ("u", "t\n"),
        ("u", "é"),
        ("u", "t" * 65),
    ],
)
def test_a_slot_key_of_impossible_parts_is_refused(user_id: str, type: str) -> None:
    """Parts outside their limits are an invalid field."""
    with pytest.raises(PoisonError) as caught:
        slot_key(user_id, type)
    assert caught.value.code == "INVALID_FIELD"


def test_parts_may_be_as_long_as_their_limits() -> None:
    """256 bytes of user_id, 64 of type and 128 of notification_id are allowed."""
    assert split_slot_key(slot_key("é" * 128, "t" * 64)) == ("é" * 128, "t" * 64)
    check_notification_id(b"n" * 128)


@pytest.mark.parametrize("key", [b"", b"user", b":t", b"u:", b"u:a b", b"\xff:t", b"u" * 257 + b":t"])
def test_a_key_that_is_no_slot_is_a_mismatch(key: bytes) -> None:
    """A key without both parts cannot be that of any notification."""
    with pytest.raises(PoisonError) as caught:
        split_slot_key(key)
    assert caught.value.code == "KEY_MISMATCH"


@pytest.mark.parametrize("notification_id", [b"", b"n" * 129, b"\xff"])
def test_an_impossible_notification_id_is_refused(notification_id: bytes) -> None:
    """An id is 1 to 128 bytes of UTF-8."""
    with pytest.raises(PoisonError) as caught:
        check_notification_id(notification_id)
    assert caught.value.code == "INVALID_FIELD"


@pytest.mark.parametrize(("key", "code"), [(None, "NO_KEY"), (b"u:other", "KEY_MISMATCH"), (b"", "KEY_MISMATCH")])
def test_a_key_that_is_not_that_of_the_body_is_poison(key: bytes | None, code: str) -> None:
    """A missing key and a wrong one are told apart."""
    with pytest.raises(PoisonError) as caught:
        check_key(key, b"u", b"t")
    assert caught.value.code == code
    check_key(b"u:t", b"u", b"t")
