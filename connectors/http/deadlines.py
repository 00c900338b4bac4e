"""Many deadlines with one timer: a timer for each request costs as much as its frames, and hardly any ever strikes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
# uvloop's timers count whole milliseconds, and may come early by one.
_CLOCK_SECONDS = 0.002


class Deadlines(Generic[_Item]):
    """Calls `strike` with each item that is still there when its time comes."""

    def __init__(self, strike: Callable[[_Item], None]) -> None:
        self._strike = strike
        self._at: dict[_Item, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def add(self, item: _Item, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        """The item has so many seconds from now. `loop`: the one that runs."""
        at = self._at[item] = loop.time() + seconds
        if at < self._timer_at:
            self._set(loop, at)

    def discard(self, item: _Item) -> None:
        """The item is over."""
        self._at.pop(item, None)

    def close(self) -> None:
        """Strike none any more."""
        self._at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, math.inf

    def _set(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = loop.call_at(at, self._look), at

    def _look(self) -> None:
        """Strike what is due, and come again for the first of the others: rarely, as most are over long before."""
        loop = asyncio.get_running_loop()
        self._timer, self._timer_at = None, math.inf
        now = loop.time() + _CLOCK_SECONDS
        for item in [item for item, at in self._at.items() if at <= now]:
            self.discard(item)
            self._strike(item)
        first = min(self._at.values(), default=math.inf)
        if first < self._timer_at:
            self._set(loop, first)
