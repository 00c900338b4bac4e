"""The watchdog: Faust's recovery and consumers have been seen to hang (upstream #651, #176, #175, #640).

`LaneWatch` looks from inside the event loop: a lane that has something to do and commits nothing, partitions that are
not opened, a consumer that does not answer. `LoopGuard` looks from a thread of its own: an event loop that does not
turn, or that is to end and does not. Both end in the same way: the worker starts anew, because everything that counts
is in Kafka.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from aiokafka.errors import KafkaError
from faust.types import TP

if TYPE_CHECKING:
    from .app import LaneApp
    from .consumer import LaneConsumer

LOOK_SECONDS = 5.0
ANSWER_SECONDS_MAX = 10.0
# Longer than a rebalance with its session time-outs, and than the silence that the replay itself gives up after.
STALL_SECONDS_MAX = 90.0
GUARD_TICKS_MAX = 12  # of LOOK_SECONDS each; counted, not timed, so that a process that was paused is not stuck


class NoProgressError(Exception):
    """Something is to be done, and nothing happens."""


class Progress:
    """Notes since when each thing that is watched has not moved. Time is an argument, in seconds."""

    def __init__(self, stall_seconds_max: float) -> None:
        self._stall_seconds_max = stall_seconds_max
        self._marks: dict[str, tuple[object, float]] = {}

    def note(self, name: str, mark: object, waiting: bool, now: float) -> None:
        """Note where a thing stands. Raises NoProgressError when it waited for too long and `mark` never changed."""
        known = self._marks.get(name)
        if not waiting or known is None or known[0] != mark:
            self._marks[name] = (mark, now)
        elif now - known[1] > self._stall_seconds_max:
            raise NoProgressError(f"{name}: no progress in {now - known[1]:.0f} s")

    def forget(self, names: set[str]) -> None:
        """Watch these no longer."""
        for name in names:
            self._marks.pop(name, None)

    @property
    def watched(self) -> set[str]:
        """What is watched."""
        return set(self._marks)


class LaneWatch:
    """Looks at the lanes of one app."""

    def __init__(self, app: LaneApp, stall_seconds_max: float = STALL_SECONDS_MAX) -> None:
        self._app = app
        self._progress = Progress(stall_seconds_max)

    async def run(self) -> None:
        """Look until cancelled; when something hangs, end the app."""
        last_look = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if now - last_look > 2 * LOOK_SECONDS:  # the process was paused: nothing could move
                self._progress.forget(self._progress.watched)
            last_look = now
            try:
                ends = await self._ends()
                self._app.lanes.ends = ends or self._app.lanes.ends
                self._look(ends, now)
            except NoProgressError as error:
                await self._app.fail(error)
                return

    async def _ends(self) -> Mapping[TP, int] | None:
        """Return the ends of the source partitions, None: the consumer did not answer."""
        app = self._app
        if not app.lanes.opened.is_set():
            return {}
        sources = [TP(topic, lane.partition) for lane in app.lanes.all() for topic in lane.positions()]
        if not sources:
            return {}
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await cast("LaneConsumer", app.consumer).highwaters(*sources)
        except (TimeoutError, KafkaError, RuntimeError):
            return None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None  # it was the client's own request that was cancelled, in its thread

    def _look(self, ends: Mapping[TP, int] | None, now: float) -> None:
        lanes, progress = self._app.lanes, self._progress
        replay = self._app.replay
        replayed = 0 if replay is None else replay.replayed
        progress.note("opening the partitions", replayed, not lanes.opened.is_set(), now)
        progress.note("consumer", None, ends is None, now)
        watched = {"opening the partitions", "consumer"}
        for lane in lanes.all():
            name = f"{lane.context.stage}-{lane.partition}"
            positions = lane.positions()
            known = ends or {}
            behind = lane.queued_records > 0 or any(
                known.get(TP(topic, lane.partition), 0) > position for topic, position in positions.items()
            )
            # One that has written too many dead letters waits on purpose.
            waiting = behind and not lane.letters.is_paused
            progress.note(name, (lane.commits, tuple(positions.values())), waiting, now)
            watched.add(name)
        progress.forget(progress.watched - watched)


class LoopGuard:
    """Looks at one event loop from a thread. `act` is called there once the loop has not turned for too long, or has
    not ended that long after it was to."""

    def __init__(self, act: Callable[[], None], tick_seconds: float = LOOK_SECONDS, ticks_max: int = GUARD_TICKS_MAX):
        self._act = act
        self._tick_seconds = tick_seconds
        self._ticks_max = ticks_max
        self._turned = threading.Event()
        self._closing = threading.Event()
        self._ended = threading.Event()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, args=(loop,), name="loop-guard", daemon=True).start()

    def closing(self) -> None:
        """From now on the loop is to end, and that it turns counts no more: it waits for tasks, and one of a library
        that takes its cancellation for another's would keep it for ever."""
        self._closing.set()

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        missed = 0
        while not self._ended.wait(self._tick_seconds):
            missed = 0 if self._turned.is_set() and not self._closing.is_set() else missed + 1
            self._turned.clear()
            if missed > self._ticks_max:
                self._act()
                return
            try:
                loop.call_soon_threadsafe(self._turned.set)
            except RuntimeError:
                continue  # the loop is closed, and yet the process goes on: that is a hang as well


__all__ = ["LaneWatch", "LoopGuard", "NoProgressError", "Progress"]
