"""The sliding window of one slot. Each timeline is in milliseconds; `|` is a decision, `x` one that is turned down."""

from __future__ import annotations

from typing import Literal

import pytest

from streams.policies.suppression import (
    Admit,
    Decision,
    Defer,
    Duplicate,
    Expire,
    Place,
    Seen,
    SlotPolicy,
    Suppress,
    decide,
    settle,
)

POLICY = SlotPolicy(window_ms=1_000, limit=1, send_within_ms=100, grace_ms=30, skew_ms=5)
HOLD_MS = 100 + 30 + 1_000 + 5


def at(
    now: int,
    *places: Place | None,
    send_at: int | None = None,
    expires_at: int | None = None,
    seen: Seen | None = None,
    released: bool = False,
) -> Decision:
    """Decide on `b` at this instant over these places of its slot."""
    return decide(b"b", send_at, expires_at, places or (None,), seen, now, POLICY, released)


def admitted(now: int, expires_at: int | None = None) -> Place:
    """The place of `a`, admitted at this instant."""
    decision = decide(b"a", None, expires_at, (None,), None, now, POLICY)
    assert isinstance(decision, Admit)
    return decision.place


def test_a_free_slot_admits_and_holds_for_the_whole_of_what_may_happen() -> None:
    """The hold runs until the last possible send, and the window after it.

    0            100      130                    1130  1135
    |-------------|--------|----------------------|-----|
    a admitted    send_by  +grace                 +window +skew
    """
    assert at(0) == Admit(0, Place(b"b", "HELD", HOLD_MS, 0, 100))


@pytest.mark.parametrize(("now", "passes"), [(1, False), (HOLD_MS - 1, False), (HOLD_MS, True), (HOLD_MS + 1, True)])
def test_a_hold_without_a_verdict_blocks_until_its_last_millisecond(now: int, passes: bool) -> None:
    """A lost verdict costs time: the next one passes at the end of the hold and not before.

    0                                 1135
    |==================================|
    a     x  b                       x  | b
    """
    assert isinstance(at(now, admitted(0)), Admit if passes else Suppress)


@pytest.mark.parametrize(("now", "passes"), [(1_046, False), (1_047, True)])
def test_an_accepted_verdict_makes_the_window_run_from_the_send(now: int, passes: bool) -> None:
    """Accepted at 42, the slot is blocked until 42 + window + skew, which is earlier than the end of the hold.

    0    42                       1047       1135
    |-----*========================|..........|
    a     accepted              x  | b
    """
    place = settle(admitted(0), "ACCEPTED", 42, POLICY)
    assert isinstance(at(now, place), Admit if passes else Suppress)


def test_unknown_blocks_as_long_as_accepted() -> None:
    """What may have been sent counts as sent.

    0    42                       1047
    |-----?========================|
    """
    accepted, unknown = (settle(admitted(0), outcome, 42, POLICY) for outcome in ("ACCEPTED", "UNKNOWN"))
    assert accepted is not None and unknown is not None
    assert unknown == accepted._replace(phase="UNKNOWN")


def test_a_freed_slot_admits_the_next_one_at_once() -> None:
    """Certainly nothing was sent: nothing stands in the way.

    0     42
    |------o| b
    a   freed
    """
    freed = settle(admitted(0), "FREED", 42, POLICY)
    assert freed is None
    assert isinstance(at(43, freed), Admit)


@pytest.mark.parametrize("outcome", ["ACCEPTED", "UNKNOWN"])
def test_a_verdict_keeps_who_holds_the_place(outcome: Literal["ACCEPTED", "UNKNOWN"]) -> None:
    """The suppressed one is told who stands in its way, what is known of it, and until when.

    0    42           500           1047
    |-----*============x=============|
    """
    assert at(500, settle(admitted(0), outcome, 42, POLICY)) == Suppress(b"a", outcome, 42 + 1_000 + 5)


