"""Records for the property tests of `schemas`: any record of any contract, and notifications as suppress meets them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from schemas.contracts import CONTRACTS

NAMES = sorted(CONTRACTS)

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(1_600_000_000_000, 2_000_000_000_000)),
    "bytes": st.binary(max_size=200),
    "string": st.one_of(st.text(max_size=20), st.text(max_size=200)),
}


def values(schema: Any, named: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Any value of a schema as fastavro has parsed it."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return st.one_of([values(branch, named) for branch in schema])
    if isinstance(schema, str):
        return _PRIMITIVES[schema] if schema in _PRIMITIVES else values(named[schema], named)
    if "name" in schema:
        named[schema["name"]] = schema
    if schema["type"] == "record":
        return st.fixed_dictionaries({field["name"]: values(field["type"], named) for field in schema["fields"]})
    if schema["type"] == "enum":
        return st.sampled_from(schema["symbols"])
    if schema["type"] == "array":
        return st.lists(values(schema["items"], named), max_size=4)
    if schema["type"] == "map":
        return st.dictionaries(_PRIMITIVES["string"], values(schema["values"], named), max_size=4)
    return values(schema["type"], named)


def records(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any record of a contract."""
    return values(CONTRACTS[name].parsed)


named_records: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(st.just(name), records(name))
)

TYPES = ("order_ready", "a", "A.b-c_9", "t" * 64)
_ids = st.one_of(st.uuids().map(str), st.text(min_size=1, max_size=40), st.text("a", min_size=60, max_size=66))
_user_ids = st.one_of(st.integers(0, 10**7).map("user-{:07d}".format), st.text(min_size=1, max_size=80), st.just("a:b"))
_texts = st.one_of(st.text(max_size=12), st.text("aé€😀", min_size=20, max_size=80), st.text("x", max_size=70))
_instants = st.one_of(
    st.integers(1_700_000_000_000, 1_900_000_000_000),
    st.builds(lambda number, bits: number >> bits, st.integers(-(2**63), 2**63 - 1), st.integers(0, 63)),
)

_locals = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31, 23, 59, 59)).flatmap(
    lambda at: st.sampled_from([at.strftime("%Y-%m-%dT%H:%M"), at.strftime("%Y-%m-%dT%H:%M:%S")])
)


def _merged(notification: dict[str, Any]) -> dict[str, Any]:
    """Put what says when into the notification."""
    when = notification.pop("when")
    return {**notification, **when}


# One in four has a local time, and then no send_at.
_when: st.SearchStrategy[dict[str, Any]] = st.one_of(
    *[st.fixed_dictionaries({"send_at": st.none() | _instants, "send_at_local": st.none(), "time_zone": st.none()})]
    * 3,
    st.fixed_dictionaries(
        {
            "send_at": st.none(),
            "send_at_local": st.none() | _locals,
            "time_zone": st.none() | st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "Mars/Olympus", "é"]),
        }
    ),
)

notifications: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "notification_id": _ids,
        "user_id": _user_ids.filter(lambda user_id: len(user_id.encode()) <= 256),
        "type": st.sampled_from(TYPES),
        "created_at": _instants,
        "when": _when,
        "expires_at": st.none() | _instants,
        "title": st.none() | _texts,
        "body": st.none() | _texts,
        "data": st.dictionaries(_texts, _texts, max_size=4),
    }
).map(_merged)
"""Notifications whose ids and type are as they must be, usual and unusual ones."""


def key_of(notification: Mapping[str, Any]) -> bytes:
    """The Kafka key of a notification, written here once more so that a test does not trust the code."""
    return f"{notification['user_id']}:{notification['type']}".encode()


def padded_long(number: int, padding: int) -> bytes:
    """A long in more bytes than it needs, which is legal up to ten."""
    unsigned = (number << 1) ^ (number >> 63)
    written = bytearray()
    while unsigned > 0x7F:
        written.append(unsigned & 0x7F | 0x80)
        unsigned >>= 7
    written.append(unsigned)
    for _ in range(min(padding, 10 - len(written))):
        written[-1] |= 0x80
        written.append(0)
    return bytes(written)


@st.composite
def legal_bodies(draw: st.DrawFn, notification: Mapping[str, Any]) -> bytes:
    """The body of a notification in one of its many legal forms: long varints, several blocks, sized blocks."""

    def long(number: int) -> bytes:
        return padded_long(number, draw(st.sampled_from((0, 0, 0, 1, 3))))

    def text(value: str) -> bytes:
        return long(len(value.encode())) + value.encode()

    def optional(value: int | str | None) -> bytes:
        if value is None:
            return long(0)
        return long(1) + (text(value) if isinstance(value, str) else long(value))

    written = [text(notification[name]) for name in ("notification_id", "user_id", "type")]
    written.append(long(notification["created_at"]))
    optionals = ("send_at", "expires_at", "send_at_local", "time_zone", "title", "body")
    written += [optional(notification[name]) for name in optionals]
    entries = [text(key) + text(value) for key, value in notification["data"].items()]
    while entries:
        size = draw(st.integers(1, len(entries)))
        block, entries = b"".join(entries[:size]), entries[size:]
        written.append(long(-size) + long(len(block)) + block if draw(st.booleans()) else long(size) + block)
    return b"".join(written) + long(0)
