"""Requests under way: each asks a connector once, if it still may when its turn comes, and leaves what it was told."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from connectors.outcome import Connector, Device, NotSent, Outcome, ProviderName, Push, Unknown
from streams.stages.deliver_entry import Entry


class Attempt(NamedTuple):
    """A request that may leave. `start_by`: on the monotonic clock, the last instant at which it may start."""

    entry: Entry
    device: Device
    push: Push
    start_by: float


class Finished(NamedTuple):
    """What a request was told, and when, in milliseconds since the epoch."""

    entry: Entry
    device: Device
    outcome: Outcome
    at: int


class Requests:
    """The requests of one lane, so many at a time; `wake` is called when one has ended.

    Those beyond `in_flight_max` wait for their turn, already claimed: the next one leaves when one ends, and not only
    when the lane has committed again.
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
        self._waiting: deque[Attempt] = deque()
        self._now_ms = now_ms
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()
        self.finished: deque[Finished] = deque()
        self._draining = False

    @property
    def under_way(self) -> int:
        """How many have not ended, those that wait included."""
        return len(self._tasks) + len(self._waiting)

    def start(self, attempt: Attempt) -> None:
        """Let a request leave, whose claim is durable."""
        if len(self._tasks) < self._in_flight_max or self._draining:
            self._tasks.add(asyncio.create_task(self._ask(attempt)))
        else:
            self._waiting.append(attempt)

    def drain(self) -> None:
        """What has not left yet does not leave any more, and ends at once as not sent."""
        self._draining = True
        while self._waiting:
            self.start(self._waiting.popleft())

    def cancel(self) -> None:
        """Give up all of them: nobody will note what they are told."""
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()

    async def _ask(self, attempt: Attempt) -> None:
        """Ask for this one, and then for those that wait: a task for each would cost as much as its request."""
        waiting = self._waiting
        try:
            while True:
                outcome = await self._outcome(attempt)
                self.finished.append(Finished(attempt.entry, attempt.device, outcome, self._now_ms()))
                if not waiting:
                    return
                self._wake()  # there is an outcome to note, and room for another claim
                attempt = waiting.popleft()
        finally:
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self._wake()  # or the lane is drained

    async def _outcome(self, attempt: Attempt) -> Outcome:
        _, device, push, start_by = attempt
        connector = self._connectors.get(device.provider)
        if connector is None:
            return NotSent("provider_not_configured", retry=False, provider_wide=True)
        try:
            return await connector.send(push, lambda: not self._draining and time.monotonic() < start_by)
        except Exception as error:  # a connector must not raise; if one does, nobody knows how far it came
            return Unknown(f"connector_failed: {type(error).__name__}")
