"""Token buckets: so many at once, so many per second, and no more names than there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.policies.token_buckets import BucketRule, TokenBuckets

GAPS = st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=200)


def test_a_burst_then_a_pace() -> None:
    """Three at once, then one each half second; who has to wait is told for how long."""
    buckets = TokenBuckets(BucketRule(2.0, 3.0), 10)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 0.25) == 0.25
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("b", 0.5) == 0


def test_no_rate_is_no_limit_and_keeps_nothing() -> None:
    """0 per second switches it off."""
    buckets = TokenBuckets(BucketRule(0.0, 1.0), 10)
    assert not any(buckets.take("a", 0.0) for _ in range(1000))
    assert len(buckets) == 0


@given(GAPS, st.floats(0.1, 10), st.floats(1, 10))
def test_never_more_than_burst_and_pace_allow(gaps: list[float], per_second: float, burst: float) -> None:
    """Over every stretch of time, also when the clock stands still; and after the wait that was told there is one."""
    buckets, now, taken = TokenBuckets(BucketRule(per_second, burst), 10), 0.0, []
    for gap in gaps:
        now += gap
        wait = buckets.take("a", now)
        if not wait:
            taken.append(now)
        else:
            assert buckets.wait("a", now + wait + 1e-6) == 0
    for first, since in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - since) * per_second + 1e-6


@given(st.lists(st.integers(0, 1000), max_size=300))
def test_the_table_is_bounded(names: list[int]) -> None:
    """However many names there are, no more than so many are remembered."""
    buckets = TokenBuckets(BucketRule(1.0, 1.0), 7)
    for name in names:
        buckets.take(str(name), 0.0)
        assert len(buckets) <= 7


def test_a_name_that_is_used_is_not_forgotten_for_others() -> None:
    """The one that was used longest ago gives way."""
    buckets = TokenBuckets(BucketRule(1.0, 2.0), 2)
    buckets.take("a", 0.0)
    buckets.take("b", 0.0)
    buckets.take("a", 0.0)
    buckets.take("c", 0.0)
    assert buckets.wait("a", 0.0) == 1.0
    assert buckets.wait("b", 0.0) == 0.0
