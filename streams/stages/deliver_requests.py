"""Requests under way: each asks a connector once, if it still may when its turn comes, and leaves what it was told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, cast

from connectors.outcome import Connector, Device, NotSent, Outcome, ProviderName, Push, Unknown
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
        self._in_flight_max = in_flight_max
        self._asked: Counter[Service] = Counter()
        self._waiting: dict[Service, deque[Attempt]] = {}
        self._now_ms = now_ms
        self._wake = wake
        self._tasks: dict[asyncio.Task[None], Service] = {}
        self.finished: deque[Finished] = deque()
        self._draining = False

    @property
    def under_way(self) -> int:
        """How many have not ended, those that wait included."""
        return len(self._tasks) + sum(map(len, self._waiting.values()))

    def of(self, service: Service) -> int:
        """How many of them are for this service."""
        return self._asked[service] + len(self._waiting.get(service, ()))

    def start(self, attempts: Sequence[Attempt]) -> None:
        """Let requests leave whose claims are durable."""
        now = self._now_ms()
        for attempt in attempts:
            service = attempt.service
            if self._asked[service] < self._in_flight_max or self._draining:
                self._asked[service] += 1
                service.asked(now)
                self._tasks[asyncio.create_task(self._ask(attempt, now))] = service
            else:
                self._waiting.setdefault(service, deque()).append(attempt)

    def drain(self) -> None:
        """What has not left yet does not leave any more, and ends at once as not sent."""
        self._draining = True
        for waiting in self._waiting.values():
            attempts = [*waiting]
            waiting.clear()
            self.start(attempts)

    def cancel(self) -> None:
        """Give up all of them: nobody will note what they are told."""
        now = self._now_ms()
        for service in self._tasks.values():
            service.ended(None, now)
        for service, waiting in self._waiting.items():
            for _ in waiting:
                service.give_back()
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _ask(self, attempt: Attempt, now: int) -> None:
        """Ask for this one, and then for those that wait: a task for each would cost as much as its request.

        It is ended from outside by `cancel` alone, which has given back its place.
        """
        service = attempt.service
        connector = self._connectors.get(attempt.device.provider)
        outcome: Outcome

        def may_start() -> bool:
            return not self._draining and time.monotonic() < attempt.start_by

        while True:
            started_at, asked_at = time.monotonic(), now
            if attempt.entry.hop is not None:
                trace_of_record.set(attempt.entry.hop.trace_id)
            if connector is None:
                outcome = NotSent("provider_not_configured", retry=False, provider_wide=True)
            elif service.breaker.is_open(now):
                outcome = NotSent(LEFT_ALONE, retry=True)
            else:
                try:
                    outcome = await connector.send(attempt.push, may_start)
                except Exception as error:  # a connector must not raise; if one does, nobody knows how far it came
                    outcome = Unknown(f"connector_failed: {type(error).__name__}")
            now = self._now_ms()
            self.finished.append(_new(Finished, (attempt.entry, attempt.device, outcome, now, service, asked_at)))
            service.ended(outcome, now, (time.monotonic() - started_at) * 1000)
            waiting = self._waiting.get(service)
            if not waiting:
                break
            self._wake()  # there is an outcome to note, and room for another claim
            attempt = waiting.popleft()
            service.asked(now)
        self._done(service)

    def _done(self, service: Service) -> None:
        self._tasks.pop(cast("asyncio.Task[None]", asyncio.current_task()), None)
        self._asked[service] -= 1
        if not self._asked[service]:
            del self._asked[service]
            self._waiting.pop(service, None)
        self._wake()  # or the lane is drained
