"""When a provider is left alone, and how it is asked again: a circuit breaker with a slow start. Pure.

             a run of failures, or most of the last ones, or "not before …"
    CLOSED ──────────────────────────────────────────────────────────────→ OPEN
      ▲ ▲                                                                  │  ▲
      │ └─ slow start: one place, and one more for each answer             │  │ it failed again: twice as long
      └──────────────── answered ←── PROBE ←── the time is over ───────────┘  │
                                       └──────────────────────────────────────┘

A request that may have arrived is spent, so in an outage the rest must wait unsent: what a breaker saves are the
notifications, not the provider.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from connectors.outcome import Accepted, NotSent, Outcome, Unknown

# ALIVE: it has answered about this push. FAILING: no answer, or one that says that nothing can be sent to it now.
# THROTTLED: it asks to be asked later.
Signal = Literal["ALIVE", "FAILING", "THROTTLED"]

_new: Final = tuple.__new__  # Breaker(...) costs 0.3 µs more.
SAMPLE_MS = 10_000
PLACES_FIRST = 64  # under way at once when a worker starts; doubles with each round of answers
PLACES_MAX = 100_000  # as many as RINGONCE_DELIVER_IN_FLIGHT may be


class BreakerRule(NamedTuple):
    """`run_max` failures in a row open it, or half of at least `sample_min` within ten seconds.

    It stays open for `open_ms_first`, then twice as long each time that it is tried in vain, up to `open_ms_max`.
    """

    run_max: int = 20
    sample_min: int = 50
    open_ms_first: int = 5_000
    open_ms_max: int = 60_000


class Breaker(NamedTuple):
    """How one provider is doing. Instants in milliseconds since the epoch.

    `open_until`: 0 when closed; when that time is over, one request at a time tries it. `cooldown_ms`: how long it was
    opened for last. `places`: how many may be under way.
    """

    open_until: int = 0
    cooldown_ms: int = 0
    places: int = PLACES_FIRST
    run: int = 0
    sample_at: int = 0
    sample: int = 0
    failed: int = 0

    def allowed(self, now: int) -> int:
        """How many requests may be under way now."""
        if not self.open_until:
            return self.places
        return 1 if now >= self.open_until else 0

    def is_open(self, now: int) -> bool:
        """Whether nothing may be sent now."""
        return now < self.open_until


def after(
    breaker: Breaker, signal: Signal, now: int, rule: BreakerRule, wait_ms: int = 0, everyone: bool = False
) -> Breaker:
    """Return the breaker after what one request was told.

    `wait_ms`: what the provider asked for. `everyone`: its word concerns all pushes to it, and one such word is enough
    where it names a wait.
    """
    if breaker.open_until:
        if now < breaker.open_until:
            return breaker  # of a request that left before it opened
        if signal == "ALIVE":
            return Breaker(places=2, sample_at=now)
        return _opened(breaker, now, rule, wait_ms)
    if signal == "ALIVE" and 0 <= now - breaker.sample_at < SAMPLE_MS:  # nearly always; what follows says the same
        _, cooldown_ms, places, _, sample_at, sample, failed = breaker
        return _new(Breaker, (0, cooldown_ms, min(PLACES_MAX, places + 1), 0, sample_at, sample + 1, failed))
    run = 0 if signal == "ALIVE" else breaker.run + 1
    sample_at, sample, failed = breaker.sample_at, breaker.sample + 1, breaker.failed + (signal != "ALIVE")
    if now - sample_at >= SAMPLE_MS or now < sample_at:
        sample_at, sample, failed = now, 1, int(signal != "ALIVE")
    if (
        run >= rule.run_max
        or (sample >= rule.sample_min and failed * 2 >= sample and signal != "ALIVE")
        or (signal == "THROTTLED" and everyone and wait_ms > 0)
    ):
        return _opened(breaker, now, rule, wait_ms)
    places = min(PLACES_MAX, breaker.places + 1) if signal == "ALIVE" else breaker.places
    return Breaker(0, breaker.cooldown_ms, places, run, sample_at, sample, failed)


def _opened(breaker: Breaker, now: int, rule: BreakerRule, wait_ms: int) -> Breaker:
    twice = breaker.cooldown_ms * 2 if breaker.open_until else rule.open_ms_first
    cooldown_ms = max(rule.open_ms_first, min(twice, rule.open_ms_max))
    return Breaker(open_until=now + max(cooldown_ms, wait_ms), cooldown_ms=cooldown_ms, places=1)


THROTTLED_STATUS = 429
LEFT_ALONE = "left_alone"  # our own word: it was claimed, and then not sent, because the breaker had opened
# What says nothing about the provider: our own deadline, our own stop, a connection that it ended in good order.
_NEUTRAL = frozenset(
    (
        LEFT_ALONE,
        "closed",
        "deadline_passed",
        "goaway",
        "headers_too_large",
        "private_address",
        "provider_not_configured",
        "refused_stream",
    )
)
# No answer came, and it is not the push that is to blame.
_UNREACHABLE = frozenset(("connect_failed", "queue_timeout", "token_timeout"))


class Said(NamedTuple):
    """What an outcome says about the provider; the arguments of `after`."""

    signal: Signal
    wait_ms: int = 0
    everyone: bool = False


_ALIVE = Said("ALIVE")  # what nearly every outcome says


def said(outcome: Outcome) -> Said | None:
    """Return what an outcome says about its provider, None: nothing."""
    if isinstance(outcome, Accepted):
        return _ALIVE
    wait_ms = int((outcome.retry_after_seconds or 0.0) * 1000)
    if isinstance(outcome, Unknown):
        return Said("FAILING", wait_ms)
    if outcome.status == THROTTLED_STATUS:
        return Said("THROTTLED", wait_ms, outcome.provider_wide)
    if outcome.provider_wide or outcome.reason in _UNREACHABLE:
        return Said("FAILING", wait_ms)
    # A refusal of this push is an answer; what was never asked (a payload that is too large) says nothing.
    return None if outcome.reason in _NEUTRAL or outcome.status is None else Said("ALIVE")


def is_providers_fault(outcome: NotSent) -> bool:
    """Whether it was not sent for a reason that has nothing to do with it: it may wait, and need not die of it."""
    told = said(outcome)
    return told is None or told.signal != "ALIVE"
