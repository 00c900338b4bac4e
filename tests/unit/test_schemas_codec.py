"""The codes and the sentences of poison."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.poison import DeadLetterCode, PoisonError
from schemas.structure import StructureError, check_structure, compile_walk

CODEC = Codec()
NOTIFICATION: dict[str, Any] = {"notification_id": "n", "user_id": "u", "type": "t", "created_at": 1}
HEADER = CONTRACTS["Notification"].header
SOUND = CODEC.encode("Notification", NOTIFICATION)
IDS = b"\x02n\x02u\x02t"


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (None, "NO_VALUE", "no value"),
        (b"", "BAD_MAGIC", "nothing"),
        (b'{"user_id": "u"}', "BAD_MAGIC", "7b 22"),
        (b"\xc3\x02" + SOUND[2:], "BAD_MAGIC", "c3 02"),
        (b"\xc3", "TRUNCATED", "1 bytes"),
        (HEADER[:9], "TRUNCATED", "9 bytes"),
        (HEADER, "TRUNCATED", "Notification.notification_id"),
        (b"\xc3\x01" + bytes(8) + SOUND[10:], "UNKNOWN_SCHEMA", "0000000000000000"),
        (b"\x00\x00\x00\x00\x07" + SOUND[10:], "UNKNOWN_SCHEMA", "no registry is configured"),
        (b"\x00\x00", "TRUNCATED", "2 bytes"),
        (CODEC.encode("Slot", {"notification_id": "n", "phase": "HELD", "blocked_until": 1, "admitted_at": 1,
                               "send_by": 1}), "WRONG_RECORD", "Slot, expected here: Due, Notification"),
        (SOUND + b"\x00", "TRAILING_BYTES", "1 bytes after"),
        (SOUND[:-1], "TRUNCATED", "Notification.data"),
        (HEADER + b"\x02\xff\x02u\x02t\x02\x00\x00\x00\x00\x00", "INVALID_FIELD", "notification_id: is not UTF-8"),
        (HEADER + b"\x01" + IDS, "INVALID_FIELD", "-1 is not a length"),
        (HEADER + IDS + b"\xff" * 9 + b"\x02\x00\x00\x00\x00\x00", "INVALID_FIELD", "created_at: a number of more"),
        (HEADER + IDS + b"\xff" * 10 + b"\x01\x00\x00\x00\x00\x00", "INVALID_FIELD", "more than ten bytes"),
        (HEADER + IDS + b"\x02\x04\x00\x00\x00\x00", "INVALID_FIELD", "send_at: branch 2 of a union of 2"),
        (HEADER + IDS + b"\x02\x01\x02\x00\x00\x00\x00", "INVALID_FIELD", "send_at: branch -1"),
        (HEADER + IDS + b"\x02\x00\x00\x00\x00\x00\x00\x01\x0e\x02a\x02b\x00", "TRUNCATED", "data"),
        (HEADER + IDS + b"\x02\x00\x00\x00\x00\x00\x00\x01\x06\x02a\x02b\x00", "INVALID_FIELD", "4 bytes that says 3"),
        (HEADER + IDS + b"\x02\x00\x00\x00\x00\x00\x00\x01\x01\x02a\x02b\x00", "INVALID_FIELD", "-1 is not the size"),
    ],
)  # fmt: skip
def test_poison_is_named(value: bytes | None, code: str, words: str) -> None:
    """Each kind of poison has its code, and a sentence that names the place."""
    with pytest.raises(PoisonError) as caught:
        CODEC.decode(value, {"Notification", "Due"})
    assert caught.value.code == code
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("Verdict", b"\x02n\x02u\x02t\x06\x02", "outcome: symbol 3 of an enum of 3"),
        ("Verdict", b"\x02n\x02u\x02t\x01\x02", "outcome: symbol -1"),
        ("DeliveryState", b"\x00\x02\x02\x02\x00", "concluded: 2 is not a boolean"),
        ("DeliveryState", b"\x00\x80\x80\x80\x80\x10\x00\x02\x00", "attempt: 2147483648 is not an int"),
        ("Retry", b"\x02" * 4 + b"\x00\x02\x02" + b"\x02n\x03", "Retry.delivery.notification.user_id: -2 is not"),
    ],
)
def test_what_fastavro_lets_pass_is_poison(name: str, body: bytes, words: str) -> None:
    """Symbols, booleans and ints outside their range are refused, in the field where they stand."""
    with pytest.raises(PoisonError) as caught:
        CODEC.decode(CONTRACTS[name].header + body, {name})
    assert caught.value.code == "INVALID_FIELD"
    assert words in str(caught.value)


def test_defaults_may_be_left_out_and_are_there_when_read() -> None:
    """Fields with a default need not be given."""
    record = CODEC.decode(SOUND, {"Notification"}).record
    assert record == NOTIFICATION | {
        "send_at": None,
        "expires_at": None,
        "send_at_local": None,
        "time_zone": None,
        "title": None,
        "body": None,
        "data": {},
    }


@pytest.mark.parametrize("record", [{}, NOTIFICATION | {"colour": "red"}, NOTIFICATION | {"created_at": "now"}])
def test_what_does_not_fit_its_contract_is_not_written(record: dict[str, Any]) -> None:
    """A missing field, a field too many or a wrong type is an error of the caller."""
    with pytest.raises((ValueError, TypeError)):
        CODEC.encode("Notification", record)


def test_the_codes_are_those_of_the_contract() -> None:
    """PoisonError has no code that a dead letter cannot carry, and knows all of them."""
    field = next(field for field in CONTRACTS["DeadLetter"].schema["fields"] if field["name"] == "code")
    assert list(typing.get_args(DeadLetterCode)) == field["type"]["symbols"]


RECURSIVE = {
    "type": "record",
    "name": "ringonce.Chain",
    "fields": [{"name": "next", "type": ["null", "ringonce.Chain"]}],
}


@pytest.mark.parametrize(("links", "sound"), [(0, True), (63, True), (64, False), (100_000, False)])
def test_a_record_within_itself_has_a_floor(links: int, sound: bool) -> None:
    """A stranger's schema that refers to itself cannot exhaust the stack."""
    value = b"\x02" * links + b"\x00"
    walk = compile_walk(RECURSIVE)
    if sound:
        check_structure(walk, "Chain", value, 0)
    else:
        with pytest.raises(StructureError, match="more than 64 times"):
            check_structure(walk, "Chain", value, 0)
    check_structure(walk, "Chain", b"\x00", 0)


def test_items_that_take_no_bytes_cannot_be_counted_for_ever() -> None:
    """An array of nulls with a billion of them is refused."""
    walk = compile_walk({"type": "array", "items": "null"})
    with pytest.raises(StructureError):
        check_structure(walk, "Nulls", b"\x80\x94\xeb\xdc\x07\x00", 0)
    with pytest.raises(StructureError):
        check_structure(walk, "Nulls", b"\xff\x93\xeb\xdc\x07\x00\x00", 0)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "fixed", "name": "F", "size": 3}, b"abc"),
        ("float", b"1234"),
        ("double", b"12345678"),
        ({"type": "int", "connect.type": "int16"}, b"\x02"),
        (["null", {"type": "map", "values": "bytes"}], b"\x02\x02\x02k\x02\xff\x00"),
    ],
)
def test_types_that_only_strangers_use_are_known(schema: Any, value: bytes) -> None:
    """What our contracts do not use, an older or foreign schema may."""
    walk = compile_walk(schema)
    check_structure(walk, "it", value, 0)
    with pytest.raises(StructureError):
        check_structure(walk, "it", value[:-1], 0)
