"""The fast reader of heads and the complete decoder are of one mind."""

from __future__ import annotations

from datetime import datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.keys import TYPE_BYTES_MAX
from schemas.notification import Head, current_body, read_due_head, read_head, read_heads, write_due
from schemas.poison import PoisonError
from tests.properties.codec_records import key_of, legal_bodies, named_records, notifications

CODEC = Codec()
HEADER = CONTRACTS["Notification"].header
LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


def complete(value: bytes | None, key: bytes | None) -> tuple[object, ...] | str:
    """What a head must be, by the complete decoder and the rules of the contract; or the code of the poison."""
    try:
        record = CODEC.decode(value, ["Notification"]).record
    except PoisonError as error:
        return error.code
    notification_id, user_id, type = (record[name].encode() for name in ("notification_id", "user_id", "type"))
    if not 1 <= len(notification_id) <= 128 or not 1 <= len(user_id) <= 256:
        return "INVALID_FIELD"
    if not 1 <= len(type) <= TYPE_BYTES_MAX or not LETTERS.issuperset(type):
        return "INVALID_FIELD"
    if key is None:
        return "NO_KEY"
    if key != key_of(record):
        return "KEY_MISMATCH"
    local = (record["send_at_local"], record["time_zone"])
    if local[0] is not None and (record["send_at"] is not None or not is_local_time(local[0])):
        return "INVALID_FIELD"
    return (notification_id, record["send_at"], record["expires_at"], None if local == (None, None) else local)


def is_local_time(text: str) -> bool:
    """Whether it is a time between 1970 and 9998 in one of the two forms, which Python writes as it reads them."""
    for form in ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"):
        try:
            at = datetime.strptime(text, form)
        except ValueError:
            continue
        if at.strftime(form).rjust(len(text), "0") == text and 1970 <= at.year <= 9998:
            return True
    return False


def said(head: Head, like: tuple[object, ...] | str) -> tuple[object, ...]:
    """What a head says, its local time written in the form of the other one."""
    if head.local is None:
        return (*head[:3], None)
    at = head.local.at
    written = None if at is None else at.isoformat(timespec="seconds")
    expected = like[3] if isinstance(like, tuple) else None
    if written is not None and isinstance(expected, tuple) and len(str(expected[0])) == 16 and written.endswith(":00"):
        written = written[:16]
    return (*head[:3], (written, head.local.zone))


def fast(value: bytes | None, key: bytes | None) -> tuple[object, ...] | str:
    (head,) = read_heads([value], [key])
    try:
        single: Head | str = read_head(value, key)
    except PoisonError as error:
        single = error.code
    if isinstance(head, PoisonError):
        assert single == head.code
        return head.code
    assert single == head
    assert value is not None
    assert CODEC.decode(HEADER + value[head.body_start :], ["Notification"]) == CODEC.decode(value, ["Notification"])
    return said(head, complete(value, key))


@given(notifications)
def test_a_head_is_what_the_record_says(notification: dict[str, Any]) -> None:
    """Of a sound record with its own key the head has the id and the two instants, and says where the body is."""
    value = CODEC.encode("Notification", notification)
    head = read_head(value, key_of(notification))
    local = (notification["send_at_local"], notification["time_zone"])
    expected = (
        notification["notification_id"].encode(),
        notification["send_at"],
        notification["expires_at"],
        None if local == (None, None) else local,
    )
    assert said(head, expected) == expected
    assert head.body_start == len(HEADER)


@given(st.data())
def test_every_legal_form_has_the_same_head(data: st.DataObject) -> None:
    """Long varints and several blocks change nothing."""
    notification = data.draw(notifications)
    value = HEADER + data.draw(legal_bodies(notification))
    assert fast(value, key_of(notification)) == complete(value, key_of(notification))
    assert not isinstance(complete(value, key_of(notification)), str)


@given(notifications, st.data())
def test_cut_off_and_overlong_records_are_poison(notification: dict[str, Any], data: st.DataObject) -> None:
    """At every place where a record can be cut off, and with anything after it, the code is that of the decoder."""
    value, key = CODEC.encode("Notification", notification), key_of(notification)
    cut = value[: data.draw(st.integers(0, len(value) - 1))]
    longer = value + data.draw(st.binary(min_size=1, max_size=3))
    assert fast(cut, key) == complete(cut, key)
    assert fast(longer, key) == complete(longer, key) == "TRAILING_BYTES"


@given(notifications, st.data())
def test_changed_bytes_are_judged_alike(notification: dict[str, Any], data: st.DataObject) -> None:
    """Some changed bytes leave a record or make poison, and the two agree which."""
    value, key = bytearray(CODEC.encode("Notification", notification)), key_of(notification)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at] = data.draw(st.one_of(st.integers(0, 255), st.just(value[at] ^ 1), st.just(value[at] ^ 0x80)))
    assert fast(bytes(value), key) == complete(bytes(value), key)


