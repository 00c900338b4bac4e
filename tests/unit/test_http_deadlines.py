"""Deadlines of many requests with one timer: each strikes in its time, and none that is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from connectors.http.deadlines import Deadlines

RUNS = (asyncio.run, uvloop.run)


@pytest.mark.parametrize("run", RUNS, ids=["asyncio", "uvloop"])
def test_each_strikes_in_its_time(run: Callable[..., object]) -> None:
    """In the order of their times, whatever the order in which they came; what is over does not strike."""

    async def strikes() -> None:
        struck: list[tuple[str, float]] = []
        loop = asyncio.get_running_loop()
        deadlines = Deadlines[str](lambda name: struck.append((name, loop.time() - started_at)))
        started_at = loop.time()
        for name, seconds in (("late", 0.12), ("over", 0.03), ("early", 0.04), ("middle", 0.08)):
            deadlines.add(name, seconds, loop)
        deadlines.discard("over")
        deadlines.discard("never there")
        await asyncio.sleep(0.3)
        assert [name for name, _ in struck] == ["early", "middle", "late"]
        assert all(at >= due - 0.005 for (_, at), due in zip(struck, (0.04, 0.08, 0.12), strict=True))

    run(strikes())


@pytest.mark.parametrize("run", RUNS, ids=["asyncio", "uvloop"])
def test_one_that_strikes_may_add_another(run: Callable[..., object]) -> None:
    """A request that is asked again has its new deadline, also where it is nearer than all others."""

    async def strikes() -> None:
        struck: list[str] = []
        loop = asyncio.get_running_loop()

        def strike(name: str) -> None:
            struck.append(name)
            if name == "first":
                deadlines.add("again", 0.02, loop)

        deadlines = Deadlines[str](strike)
        deadlines.add("last", 0.2, loop)
        deadlines.add("first", 0.02, loop)
        await asyncio.sleep(0.1)
        assert struck == ["first", "again"]
        deadlines.close()
        await asyncio.sleep(0.2)
        assert struck == ["first", "again"], "closed, none strikes any more"

    run(strikes())


def test_there_is_one_timer() -> None:
    """Ten thousand requests with the same limit set one timer, and requests that end do not touch it."""

    async def timers() -> None:
        loop = asyncio.get_running_loop()
        set_at: list[float] = []
        call_at = loop.call_at

        def counted(when: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
            set_at.append(when)
            return call_at(when, callback, *args)

        loop.call_at = counted  # type: ignore[method-assign, assignment]  # to count them
        deadlines = Deadlines[int](lambda number: None)
        for number in range(10_000):
            deadlines.add(number, 60.0, loop)
            deadlines.discard(number)
        assert len(set_at) == 1
        deadlines.close()

    asyncio.run(timers())