def test_expiry_comes_before_send_by() -> None:
    """A notification that is useless from 60 on is not started at 100, and holds its slot accordingly shorter.

    0       60       90                   1090 1095
    |--------|--------|--------------------|----|
             send_by  +grace               +window +skew
    """
    assert admitted(0, expires_at=60) == Place(b"a", "HELD", 1_095, 0, 60)


@pytest.mark.parametrize(("now", "expires_at", "expired"), [(59, 60, False), (60, 60, True), (61, 60, True)])
def test_what_is_useless_is_dropped_from_that_instant_on(now: int, expires_at: int, expired: bool) -> None:
    """`expires_at` itself is too late.

        59  60  61
    -----|---x---x--
    """
    assert isinstance(at(now, expires_at=expires_at), Expire if expired else Admit)


def test_what_is_useless_before_it_is_due_is_dropped_at_once() -> None:
    """It could never be sent, so it isn't even held.

    0       50            80
    x        expires_at    send_at
    """
    assert at(0, send_at=80, expires_at=50) == Expire(50)


@pytest.mark.parametrize(("now", "deferred"), [(79, True), (80, False), (81, False)])
def test_what_is_not_due_yet_waits_without_holding_the_slot(now: int, deferred: bool) -> None:
    """It contends for its slot when it is due, not when it is announced.

    0          79  80
    |-----------d---|
    """
    decision = at(now, send_at=80)
    assert decision == Defer(80) if deferred else isinstance(decision, Admit)


def test_a_deferral_does_not_ask_the_slot() -> None:
    """A blocked slot is no reason to drop what is due long after.

    0        10                        1135       5000
    |=========d==========================|          due
    """
    assert at(10, admitted(0), send_at=5_000) == Defer(5_000)


def test_a_released_one_contends_like_any_other() -> None:
    """Released early by a clock that is ahead, it is not deferred again; and the window is the same for it.

    0        70  80                   1135
    |=========x====================== |
             released (due at 80)
    """
    assert isinstance(at(70, send_at=80, seen="DEFERRED", released=True), Admit)
    assert isinstance(at(70, admitted(0), send_at=80, seen="DEFERRED", released=True), Suppress)


@pytest.mark.parametrize(
    ("seen", "released", "duplicate"),
    [("FINAL", False, True), ("DEFERRED", False, True), ("FINAL", True, True), ("DEFERRED", True, False)],
)
def test_the_same_id_twice_is_the_same_notification(seen: Seen, released: bool, duplicate: bool) -> None:
    """Whatever was seen is a duplicate, but for the one that the schedule releases itself."""
    assert at(0, seen=seen, released=released) == Duplicate(seen) if duplicate else isinstance(at(0), Admit)
    assert isinstance(at(0, seen=seen, released=released), Duplicate) is duplicate


def test_a_duplicate_says_so_even_when_the_slot_is_taken_or_it_has_expired() -> None:
    """Having been seen is the first question: otherwise one event would be told of two final states."""
    assert at(10, admitted(0), seen="FINAL", expires_at=5) == Duplicate("FINAL")


def test_with_several_places_the_first_free_one_is_taken() -> None:
    """Two in any window: the third waits for the first place to run out.

    0     10          500                1135   1145
    |=a====================================|
           |=b====================================|
                       x c                  | c
    """
    first, second = admitted(0), admitted(10)
    assert at(500, first, second) == Suppress(b"a", "HELD", first.blocked_until)
    taken = at(HOLD_MS, first, second)
    assert isinstance(taken, Admit) and taken.number == 0
    taken = at(500, first, None)
    assert isinstance(taken, Admit) and taken.number == 1


def test_a_verdict_that_comes_an_hour_late_ends_a_window_in_the_past() -> None:
    """Nothing is blocked by what happened long ago.

    0   42                1047                       9000
    |----*==================|                          verdict, then b
    """
    assert isinstance(at(9_000, settle(admitted(0), "ACCEPTED", 42, POLICY)), Admit)
