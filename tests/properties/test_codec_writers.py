"""The fast writers and readers agree with `Codec` to the byte."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.notification import (
    StatusWriter,
    current_body,
    notification_body,
    read_slot,
    subject_of,
    write_deferral,
    write_delivery,
    write_delivery_state,
    write_due,
    write_local_deferral,
    write_slot,
    write_verdict,
)
from schemas.poison import PoisonError
from schemas.structure import read_varint
from schemas.varint import UnusualError, read_instant, write_bytes, write_long
from tests.properties.codec_records import padded_long, records

CODEC = Codec()
longs = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-2, 2**22), st.integers(1_600 * 10**9, 2_000 * 10**9))


@given(longs)
def test_longs_are_those_of_avro(number: int) -> None:
    """A long is written in its shortest form and read back, by the fast reader too where it has six bytes."""
    written = write_long(number)
    assert written == padded_long(number, 0)
    assert read_varint(written, 0) == (number, len(written))
    if len(written) == 6 and number >= 0:
        assert read_instant(b"x" + written + b"y", 1) == number
    else:
        with pytest.raises(UnusualError):
            read_instant(written[:5] if len(written) == 6 and number >= 0 else written.ljust(6, b"\x00"), 0)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**70])
def test_longs_beyond_64_bits_are_refused(number: int) -> None:
    """What no reader could read is not written."""
    with pytest.raises(OverflowError):
        write_long(number)


@given(st.binary(max_size=3000))
def test_bytes_are_those_of_avro(text: bytes) -> None:
    """Bytes carry their length."""
    assert write_bytes(text) == padded_long(len(text), 0) + text


@given(records("Delivery"))
def test_deliveries_are_those_of_the_codec(delivery: dict[str, Any]) -> None:
    """A Delivery written around a body has the bytes of one that was encoded whole."""
    value = CODEC.encode("Notification", delivery["notification"])
    body = notification_body(value)
    assert body is not None
    own = {name: field for name, field in delivery.items() if name != "notification"}
    written = write_delivery(**own, body=body)
    assert written == CODEC.encode("Delivery", delivery)
    assert current_body(CODEC, value) == current_body(CODEC, written) == body
    assert notification_body(written) is None


@given(records("Deferral"))
def test_deferrals_are_those_of_the_codec(deferral: dict[str, Any]) -> None:
    """A Deferral written around a body has the bytes of one that was encoded whole."""
    body = current_body(CODEC, CODEC.encode("Notification", deferral["notification"]))
    own = {name: field for name, field in deferral.items() if name != "notification"}
    assert write_deferral(**own, body=body) == CODEC.encode("Deferral", deferral)


@given(records("LocalDeferral"))
def test_questions_are_those_of_the_codec(question: dict[str, Any]) -> None:
    """A LocalDeferral written around a body has the bytes of one that was encoded whole."""
    body = current_body(CODEC, CODEC.encode("Notification", question["notification"]))
    own = {name: field for name, field in question.items() if name != "notification"}
    written = write_local_deferral(**own, body=body)
    assert written == CODEC.encode("LocalDeferral", question)
    assert current_body(CODEC, written) == body


@given(records("Due"))
def test_dues_are_those_of_the_codec(due: dict[str, Any]) -> None:
    """A Due written around a body has the bytes of one that was encoded whole."""
    body = current_body(CODEC, CODEC.encode("Notification", due["notification"]))
    own = {name: field for name, field in due.items() if name != "notification"}
    assert write_due(**own, body=body) == CODEC.encode("Due", due)


user_ids = st.one_of(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=300), st.just("a:b"))


@given(st.lists(st.tuples(records("Status"), user_ids), min_size=1, max_size=5))
def test_statuses_are_those_of_the_codec(statuses: list[tuple[dict[str, Any], str]]) -> None:
    """Every Status of a chunk has the bytes of one that was encoded whole, whatever was written before it."""
    first = statuses[0][0]
    writer = StatusWriter(first["stage"], first["at"], first["origin_partition"])
    for status, user_id in statuses:
        status |= {name: first[name] for name in ("stage", "at", "origin_partition")}
        status |= {"user_id": user_id, "type": "order_ready"}
        optional = {
            name: None if status[name] is None else status[name].encode()
            for name in ("provider", "device_id", "by_notification_id")
        }
        for _ in ("written for the first time", "from the cache"):
            written = writer.write(
                status["notification_id"].encode(),
                f"{user_id}:order_ready".encode(),
                status["state"],
                status["reason"].encode(),
                status["origin_offset"],
                status["attempt"],
                until=status["until"],
                **optional,
            )
            assert written == CODEC.encode("Status", status)


@given(st.lists(records("Status"), min_size=1, max_size=3))
def test_statuses_of_one_subject_are_those_of_the_codec(statuses: list[dict[str, Any]]) -> None:
    """Of several statuses of an attempt, whose common fields were encoded once, each has the bytes of the whole."""
    first = statuses[0]
    writer = StatusWriter(first["stage"], first["at"], first["origin_partition"])
    notification_id, user_id, type = (first[name].encode() for name in ("notification_id", "user_id", "type"))
    subject = subject_of(notification_id, user_id, type, first["origin_offset"], first["attempt"])
    for status in statuses:
        told = {name: status[name] for name in ("state", "reason", "provider", "device_id", "until")}
        texts = {
            name: None if told[name] is None else told[name].encode() for name in ("reason", "provider", "device_id")
        }
        written = writer.write_of(subject, **{**told, **texts})
        assert written == CODEC.encode("Status", {**first, **told, "by_notification_id": None})


@pytest.mark.parametrize("key", [b"", b"no colon", b"\xff"])
def test_a_status_without_a_slot_has_empty_parts(key: bytes) -> None:
    """Where the record could not be read, id, user and type are empty, as the contract says."""
    written = StatusWriter("suppress", 1, 0).write(b"", key, "DEAD", b"TRUNCATED", 7)
    record = CODEC.decode(written, ["Status"]).record
    assert (record["notification_id"], record["user_id"], record["type"]) == ("", "", "")


@given(records("Verdict"))
def test_verdicts_are_those_of_the_codec(verdict: dict[str, Any]) -> None:
    """A Verdict has the bytes of one that was encoded from a dictionary."""
    notification_id, user_id, kind = (verdict[name].encode() for name in ("notification_id", "user_id", "type"))
    notification = subject_of(notification_id, user_id, kind, 0, 0).notification
    written = write_verdict(CODEC.header("Verdict"), notification, verdict["outcome"], verdict["at"])
    assert written == CODEC.encode("Verdict", verdict)


@given(records("DeliveryState"))
def test_delivery_rows_are_those_of_the_codec(state: dict[str, Any]) -> None:
    """A row has the bytes of an encoded DeliveryState, and is read as our own as it is read from outside."""
    fields = ("device_id", "provider", "attempt", "phase", "at", "reason")
    claims = [tuple(claim[name] for name in fields) for claim in state["claims"]]
    row = write_delivery_state(**{**state, "claims": claims})
    assert row == CODEC.encode("DeliveryState", state)
    assert CODEC.decode_own(row, "DeliveryState") == CODEC.decode(row, ["DeliveryState"]).record


@given(records("Slot"))
def test_slot_rows_are_those_of_the_codec(slot: dict[str, Any]) -> None:
    """A row has the bytes of an encoded Slot and is read back as it was."""
    row = write_slot(**{**slot, "notification_id": slot["notification_id"].encode()})
    assert row == CODEC.encode("Slot", slot)
    assert read_slot(row)._asdict() == {**slot, "notification_id": slot["notification_id"].encode()}


def slot_by_codec(row: bytes) -> object:
    try:
        record = CODEC.decode(row, ["Slot"]).record
    except PoisonError as error:
        return error.code
    return {**record, "notification_id": record["notification_id"].encode()}


def slot_by_reader(row: bytes) -> object:
    try:
        return read_slot(row)._asdict()
    except PoisonError as error:
        return error.code


@given(records("Slot"), st.data())
def test_a_changed_slot_row_is_read_as_the_codec_reads_it(slot: dict[str, Any], data: st.DataObject) -> None:
    """The fast reader of rows takes nothing that the decoder refuses, and gives the same for what it takes."""
    row = bytearray(CODEC.encode("Slot", slot))
    row[data.draw(st.integers(0, len(row) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for changed in (bytes(row), bytes(row[:-1]), bytes(row) + b"\x00"):
        assert slot_by_reader(changed) == slot_by_codec(changed)


def test_every_single_bit_of_a_slot_row_is_looked_at() -> None:
    """Whichever bit of a usual row is flipped, and wherever it is cut off, the two agree."""
    row = write_slot(b"0123456789abcdef", "ACCEPTED", 1_750_003_600_000, 1_750_000_000_000, 1_750_000_300_000)
    for bit in range(8 * len(row)):
        flipped = bytearray(row)
        flipped[bit // 8] ^= 1 << bit % 8
        assert slot_by_reader(bytes(flipped)) == slot_by_codec(bytes(flipped))
    for end in range(len(row)):
        assert slot_by_reader(row[:end]) == slot_by_codec(row[:end])
    assert slot_by_reader(row + b"\x00") == slot_by_codec(row + b"\x00") == "TRAILING_BYTES"


def test_the_states_of_the_writer_are_those_of_the_contract() -> None:
    """Each state of the contract can be written; another one cannot."""
    field = next(field for field in CONTRACTS["Status"].schema["fields"] if field["name"] == "state")
    writer = StatusWriter("suppress", 1, 0)
    for symbol in field["type"]["symbols"]:
        assert CODEC.decode(writer.write(b"n", b"u:t", symbol, b"r", 1), ["Status"]).record["state"] == symbol
    with pytest.raises(KeyError):
        writer.write(b"n", b"u:t", cast(Any, "SENT"), b"r", 1)
