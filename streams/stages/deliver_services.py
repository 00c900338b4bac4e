"""Who answers pushes, how each of them is doing, and how many more may leave for it. One for a worker, for all lanes.

A service is APNs, FCM, or one of the push services that subscriptions name: each has its own places, its own pace and
its own breaker, so that one that is slow or fails holds back nobody else.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from connectors.outcome import Device, Outcome, ProviderName, service_of
from streams.policies.breaking import Breaker, BreakerRule, after, said
from streams.policies.pacing import Bucket, next_token_at, ramped, refill, spend

logger = logging.getLogger(__name__)

SERVICES_MAX = 1_024  # as many as a connector has tokens for; endpoints are user input
ENDED_PER_SECOND_MIN = 50.0  # what waits is spread over the time that it takes at this rate, or at the one measured
HORIZON_MS_MAX = 3_600_000
SLOW_MS = 2_000  # answers that take longer on average make the provider a slow one
SILENT_MS = 3_000  # and so does no answer for so long; opening a connection and fetching a token may take one second
ANSWER_WEIGHT = 0.02


class ServiceRule(NamedTuple):
    """`per_second` of all workers together, 0: no limit; `ramp_ms`: until it is reached."""

    per_second: float = 0.0
    ramp_ms: int = 0
    breaker: BreakerRule = BreakerRule()


class Go(NamedTuple):
    """There are so many places."""

    places: int


class Wait(NamedTuple):
    """Not now: at `at` (milliseconds since the epoch), None: when a request under way has ended."""

    at: int | None


class Shut(NamedTuple):
    """It is left alone, for the time being until `until` (milliseconds since the epoch)."""

    until: int


Answer = Go | Wait | Shut


class Service:
    """One of them, as this worker knows it."""

    def __init__(self, name: str, rule: ServiceRule, now: int) -> None:
        self.name = name
        self._rule = rule
        self.breaker = Breaker(sample_at=now)
        self.under_way = 0  # places that are taken, from the claim on
        self._asked = 0  # of them, those whose request has left
        self.waiters: set[Callable[[], None]] = set()  # called when a request has ended, once
        self._since = now
        self._bucket = Bucket(1.0, now)
        self._horizon = 0
        self.answer_ms = 0.0  # of the last hundred or so
        self._ended_at = now
        self._is_limited = False
        self._ended, self._looked_at, self._per_second = 0, now, ENDED_PER_SECOND_MIN

    def look(self, now: int, share: float) -> Answer:
        """How many places there are. `share`: of the rate, the part of this worker."""
        breaker = self.breaker
        if breaker.is_open(now):
            return Shut(breaker.open_until)
        places = breaker.allowed(now) - self.under_way
        if places <= 0:
            return Wait(None)
        if self._rule.per_second:
            rate = self._rate(now, share)
            if rate <= 0:
                return Wait(now + 1_000)
            self._bucket = refill(self._bucket, now, rate)
            # While its rate still rises that is soon over, and no reason to send anything away.
            self._is_limited = self._bucket.tokens < 1 and now - self._since >= self._rule.ramp_ms
            if self._bucket.tokens < 1:
                return Wait(max(now + 1, next_token_at(self._bucket, rate)))
            places = min(places, int(self._bucket.tokens))
        return Go(places)

    def take(self, places: int, now: int) -> None:
        """Take places; with several devices of one user more than there are, which the next ones wait for."""
        self.under_way += places
        if self._rule.per_second:
            self._bucket = spend(self._bucket, places)

    def is_slow(self, now: int) -> bool:
        """Whether it is the provider that makes others wait, and not this worker."""
        if self._is_limited or self.answer_ms > SLOW_MS:
            return True
        return self._asked > 0 and now - self._ended_at > SILENT_MS

    def _rate(self, now: int, share: float) -> float:
        return ramped(self._rule.per_second, now, self._since, self._rule.ramp_ms) * share

    def asked(self, now: int) -> None:
        """A request that has a place leaves now; until then it is not the provider who is waited for."""
        if not self._asked:
            self._ended_at = now  # nobody could have answered before
        self._asked += 1

    def give_back(self) -> None:
        """A place is free again: its request has ended, or does not leave any more."""
        self.under_way -= 1
        if self.waiters:
            waiters, self.waiters = self.waiters, set()
            for wake in waiters:
                wake()

    def ended(self, outcome: Outcome | None, now: int, answer_ms: float | None = None) -> None:
        """A request that had left has ended. None: nobody will know how. `answer_ms`: how long it took."""
        self._asked -= 1
        self._ended += 1
        self._ended_at = now
        if answer_ms is not None:
            self.answer_ms += (answer_ms - self.answer_ms) * ANSWER_WEIGHT
        self.give_back()
        told = None if outcome is None else said(outcome)
        if told is None:
            return
        before = self.breaker
        self.breaker = after(before, told.signal, now, self._rule.breaker, told.wait_ms, told.everyone)
        if self.breaker.open_until != before.open_until:
            self._turned(before, now, outcome)

    def _turned(self, before: Breaker, now: int, outcome: Outcome | None) -> None:
        if self.breaker.open_until:
            if not before.open_until:
                reason = getattr(outcome, "reason", "")
                seconds = (self.breaker.open_until - now) / 1000
                logger.error("%s fails (%s): it is left alone for %.0f s, and then tried", self.name, reason, seconds)
        else:
            self._since = now
            logger.warning("%s answers again", self.name)

    def later(self, now: int, share: float) -> int:
        """When something that cannot wait here should come again: one after the other, as fast as they can leave."""
        if now - self._looked_at >= 1_000:
            measured = self._ended * 1000 / (now - self._looked_at)
            self._per_second = max(ENDED_PER_SECOND_MIN, measured, self._per_second / 2)
            self._ended, self._looked_at = 0, now
        rate = self._rate(now, share) if self._rule.per_second else self._per_second
        first = max(now + 1_000, self.breaker.open_until)
        self._horizon = min(max(first, self._horizon) + max(1, int(1000 / max(rate, 1.0))), now + HORIZON_MS_MAX)
        return max(first, self._horizon)


class Services:
    """All services of a worker; those that were not asked for longest are forgotten when there are too many."""

    def __init__(self, rules: Mapping[ProviderName, ServiceRule], share: Callable[[], float] = lambda: 1.0) -> None:
        self._rules = rules
        self.share = share
        self._services: OrderedDict[str, Service] = OrderedDict()

    def of(self, device: Device, now: int) -> Service:
        """Return the service that answers for a device."""
        name = service_of(device)
        service = self._services.get(name)
        if service is None:
            rule = self._rules.get(device.provider, ServiceRule())
            service = self._services[name] = Service(name, rule, now)
            if len(self._services) > SERVICES_MAX:
                self._forget()
        return service

    def all(self) -> list[Service]:
        """Return those that are known."""
        return list(self._services.values())

    def _forget(self) -> None:
        for name, service in self._services.items():
            if not service.under_way:
                del self._services[name]
                return
