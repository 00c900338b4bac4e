"""Requests of one lane: so many at a time, the next one the moment one ends, and none any more once it drains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Push
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_requests import Attempt, Requests
from streams.stages.deliver_services import Service, ServiceRule

DEVICE = Device("d", ProviderName.APNS, "a")
SERVICE = Service("apns", ServiceRule(), 7)
NO_ENTRY = cast(Entry, SimpleNamespace(hop=None))  # it is only handed back


class Gate:
    """A connector that asks whether it may start at once, and answers when it is told to."""

    name = ProviderName.APNS

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[asyncio.Future[Outcome]] = []

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        if not may_start():
            return NotSent("deadline_passed", retry=False)
        self.asked.append(push.push_id)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


def attempt(number: int) -> Attempt:
    push = Push(f"p{number}", "n", "t", DEVICE, "", "", {}, 60, "c")
    return Attempt(NO_ENTRY, DEVICE, push, time.monotonic() + 3600, SERVICE)


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_next_one_leaves_when_one_ends() -> None:
    """Of five with room for two, two are asked; each answer lets one more leave, before anything else happens."""

    async def run() -> None:
        gate, woken = Gate(), asyncio.Event()
        requests = Requests({ProviderName.APNS: gate}, 2, lambda: 7, woken.set)
        for number in range(5):
            requests.start([attempt(number)])
        await turn()
        assert (gate.asked, requests.under_way, woken.is_set()) == (["p0", "p1"], 5, False)
        gate.answers[1].set_result(Accepted(200))
        await turn()
        assert gate.asked == ["p0", "p1", "p2"]
        assert (requests.under_way, len(requests.finished), woken.is_set()) == (4, 1, True)
        requests.cancel()
        await turn()
        assert requests.under_way == 0

    asyncio.run(run())


def test_draining_lets_none_leave_any_more() -> None:
    """Those that wait end at once, as certainly not sent; the one under way ends with its answer."""

    async def run() -> None:
        gate = Gate()
        requests = Requests({ProviderName.APNS: gate}, 1, lambda: 7, lambda: None)
        for number in range(4):
            requests.start([attempt(number)])
        await turn()
        requests.drain()
        await turn()
        assert requests.under_way == 1
        gate.answers[0].set_result(Accepted(200))
        await turn()
        assert gate.asked == ["p0"]
        outcomes = [finished.outcome for finished in requests.finished]
        assert outcomes == [NotSent("deadline_passed", retry=False)] * 3 + [Accepted(200)]

    asyncio.run(run())
