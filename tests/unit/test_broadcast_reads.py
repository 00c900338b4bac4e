"""What workers know of broadcasts, put together."""

from __future__ import annotations

from typing import Any, cast

import pytest

from schemas.records import Broadcast
from streams.web.broadcast_reads import is_the_same, merged, summary


def shown(state: str, seen: int, **more: Any) -> dict[str, Any]:
    """What one partition shows."""
    return {
        "state": state,
        "reason": state.lower(),
        "started_at": 1_000,
        "changed_at": 2_000,
        "users": 100,
        "seen": seen,
        "matched": seen,
        "not_matched": 0,
        "emitted": seen,
        "seen_per_second": 10,
        "told_per_second": 10,
        **more,
    }


def test_parts_of_all_workers_make_a_whole() -> None:
    """By id, then by partition."""
    one = {"partitions": [0, 2], "broadcasts": {"b": {"0": shown("DONE", 1), "2": shown("DONE", 2)}}}
    other = {"partitions": [1], "broadcasts": {"b": {"1": shown("RUNNING", 3)}, "c": {"1": shown("PAUSED", 4)}}}
    found = merged([one, other], 3)
    assert found is not None
    assert {name: {number: each["seen"] for number, each in part.items()} for name, part in found.items()} == {
        "b": {0: 1, 2: 2, 1: 3},
        "c": {1: 4},
    }


@pytest.mark.parametrize("partitions", [[[0], [0, 1]], [[0]], [[0], [1], [2]], []])
def test_a_partition_that_moves_makes_none(partitions: list[list[int]]) -> None:
    """One that nobody has, or two have, or that there is not."""
    assert merged([{"partitions": part, "broadcasts": {}} for part in partitions], 2) is None


def test_where_it_stands() -> None:
    """Sums, the latest reason, and an estimate by the slowest partition."""
    parts = {0: shown("RUNNING", 50), 1: shown("RUNNING", 90, started_at=900, changed_at=2_500, reason="last")}
    document = summary("b", parts, 2)
    assert (document["state"], document["reason"]) == ("RUNNING", "last")
    assert (document["started_at"], document["changed_at"]) == (900, 2_500)
    assert (document["users"], document["seen"], document["told_per_second"]) == (200, 140, 20)
    assert document["seconds_left"] == 5
    assert "waits_for" not in document


def test_what_is_not_known_is_not_estimated() -> None:
    """As long as a partition has not begun, or has not counted, or stands still."""
    assert summary("b", {0: shown("RUNNING", 5)}, 2)["users"] is None
    uncounted = summary("b", {0: shown("RUNNING", 5), 1: shown("RUNNING", 5, users=None)}, 2)
    assert (uncounted["users"], uncounted["seconds_left"]) == (None, None)
    waiting = {"seen_per_second": 0, "told_per_second": 0, "waits_for": "delivery, which is behind"}
    stands = summary("b", {0: shown("RUNNING", 5), 1: shown("RUNNING", 5, **waiting)}, 2)
    assert (stands["users"], stands["seconds_left"]) == (200, None)
    assert stands["waits_for"] == ["delivery, which is behind"]
    assert "seconds_left" not in summary("b", {0: shown("DONE", 5), 1: shown("DONE", 5)}, 2)


def test_the_same_broadcast_by_whoever_asks() -> None:
    """Who asked and when does not make it another one; anything else does."""
    values = {"broadcast_id": "b", "type": "t", "requested_at": 1, "requested_by": "a", "audience": "ALL"}
    known, by_another = cast(Broadcast, values), cast(Broadcast, {**values, "requested_at": 2, "requested_by": "b"})
    assert is_the_same(known, by_another)
    assert not is_the_same(known, cast(Broadcast, {**values, "type": "u"}))
