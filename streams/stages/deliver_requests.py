"""Requests under way: each asks a connector once, if it still may when its turn comes, and leaves what it was told."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

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
    """The requests of one lane. `wake` is called when one has ended."""

    def __init__(
        self, connectors: Mapping[ProviderName, Connector], now_ms: Callable[[], int], wake: Callable[[], None]
    ) -> None:
        self._connectors = connectors
        self._now_ms = now_ms
        self._wake = wake
        self._tasks: set[asyncio.Task[None]] = set()
        self.finished: deque[Finished] = deque()
        self.draining = False

    @property
    def under_way(self) -> int:
        """How many have not ended."""
        return len(self._tasks)

    def start(self, attempt: Attempt) -> None:
        """Let a request leave, whose claim is durable."""
        task = asyncio.create_task(self._ask(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Give up all of them: nobody will note what they are told."""
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake()  # there is room for another one, or the lane is drained

    async def _ask(self, attempt: Attempt) -> None:
        entry, device, push, start_by = attempt
        connector = self._connectors.get(device.provider)

        def may_start() -> bool:
            return not self.draining and time.monotonic() < start_by

        outcome: Outcome
        if connector is None:
            outcome = NotSent("provider_not_configured", retry=False, provider_wide=True)
        else:
            try:
                outcome = await connector.send(push, may_start)
            except Exception as error:  # a connector must not raise; if one does, nobody knows how far it came
                outcome = Unknown(f"connector_failed: {type(error).__name__}")
        self.finished.append(Finished(entry, device, outcome, self._now_ms()))
        self._wake()
