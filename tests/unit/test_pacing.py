"""The pace: a bucket that is never overdrawn over any stretch of time, and a rate that rises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.policies.pacing import BURST_SECONDS, Bucket, next_token_at, ramped, refill, spend

NOW = 1_700_000_000_000


@given(
    per_second=st.floats(0.01, 20_000),
    waits=st.lists(st.integers(-50, 3_000), min_size=1, max_size=60),
    wanted=st.integers(1, 5_000),
)
def test_no_stretch_of_time_sees_more_than_the_pace(per_second: float, waits: list[int], wanted: int) -> None:
    """However long it was idle and however the clock jumps: rate times (time plus burst), and one."""
    bucket, now, releases = Bucket(0.0, 0), NOW, []
    for wait in waits:
        now += wait
        bucket = refill(bucket, now, per_second)
        count = min(wanted, int(bucket.tokens))
        bucket = spend(bucket, count)
        releases.append((max(now, bucket.at), count))
    for first in range(len(releases)):
        for last in range(first, len(releases)):
            seconds = (releases[last][0] - releases[first][0]) / 1000
            count = sum(number for _, number in releases[first : last + 1])
            assert count <= per_second * (seconds + BURST_SECONDS) + 1 + 1e-6


@given(per_second=st.floats(0.01, 20_000), tokens=st.floats(0, 1))
def test_the_next_release_is_due_when_its_token_is_there(per_second: float, tokens: float) -> None:
    """Not before, and not long after."""
    bucket = Bucket(tokens, NOW)
    at = next_token_at(bucket, per_second)
    assert refill(bucket, at, per_second).tokens >= 1 - 1e-9
    assert at - NOW <= 2 or refill(bucket, at - 2, per_second).tokens < 1


def test_the_pace_is_kept_over_a_long_burst() -> None:
    """100 a second over a minute are 6,000, give or take what was saved up."""
    bucket, released = Bucket(0.0, 0), 0
    for now in range(NOW, NOW + 60_000, 50):
        bucket = refill(bucket, now, 100.0)
        count = int(bucket.tokens)
        bucket, released = spend(bucket, count), released + count
    assert 5_990 <= released <= 6_026


@given(elapsed_ms=st.integers(-1_000, 200_000), later_ms=st.integers(0, 200_000), ramp_ms=st.integers(0, 100_000))
def test_a_rate_rises_from_a_tenth_and_never_falls(elapsed_ms: int, later_ms: int, ramp_ms: int) -> None:
    """It begins with a tenth, is whole at the end of its ramp and stays so; without a ramp it is whole at once.

    share  0.1 ........./ 1.0 -----
           since        since + ramp
    """
    first = ramped(500.0, NOW + elapsed_ms, NOW, ramp_ms)
    second = ramped(500.0, NOW + elapsed_ms + later_ms, NOW, ramp_ms)
    assert 50.0 - 1e-9 <= first <= second <= 500.0
    assert ramped(500.0, NOW + ramp_ms, NOW, ramp_ms) == 500.0
    if ramp_ms:
        assert abs(ramped(500.0, NOW, NOW, ramp_ms) - 50.0) < 1e-9