USUAL: dict[str, Any] = {
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
}
UNUSUAL = USUAL | {"user_id": "ü", "send_at": 1_750_000_000_001, "expires_at": 7, "title": "Grüße", "body": "x" * 70}


LOCAL = USUAL | {"send_at_local": "2026-12-24T18:00", "time_zone": "Europe/Berlin", "data": {}}


@pytest.mark.parametrize(
    "notification",
    [USUAL, UNUSUAL, LOCAL, LOCAL | {"time_zone": None}, USUAL | {"title": "a", "body": "b", "data": {}}],
)
def test_every_single_bit_is_looked_at(notification: dict[str, Any]) -> None:
    """Whichever bit of a record is flipped, and wherever it is cut off, the two agree."""
    value, key = CODEC.encode("Notification", notification), key_of(notification)
    assert not isinstance(fast(value, key), str)
    for bit in range(8 * len(value)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        assert fast(bytes(flipped), key) == complete(bytes(flipped), key)
    for end in range(len(value)):
        assert fast(value[:end], key) == complete(value[:end], key)


@pytest.mark.parametrize("start", ["created_at", "send_at_local", "title", "title, long"])
def test_every_short_end_is_judged_alike(start: str) -> None:
    """All ends of up to five bytes, made of those that mean something, after a sound beginning."""
    value = CODEC.encode("Notification", USUAL | {"data": {}})
    created_at = value.index(b"\x16order_ready") + 12
    beginning = value[: created_at if start == "created_at" else -5 if start == "send_at_local" else -3]
    ending = b"\x02\x80\x01" + b"x" * 64 if start == "title, long" else b""
    for size in range(6):
        for end in product((0, 1, 2, 3, 4, 0x80) if size > 4 else (0, 1, 2, 3, 4, 6, 0x61, 0x80, 0xFF), repeat=size):
            candidate = beginning + ending + bytes(end)
            answer = read_heads([candidate], [b"user-1:order_ready"])[0]
            expected = complete(candidate, b"user-1:order_ready")
            assert (answer.code if isinstance(answer, PoisonError) else said(answer, expected)) == expected, candidate


@pytest.mark.parametrize("size", range(4, 8))
def test_every_count_of_texts_is_judged_alike(size: int) -> None:
    """All short maps of empty texts, negative counts and sizes among them, with anything after them."""
    beginning = CODEC.encode("Notification", USUAL | {"data": {}})[:-1]
    for end in product((0, 1, 2, 3, 4), repeat=size):
        if sum(end) > 10:  # Most of these are cut off at once; the rest of the domain is small.
            continue
        answer = read_heads([beginning + bytes(end)], [b"user-1:order_ready"])[0]
        expected = complete(beginning + bytes(end), b"user-1:order_ready")
        assert (answer.code if isinstance(answer, PoisonError) else said(answer, expected)) == expected, end


@pytest.mark.parametrize("name", ["notification_id", "user_id", "type"])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 128, 129, 256, 257, 9000])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_ids_at_their_limits_are_judged_alike(name: str, size: int, letter: str) -> None:
    """Empty ids, and ids one byte longer than they may be, are poison on both paths."""
    notification = USUAL | {name: letter * (size // len(letter.encode()))}
    value, key = CODEC.encode("Notification", notification), key_of(notification)
    assert fast(value, key) == complete(value, key)


@pytest.mark.parametrize("size", [63, 64, 8191, 8192, 20_000])
def test_long_texts_are_judged_alike(size: int) -> None:
    """Texts whose length takes one, two or three bytes are read, and are poison when cut off."""
    notification = USUAL | {"body": "x" * size, "data": {"k": "y" * size}}
    value, key = CODEC.encode("Notification", notification), key_of(notification)
    assert fast(value, key) == complete(value, key) == (b"0123456789abcdef", None, None, None)
    assert fast(value[:-2], key) == complete(value[:-2], key) == "TRUNCATED"


@pytest.mark.parametrize("bits", range(0, 63, 3))
def test_instants_of_every_size_are_judged_alike(bits: int) -> None:
    """Whatever number of bytes created_at has, one too many or too few at the end is noticed."""
    value = CODEC.encode("Notification", USUAL | {"created_at": 1 << bits, "data": {}})
    for candidate in (value, value[:-1], value + b"\x00", value + bytes(2), value + bytes(3)):
        assert fast(candidate, b"user-1:order_ready") == complete(candidate, b"user-1:order_ready")


def test_a_length_of_three_bytes_is_not_mistaken_for_two() -> None:
    """Padded to three bytes, a length of nothing is not one of 8192."""
    value = CODEC.encode("Notification", USUAL | {"data": {}})[:-2] + b"\x02\x80\x80\x00" + b"x" * 8191 + b"\x00"
    assert fast(value, b"user-1:order_ready") == complete(value, b"user-1:order_ready") == "TRUNCATED"


@given(notifications, st.one_of(st.none(), st.binary(max_size=20), notifications.map(key_of)))
@example(
    {
        "notification_id": "n",
        "user_id": "a:b",
        "type": "c",
        "created_at": 0,
        "send_at": None,
        "expires_at": None,
        "send_at_local": None,
        "time_zone": None,
        "title": None,
        "body": None,
        "data": {},
    },
    b"a:b:c",
)
def test_foreign_keys_are_judged_alike(notification: dict[str, Any], key: bytes | None) -> None:
    """Without a key, or with one of another slot, a record is poison."""
    value = CODEC.encode("Notification", notification)
    assert fast(value, key) == complete(value, key)


@given(named_records, st.binary(max_size=20))
def test_foreign_records_are_judged_alike(named: tuple[str, dict[str, Any]], key: bytes) -> None:
    """A record of another contract, or a notification with ids that cannot be, is poison with the same code."""
    name, record = named
    value = CODEC.encode(name, record)
    if name == "Notification":
        key = key_of(record)
    assert fast(value, key) == complete(value, key)


@given(st.lists(st.tuples(notifications, st.sampled_from(["sound", "cut", "no key", "no value"])), max_size=6))
def test_poison_in_a_chunk_touches_no_other_record(chunk: list[tuple[dict[str, Any], str]]) -> None:
    """In a chunk each record is judged by itself, and the answers keep its order."""
    values: list[bytes | None] = []
    keys: list[bytes | None] = []
    for notification, flaw in chunk:
        value = CODEC.encode("Notification", notification)
        values.append(None if flaw == "no value" else value[:-1] if flaw == "cut" else value)
        keys.append(None if flaw == "no key" else key_of(notification))
    codes = {"cut": "TRUNCATED", "no key": "NO_KEY", "no value": "NO_VALUE"}
    for (notification, flaw), head in zip(chunk, read_heads(values, keys), strict=True):
        if flaw == "sound":
            assert isinstance(head, Head)
            assert head.notification_id == notification["notification_id"].encode()
        else:
            assert isinstance(head, PoisonError)
            assert head.code == codes[flaw]


def due_complete(value: bytes, key: bytes) -> tuple[object, ...] | str:
    try:
        record = CODEC.decode(value, ["Due"]).record
    except PoisonError as error:
        return error.code
    head = complete(CODEC.encode("Notification", record["notification"]), key)
    own = tuple(record[name] for name in ("due_at", "released_at", "origin_partition", "origin_offset"))
    return head if isinstance(head, str) else (*own, *head)


def due_fast(value: bytes, key: bytes) -> tuple[object, ...] | str:
    try:
        due = read_due_head(value, key)
    except PoisonError as error:
        return error.code
    embedded = CODEC.decode(HEADER + value[due.head.body_start :], ["Notification"]).record
    assert embedded == CODEC.decode(value, ["Due"]).record["notification"]
    assert CODEC.decode(HEADER + current_body(CODEC, value), ["Notification"]).record == embedded
    return (*due[:4], *said(due.head, complete(HEADER + value[due.head.body_start :], key)))


def test_every_single_bit_of_a_due_is_looked_at() -> None:
    """Whichever bit of a Due is flipped, and wherever it is cut off, the two agree."""
    key = key_of(USUAL)
    value = write_due(1_750_000_000_000, 1_750_000_000_001, 3, 12_345, CODEC.encode("Notification", USUAL)[10:])
    for bit in range(8 * len(value)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        assert due_fast(bytes(flipped), key) == due_complete(bytes(flipped), key)
    for end in range(len(value)):
        assert due_fast(value[:end], key) == due_complete(value[:end], key)


longs = st.one_of(st.integers(1_700_000_000_000, 1_900_000_000_000), st.integers(-(2**63), 2**63 - 1))


@given(longs, longs, st.integers(-1, 2**31 - 1), st.integers(-1, 2**63 - 1), st.data())
def test_the_head_of_a_due_is_what_the_record_says(
    due_at: int, released_at: int, partition: int, offset: int, data: st.DataObject
) -> None:
    """Sound, cut off, overlong or changed: the head of a Due is that of the complete decoder."""
    notification = data.draw(notifications)
    body = data.draw(legal_bodies(notification))
    value, key = write_due(due_at, released_at, partition, offset, body), key_of(notification)
    assert due_fast(value, key) == due_complete(value, key)
    assert not isinstance(due_fast(value, key), str)
    changed = bytearray(value)
    changed[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for flawed in (value[: data.draw(st.integers(0, len(value) - 1))], value + b"\x00", bytes(changed)):
        assert due_fast(flawed, key) == due_complete(flawed, key)
