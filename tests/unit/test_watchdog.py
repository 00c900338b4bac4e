"""What hangs is seen: a thing that waits and does not move, and an event loop that does not turn."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import cast

import pytest

from streams.lane.app import LaneApp
from streams.lane.watchdog import LaneWatch, LoopGuard, NoProgressError, Progress

WAIT_SECONDS_MAX = 30.0


def test_a_thing_that_waits_and_does_not_move_hangs() -> None:
    """Ten seconds are allowed: at the tenth it may still move, after it not."""
    progress = Progress(10.0)
    for now in (0.0, 5.0, 10.0):
        progress.note("lane", 7, True, now)
    with pytest.raises(NoProgressError, match="lane: no progress in 11 s"):
        progress.note("lane", 7, True, 11.0)


def test_a_thing_that_moves_or_has_nothing_to_do_does_not_hang() -> None:
    """Each change of the mark, and each look at which nothing waits, begins the time anew."""
    progress = Progress(10.0)
    progress.note("lane", 7, True, 0.0)
    progress.note("lane", 8, True, 9.0)
    progress.note("lane", 8, False, 18.0)
    progress.note("lane", 8, True, 27.0)
    progress.forget({"lane"})
    progress.note("lane", 8, True, 100.0)


def test_an_event_loop_that_does_not_turn_is_seen() -> None:
    """A callback that blocks the loop: the guard acts, and the block ends because of it."""
    acted = threading.Event()

    async def block() -> bool:
        LoopGuard(acted.set, tick_seconds=0.01, ticks_max=3).start(asyncio.get_running_loop())
        return acted.wait(WAIT_SECONDS_MAX)

    assert asyncio.run(block())


def test_an_event_loop_that_is_to_end_and_does_not_is_seen() -> None:
    """A task that swallows its cancellation keeps the loop turning after its work: the guard acts, and lets it go."""
    acted, over = threading.Event(), threading.Event()

    async def keep() -> None:
        while not acted.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)
        over.set()

    async def work() -> None:
        guard = LoopGuard(acted.set, tick_seconds=0.01, ticks_max=100)
        guard.start(asyncio.get_running_loop())
        kept.append(asyncio.create_task(keep()))
        await asyncio.sleep(0.01)
        guard.closing()

    kept: list[asyncio.Task[None]] = []
    asyncio.run(work())
    assert acted.is_set()
    assert over.is_set()


def test_an_event_loop_that_turns_is_left_alone() -> None:
    """The loop turns more often than the guard looks; a guard that was ended looks no more."""
    acted = threading.Event()

    async def turn() -> None:
        # So many misses are allowed that a busy machine is no hang.
        guard = LoopGuard(acted.set, tick_seconds=0.01, ticks_max=1_000)
        guard.start(asyncio.get_running_loop())
        for _ in range(50):
            await asyncio.sleep(0.001)
        guard.end()

    asyncio.run(turn())
    assert not acted.is_set()


def test_a_request_that_its_client_cancels_is_no_answer_and_no_end_of_the_watch() -> None:
    """The client cancels what is under way when its connection breaks: the watch goes on."""

    class Consumer:
        async def highwaters(self, *_: object) -> dict[object, int]:
            raise asyncio.CancelledError

    class Lane:
        partition = 0

        def positions(self) -> dict[str, int]:
            return {"t": 1}

    class Lanes:
        def __init__(self) -> None:
            self.opened = asyncio.Event()
            self.opened.set()

        def all(self) -> list[Lane]:
            return [Lane()]

    class App:
        def __init__(self) -> None:
            self.lanes = Lanes()
            self.consumer = Consumer()

    async def ask() -> object:
        return await LaneWatch(cast(LaneApp, App()))._ends()

    assert asyncio.run(ask()) is None
