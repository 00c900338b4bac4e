"""An event loop with a clock of its own: it runs whole processes, stops them anywhere, and jumps to the next timer.

Every callback belongs to an actor, found through its context: a process, or the world outside. What an actor has to do
is done in its order; whose turn it is, chance says. A paused actor does nothing while time goes on; a dead one never
does anything again, and no `finally` of it is run: that is what SIGKILL means.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

INSTANT_CALLBACKS_MAX = 200_000  # more than any step needs: somebody goes round in circles without waiting
TURN_CALLBACKS_MAX = 6  # one actor may get this far ahead of the others before it is another's turn


class Actor:
    """Whoever does something: a process of a worker, or the world outside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.paused = False
        self.dead = False
        self.queue: deque[asyncio.Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(ACTOR.set, self)


ACTOR: ContextVar[Actor] = ContextVar("actor")


class StuckError(Exception):
    """The world can't go on: nobody has anything to do, or somebody is busy for ever, or raised what nobody expects."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """`time()` is in seconds since the beginning of the world."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._runnable: list[Actor] = []
        self.outside = Actor("world")
        self._instant_callbacks = 0
        self.failures: list[str] = []
        self.set_exception_handler(self._note_failure)

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "handle" in context:  # a callback raised; what a task raises is for whoever waits for it
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def time(self) -> float:
        """The time of the world."""
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override] # typeshed has type variables for the arguments
        """Put a callback at the end of what its actor has to do."""
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._put(handle, context)
        return handle

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Do it at this time."""
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(  # type: ignore[override] # as above
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Do it after so many seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: it is passed over when its time comes."""

    def start(self, actor: Actor, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a task of an actor."""
        task = actor.context.run(asyncio.Task, work, loop=self)
        actor.tasks.append(task)
        task.add_done_callback(self._look_at, context=self.outside.context)
        return task

    def _look_at(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.failures.append(f"{task.get_coro()}: {task.exception()!r}")

    def pause(self, actor: Actor) -> None:
        """Stop a process where it is."""
        actor.paused = True
        if actor in self._runnable:
            self._runnable.remove(actor)

    def resume(self, actor: Actor) -> None:
        """Let it go on, as if nothing had been."""
        actor.paused = False
        if actor.queue and not actor.dead and actor not in self._runnable:
            self._runnable.append(actor)

    def kill(self, actor: Actor) -> None:
        """End a process at once."""
        self.pause(actor)
        actor.dead = True
        actor.queue.clear()

    def _put(self, handle: asyncio.Handle, context: Context) -> None:
        actor = context.get(ACTOR) or self.outside
        if actor.dead:
            return
        if not actor.queue and not actor.paused:
            self._runnable.append(actor)
        actor.queue.append(handle)

    def _run_once(self) -> None:
        if self.failures:
            raise StuckError(self.failures[0])
        timers = self._timers
        if not self._runnable:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise StuckError(f"nothing happens any more after {self._now:.3f} s")
            self._now = max(self._now, timers[0][0])
            self._instant_callbacks = 0
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            if not handle.cancelled():
                self._put(handle, handle._context)  # type: ignore[attr-defined] # typeshed leaves out what is private
        if not self._runnable:
            return
        actor = self._runnable[0] if len(self._runnable) == 1 else self._chance.choice(self._runnable)
        for _ in range(self._chance.randint(1, TURN_CALLBACKS_MAX)):
            following = actor.queue.popleft()
            if not actor.queue:
                self._runnable.remove(actor)
            self._instant_callbacks += 1
            if self._instant_callbacks > INSTANT_CALLBACKS_MAX:
                raise StuckError(f"{actor.name} goes round in circles at {self._now:.3f} s: {following!r}")
            if not following.cancelled():
                following._run()
            if not actor.queue or actor.paused or actor.dead or self._stopping:  # type: ignore[attr-defined] # as above
                return
