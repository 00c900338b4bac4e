"""A broadcast and lists of users as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from streams.publish.broadcast_lines import read_broadcast, read_user
from streams.types_file import NotificationTypes

NOW = 1_800_000_000_000
TYPES = NotificationTypes.parse({"allow_unknown": False, "types": {"offer": {}}}, "test")
GOOD: dict[str, Any] = {"broadcast_id": "b", "type": "offer", "audience": "all"}


def test_what_is_written_becomes_the_record() -> None:
    """Instants as people write them, the audience by its name, the rest as it is."""
    record, users = read_broadcast(
        {
            **GOOD,
            "audience": "filter",
            "filter": "bucket < 10",
            "expires_at": "2027-01-16T09:00:00+01:00",
            "per_second": 5,
            "data": {"a": "b"},
            "requested_by": "ops",
        },
        TYPES,
        NOW,
    )
    assert users is None
    assert (record["audience"], record["filter"], record["per_second"]) == ("FILTER", "bucket < 10", 5)
    assert (record["requested_at"], record["expires_at"]) == (NOW, NOW + 86_400_000)
    assert (record["data"], record["dry_run"], record["requested_by"]) == ({"a": "b"}, False, "ops")


def test_a_short_list_comes_with_it() -> None:
    """Apart from the record, which holds none of it."""
    record, users = read_broadcast({**GOOD, "audience": "list", "users": ["ü", "b"]}, TYPES, NOW)
    assert users == ["ü", "b"] and "users" not in record


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"audience": "everybody"}, "audience"),
        ({"audience": "filter"}, "filter: must be given"),
        ({"filter": "bucket = 1"}, "filter: must be given with the audience FILTER"),
        ({"audience": "filter", "filter": "bucket"}, "filter: at character 7"),
        ({"type": "other"}, "no type 'other'"),
        ({"type": "a:b"}, "type"),
        ({"broadcast_id": ""}, "broadcast_id: has 0 bytes"),
        ({"broadcast_id": "\ud800"}, "broadcast_id"),
        ({"per_second": 0}, "per_second"),
        ({"per_second": 1.5}, "per_second"),
        ({"expires_at": NOW}, "expires_at: is past"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"send_at": NOW, "send_at_local": "2030-01-01T08:00"}, "both given"),
        ({"send_at_local": "2030-01-01"}, "send_at_local"),
        ({"time_zone": "Europe/Wien"}, "Europe/Vienna"),
        ({"users": ["u"]}, "users: are given with the audience list"),
        ({"audience": "list", "users": []}, "users"),
        ({"audience": "list", "users": ["x" * 257]}, "users: "),
        ({"audience": "list", "users": ["\ud800"]}, "users: "),
        ({"audience": "list", "users": ["u"] * 10_001}, "users"),
        ({"requested_by": "x" * 129}, "requested_by"),
        ({"body": "x" * 70_000}, "at most 65,536"),
        ({"colour": "red"}, "colour: no such field"),
    ],
)
def test_a_mistake_is_named(values: dict[str, Any], said: str) -> None:
    """With its field."""
    with pytest.raises(ValueError) as raised:
        read_broadcast({**GOOD, **values}, TYPES, NOW)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("line", "user"),
    [
        (b"ada\n", "ada"),
        (b"ada\r\n", "ada"),
        (b" ada ", " ada "),
        ("ü:1".encode(), "ü:1"),
        (b'"a\\nb"\n', "a\nb"),
        (b"\n", None),
        (b"  ", None),
    ],
)
def test_a_line_of_a_list(line: bytes, user: str | None) -> None:
    """As it is, or as a JSON text; empty ones are nobody."""
    assert read_user(line) == user


@pytest.mark.parametrize("line", [b"\xff", b"x" * 257, b"x" * 3_000, b'"open', b'""', b'"\\ud800"'])
def test_a_line_that_is_nobody(line: bytes) -> None:
    """Is refused."""
    with pytest.raises(ValueError):
        read_user(line)
