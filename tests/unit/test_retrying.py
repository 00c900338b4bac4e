"""Exponential back-off with full jitter, inside `send_by`."""

from __future__ import annotations

import pytest

from streams.policies.retrying import GiveUp, RetryAt, RetryPolicy, next_attempt

POLICY = RetryPolicy(attempts=5, backoff_ms_first=1_000, backoff_ms_max=60_000)
FAR = 10**9


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000)])
def test_the_wait_doubles_and_is_drawn_from_the_whole_range(attempt: int, ceiling: int) -> None:
    """The numbers are those that the policy's documentation promises."""
    assert next_attempt(attempt, 0, FAR, None, 0.0, POLICY) == RetryAt(0)
    assert next_attempt(attempt, 0, FAR, None, 0.5, POLICY) == RetryAt(ceiling // 2)
    assert next_attempt(attempt, 7, FAR, None, 0.999, POLICY) == RetryAt(7 + int(ceiling * 0.999))


@pytest.mark.parametrize("attempt", [7, 40, 100_000])
def test_the_wait_has_a_ceiling(attempt: int) -> None:
    """However many attempts there were, no wait is longer than the longest."""
    policy = POLICY._replace(attempts=10**6)
    assert next_attempt(attempt, 0, FAR, None, 0.5, policy) == RetryAt(30_000)


def test_what_the_provider_asks_for_is_kept_to_the_letter() -> None:
    """Retry-After is not shortened by jitter; the jitter comes on top, so that not all return at once."""
    assert next_attempt(1, 0, FAR, 20_000, 0.0, POLICY) == RetryAt(20_000)
    assert next_attempt(1, 0, FAR, 20_000, 0.5, POLICY) == RetryAt(20_500)


def test_the_last_attempt_is_the_last() -> None:
    """Attempt 5 of 5 is not followed by another."""
    assert isinstance(next_attempt(4, 0, FAR, None, 0.0, POLICY), RetryAt)
    assert next_attempt(5, 0, FAR, None, 0.0, POLICY) == GiveUp("attempts_exhausted")


@pytest.mark.parametrize(("send_by", "retried"), [(501, True), (500, False), (499, False), (0, False)])
def test_no_attempt_is_planned_at_or_after_send_by(send_by: int, retried: bool) -> None:
    """`send_by` itself is too late.

    0            500      501
    |-------------^--------|
                  next     send_by
    """
    decision = next_attempt(1, 0, send_by, None, 0.5, POLICY)
    assert decision == (RetryAt(500) if retried else GiveUp("send_by_passed"))
