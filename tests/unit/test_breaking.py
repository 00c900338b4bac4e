"""The circuit breaker: when it opens, how long it stays open, and how it closes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.outcome import Accepted, NotSent, Outcome, Unknown
from streams.policies.breaking import (
    PLACES_FIRST,
    PLACES_MAX,
    SAMPLE_MS,
    Breaker,
    BreakerRule,
    Said,
    Signal,
    after,
    said,
)

NOW = 1_700_000_000_000
RULE = BreakerRule(run_max=5, sample_min=20, open_ms_first=1_000, open_ms_max=4_000)


def fed(breaker: Breaker, signals: Sequence[Signal], now: int = NOW) -> Breaker:
    for signal in signals:
        breaker = after(breaker, signal, now, RULE)
    return breaker


def opened(now: int = NOW) -> Breaker:
    breaker = fed(Breaker(), ("FAILING",) * 5, now)
    assert breaker.is_open(now)
    return breaker


def test_a_run_of_failures_opens_it() -> None:
    """Four in a row are not enough, five are; an answer between them begins the count anew."""
    assert not fed(Breaker(), ("FAILING",) * 4).is_open(NOW)
    assert fed(Breaker(), ("FAILING",) * 5).is_open(NOW)
    assert not fed(Breaker(), ("FAILING",) * 4 + ("ALIVE",) + ("FAILING",) * 4).is_open(NOW)


def test_half_of_the_last_ones_opens_it() -> None:
    """A provider that answers every other request is failing too, however short its runs are."""
    signals: Sequence[Signal] = ["ALIVE", "FAILING"]
    assert not fed(Breaker(), tuple(signals) * 9).is_open(NOW)
    assert fed(Breaker(), tuple(signals) * 10).is_open(NOW)


def test_failures_of_long_ago_do_not_count() -> None:
    """Half of the requests of one stretch fail, and the next stretch is judged alone."""
    breaker = fed(Breaker(sample_at=NOW), ("ALIVE", "FAILING") * 9)
    assert not fed(breaker, ("FAILING",), NOW + 10_000).is_open(NOW + 10_000)


def test_one_word_to_everyone_is_enough() -> None:
    """`QUOTA_EXCEEDED, Retry-After: 30` concerns every push, so none is sent before; about one device it does not."""
    breaker = after(Breaker(), "THROTTLED", NOW, RULE, wait_ms=30_000, everyone=True)
    assert breaker.is_open(NOW + 29_999)
    assert not breaker.is_open(NOW + 30_000)
    assert not after(Breaker(), "THROTTLED", NOW, RULE, wait_ms=30_000).is_open(NOW)


def test_it_is_tried_with_one_request_and_waits_twice_as_long_each_time() -> None:
    """
    opened          probe fails         probe fails               probe fails
    |---- 1 s ------|------- 2 s -------|--------- 4 s -----------|--------- 4 s (at most) ----
    """
    breaker, now = opened(), NOW
    for wait_ms in (1_000, 2_000, 4_000, 4_000):
        assert breaker.allowed(now + wait_ms - 1) == 0
        now += wait_ms
        assert breaker.allowed(now) == 1
        breaker = after(breaker, "FAILING", now, RULE)


def test_it_closes_slowly() -> None:
    """After one answer two may be under way, and one more with each further answer."""
    now = NOW + 1_000
    breaker = after(opened(), "ALIVE", now, RULE)
    assert [breaker.allowed(now), fed(breaker, ("ALIVE", "ALIVE"), now).allowed(now)] == [2, 4]
    assert Breaker().allowed(now) == PLACES_FIRST


@pytest.mark.parametrize("signal", ["ALIVE", "FAILING", "THROTTLED"])
def test_what_left_before_it_opened_changes_nothing(signal: Signal) -> None:
    """Stragglers neither close it nor make it wait longer."""
    breaker = opened()
    assert after(breaker, signal, NOW + 999, RULE) == breaker


@given(
    told=st.lists(
        st.tuples(
            st.sampled_from(("ALIVE", "FAILING", "THROTTLED")),
            st.integers(0, 3_000),
            st.integers(0, 5_000),
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_whatever_it_is_told_it_lets_one_through_in_the_end(told: list[tuple[Signal, int, int, bool]]) -> None:
    """It is never shut for longer than the longest wait from the last word, and never allows a negative number."""
    breaker, now = Breaker(), NOW
    for signal, passed_ms, wait_ms, everyone in told:
        now += passed_ms
        breaker = after(breaker, signal, now, RULE, wait_ms, everyone)
        assert breaker.allowed(now) >= 0
        assert breaker.allowed(now + 5_000) >= 1
        assert breaker.run < RULE.run_max


SAID = [
    (Accepted(200), Said("ALIVE")),
    (NotSent("BadDeviceToken", retry=False, status=400), Said("ALIVE")),
    (NotSent("Unregistered", retry=False, status=410, gone_at_ms=NOW), Said("ALIVE")),
    (Unknown("timeout"), Said("FAILING")),
    (Unknown("UNAVAILABLE", 503, 10.0), Said("FAILING", 10_000)),
    (NotSent("connect_failed", retry=True), Said("FAILING")),
    (NotSent("queue_timeout", retry=True), Said("FAILING")),
    (NotSent("InvalidProviderToken", retry=True, status=403, provider_wide=True), Said("FAILING")),
    (NotSent("TooManyRequests", True, 429, 60.0), Said("THROTTLED", 60_000)),
    (NotSent("QUOTA_EXCEEDED", True, 429, 60.0, None, True), Said("THROTTLED", 60_000, True)),
    (NotSent("goaway", retry=True), None),
    (NotSent("deadline_passed", retry=False), None),
    (NotSent("payload_too_large", retry=False), None),
]


@pytest.mark.parametrize(
    ("outcome", "expected"), SAID, ids=[f"{outcome.__class__.__name__}-{n}" for n, (outcome, _) in enumerate(SAID)]
)
def test_what_an_outcome_says_of_its_provider(outcome: Outcome, expected: Said | None) -> None:
    """A refused push is an answer; silence, 5xx, and what concerns everyone are not; our own doing says nothing."""
    assert said(outcome) == expected


@given(
    st.integers(0, 100_000),
    st.integers(0, 40),
    st.integers(0, 20_000),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 30_000),
)
def test_an_answer_ends_a_run_and_makes_room(
    places: int, run: int, sample_at: int, sample: int, failed: int, now: int
) -> None:
    """Whatever was before: the run is over, one more place, and the sample counts it, anew after ten seconds."""
    breaker = Breaker(0, 7, places, run, sample_at, sample, failed)
    found = after(breaker, "ALIVE", now, BreakerRule())
    assert (found.open_until, found.cooldown_ms, found.run) == (0, 7, 0)
    assert found.places == min(PLACES_MAX, places + 1)
    is_new = now - sample_at >= SAMPLE_MS or now < sample_at
    assert (found.sample_at, found.sample, found.failed) == ((now, 1, 0) if is_new else (sample_at, sample + 1, failed))
