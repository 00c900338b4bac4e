"""Requests under way: each asks a connector once, if it still may when its turn comes, and leaves what it was told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from connectors.beginner import Beginner, Sending
from connectors.outcome import (
    Accepted,
    Connector,
    Device,
    NotSent,
    Outcome,
    ProviderName,
    Push,
    Unknown,
    connector_failed,
)
from streams.policies.breaking import LEFT_ALONE
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_services import Service
from streams.tracing.current import trace_of_record

_new: Final = tuple.__new__  # Finished(...) costs 0.2 µs more.


class Attempt(NamedTuple):
    """A request that may leave. `start_by`: on the monotonic clock, the last instant at which it may start."""

    entry: Entry
    device: Device
    push: Push
    start_by: float
    service: Service


class Finished(NamedTuple):
    """What a request was told, and when, and when it was its turn, in milliseconds since the epoch."""

    entry: Entry
    device: Device
    outcome: Outcome
    at: int
    service: Service
    asked_at: int


class _Asked:
    """A request on its way."""

    __slots__ = ("_requests", "asked_at", "attempt", "sending", "started_at")

    def __init__(self, requests: Requests, attempt: Attempt, asked_at: int) -> None:
        self.attempt = attempt
        self.asked_at = asked_at
        self.started_at = time.monotonic()
        self.sending: Sending | None = None
        self._requests = requests

    def may_start(self) -> bool:
        return not self._requests.is_draining and time.monotonic() < self.attempt.start_by

    def told(self, outcome: Outcome) -> None:
        self.sending = None  # which knows of this one: nothing is left to the garbage collector
        self._requests.ended(self, outcome)


class Requests:
    """The requests of one lane, so many to each service at a time; `wake` is called when one has ended.

    Those beyond `in_flight_max` wait for their turn, already claimed: the next one leaves when one ends, and not only
    when the lane has committed again. Each has had a place at its service since it was claimed.
    """

    def __init__(
        self,
        connectors: Mapping[ProviderName, Connector],
        in_flight_max: int,
        now_ms: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._connectors = connectors
        self._beginners = {name: one.begin for name, one in connectors.items() if isinstance(one, Beginner)}
        self._in_flight_max = in_flight_max
        self._asked: Counter[Service] = Counter()
        self._waiting: dict[Service, deque[Attempt]] = {}
        self._now_ms = now_ms
        self._wake = wake
        self._on_their_way: set[_Asked] = set()
        self.finished: deque[Finished] = deque()
        self.is_draining = False

    @property
    def under_way(self) -> int:
        """How many have not ended, those that wait included."""
        return len(self._on_their_way) + sum(map(len, self._waiting.values()))

    def of(self, service: Service) -> int:
        """How many of them are for this service."""
        return self._asked[service] + len(self._waiting.get(service, ()))

    def start(self, attempts: Sequence[Attempt]) -> None:
        """Let requests leave whose claims are durable."""
        now = self._now_ms()
        for attempt in attempts:
            service = attempt.service
            if self._asked[service] < self._in_flight_max or self.is_draining:
                self._asked[service] += 1
                self._ask(attempt, now)
            else:
                self._waiting.setdefault(service, deque()).append(attempt)

    def drain(self) -> None:
        """What has not left yet does not leave any more, and ends at once as not sent."""
        self.is_draining = True
        waiting, self._waiting = self._waiting, {}
        for attempts in waiting.values():
            self.start(attempts)

    def cancel(self) -> None:
        """Give up all of them: nobody will note what they are told."""
        now = self._now_ms()
        for asked in self._on_their_way:
            asked.attempt.service.ended(None, now)
        for service, waiting in self._waiting.items():
            for _ in waiting:
                service.give_back()
        self._waiting.clear()
        on_their_way, self._on_their_way = self._on_their_way, set()
        for asked in on_their_way:
            if asked.sending is not None:
                asked.sending.cancel()

    def ended(self, asked: _Asked, outcome: Outcome) -> None:
        """One on its way has ended; one that waits takes its place."""
        if asked not in self._on_their_way:
            return  # given up, with its connection failing over that
        self._on_their_way.remove(asked)
        now = self._now_ms()
        following = self._note(asked, outcome, now)
        if following is not None:
            self._ask(following, now)

    def _ask(self, attempt: Attempt, now: int) -> None:
        """Ask for this one; where it ends at once, for those that wait, one after the other."""
        following: Attempt | None = attempt
        while following is not None:
            following.service.asked(now)
            asked = _Asked(self, following, now)
            outcome = self._begin(asked, now)
            if outcome is None:
                self._on_their_way.add(asked)
                return
            following = self._note(asked, outcome, now)

    def _begin(self, asked: _Asked, now: int) -> Outcome | None:
        """Return how it ended, where it did so at once."""
        attempt = asked.attempt
        provider = attempt.device.provider
        connector = self._connectors.get(provider)
        if connector is None:
            return NotSent("provider_not_configured", retry=False, provider_wide=True)
        if attempt.service.breaker.is_open(now):
            return NotSent(LEFT_ALONE, retry=True)
        begin = self._beginners.get(provider)
        if begin is not None and attempt.entry.hop is None:  # else what is logged of it names its trace
            try:
                begun = begin(attempt.push, asked.may_start, asked.told)
            except Exception as error:  # a connector must not raise
                return connector_failed(error)
            if isinstance(begun, (Accepted, NotSent, Unknown)):
                return begun
            if begun is not None:
                asked.sending = begun
                return None
        asked.sending = asyncio.create_task(self._send(asked, connector))
        return None

    async def _send(self, asked: _Asked, connector: Connector) -> None:
        """It is ended from outside by `cancel` alone, which has given back its place."""
        outcome: Outcome
        if asked.attempt.entry.hop is not None:
            trace_of_record.set(asked.attempt.entry.hop.trace_id)
        try:
            outcome = await connector.send(asked.attempt.push, asked.may_start)
        except Exception as error:  # a connector must not raise
            outcome = connector_failed(error)
        asked.told(outcome)

    def _note(self, asked: _Asked, outcome: Outcome, now: int) -> Attempt | None:
        """Leave what it was told; return the one that takes its place."""
        entry, device, _, _, service = asked.attempt
        self.finished.append(_new(Finished, (entry, device, outcome, now, service, asked.asked_at)))
        service.ended(outcome, now, (time.monotonic() - asked.started_at) * 1000)
        self._wake()  # there is an outcome to note, and room for another claim, or the lane is drained
        waiting = self._waiting.get(service)
        if waiting:
            return waiting.popleft()
        self._asked[service] -= 1
        if not self._asked[service]:
            del self._asked[service]
            self._waiting.pop(service, None)
        return None
