"""What is pure in the schedule: taking, cancelling, moving, and counts that close."""

from __future__ import annotations

import pytest

from streams.policies.scheduling import (
    REMEMBERED_MS,
    Cancelled,
    CancelledBefore,
    Counts,
    Duplicate,
    Ended,
    Ending,
    Expire,
    Hold,
    Moved,
    Repeated,
    TooLate,
    Unknown,
    WouldExpire,
    cancel,
    move,
    take,
)

NOW = 1_700_000_000_000
LONG_AGO = NOW - REMEMBERED_MS


@pytest.mark.parametrize("how", ["CANCELLED", "AWAITED"])
@pytest.mark.parametrize(("at", "cancelled"), [(NOW, True), (LONG_AGO + 1, True), (LONG_AGO, False)])
def test_a_cancel_holds_for_a_day(how: Ending, at: int, cancelled: bool) -> None:
    """What comes under a cancelled id ends as cancelled, also when the cancel came first; a day later it is taken."""
    assert take(NOW + 1, None, None, Ended(how, at), NOW) == (CancelledBefore() if cancelled else Hold())


@pytest.mark.parametrize("how", ["RELEASED", "EXPIRED"])
def test_what_was_released_may_come_back(how: Ending) -> None:
    """Delivery holds it back for quiet hours: the same notification, with another due time."""
    assert take(NOW + 1, None, None, Ended(how, NOW), NOW) == Hold()


def test_an_id_is_pending_once() -> None:
    """Another event of the same id is a duplicate; the same event again counts with its newer time."""
    assert take(NOW + 1, None, False, None, NOW) == Duplicate()
    assert take(NOW + 1, None, True, None, NOW) == Repeated()


@pytest.mark.parametrize(
    ("due_at", "expires_at", "expires"),
    [
        (NOW + 10, NOW + 11, False),
        (NOW + 10, NOW + 10, True),
        (NOW + 10, NOW + 9, True),
        (NOW - 10, NOW, True),
        (NOW - 10, NOW + 1, False),
    ],
)
def test_what_is_of_no_use_when_it_is_due_is_not_taken(due_at: int, expires_at: int, expires: bool) -> None:
    """expires_at is the first instant at which it is of no use; what is overdue already is due now.

    now          due_at = expires_at
    |------------|                         dropped at once
    """
    assert take(due_at, expires_at, None, None, NOW) == (Expire() if expires else Hold())


def test_the_pending_is_cancelled_whatever_else_is_known() -> None:
    """One that delivery gave back can still be cancelled."""
    assert cancel(NOW + 5, False, Ended("RELEASED", NOW - 1), NOW) == Cancelled(NOW + 5)


@pytest.mark.parametrize("how", ["RELEASED", "CANCELLED", "EXPIRED"])
def test_the_ended_is_told_as_it_ended(how: Ending) -> None:
    """For a day; then nothing is known of it any more."""
    assert cancel(None, False, Ended(how, LONG_AGO + 1), NOW) == TooLate(how, LONG_AGO + 1)
    assert move(None, NOW, None, False, Ended(how, LONG_AGO + 1), NOW) == TooLate(how, LONG_AGO + 1)
    assert isinstance(cancel(None, False, Ended(how, LONG_AGO), NOW), Unknown)


def test_what_waits_for_its_next_attempt_was_released() -> None:
    """The claim and the slot are the business of delivery."""
    assert cancel(None, True, None, NOW) == TooLate("RELEASED", None)
    assert move(None, NOW + 1, None, True, None, NOW) == TooLate("RELEASED", None)


def test_a_cancel_of_the_unknown_holds_and_a_move_does_not() -> None:
    """A cancel that overtook its own event is not lost; asked again, it holds again."""
    assert cancel(None, False, None, NOW) == Unknown(NOW + REMEMBERED_MS)
    assert cancel(None, False, Ended("AWAITED", NOW - 7), NOW) == Unknown(NOW + REMEMBERED_MS)
    assert move(None, NOW + 1, None, False, None, NOW) == Unknown(None)


def test_nothing_is_moved_to_where_it_is_of_no_use() -> None:
    """It stays where it is, and the answer says so."""
    assert move(NOW + 5, NOW + 10, NOW + 10, False, None, NOW) == WouldExpire(NOW + 5)
    assert move(NOW + 5, NOW + 9, NOW + 10, False, None, NOW) == Moved(NOW + 5, NOW + 9)
    assert move(NOW + 5, NOW - 9, None, False, None, NOW) == Moved(NOW + 5, NOW - 9)


@pytest.mark.parametrize("field", ["scheduled", "released", "cancelled", "expired", "pending"])
def test_counts_close_or_say_by_how_much_not(field: str) -> None:
    """scheduled = released + cancelled + expired + pending, and the same for retries, each on its own."""
    counts = Counts(10, 3, 2, 1, 4, 7, 9, retries_taken=5, retries_released=2, retries_pending=3)
    assert counts.difference() == 0
    assert counts._replace(**{field: getattr(counts, field) + 1}).difference() == 1
    assert counts._replace(retries_taken=6).difference() == 1
    assert counts._replace(scheduled=11, retries_released=3).difference() == 2
