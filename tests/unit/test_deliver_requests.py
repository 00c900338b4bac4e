"""Requests of one lane: so many at a time, the next one the moment one ends, and none any more once it drains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Push, Unknown
from streams.stages.deliver_entry import Entry
from streams.stages.deliver_requests import Attempt, Requests, _Asked
from streams.stages.deliver_services import Service, ServiceRule
from tests.in_memory import alive, nothing_collected

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


def outcomes(requests: Requests) -> list[Outcome]:
    """What those were told that have ended, in their order."""
    return [finished.outcome for finished in requests.finished]


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
        assert outcomes(requests) == [NotSent("deadline_passed", retry=False)] * 3 + [Accepted(200)]

    asyncio.run(run())


class Begun:
    """A push that a `Beginning` connector has under way."""

    def __init__(self, told: Callable[[Outcome], None]) -> None:
        self.told = told
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Beginning(Gate):
    """One that begins pushes; what `answer` says of each is what it answers at once."""

    def __init__(self, answer: Callable[[str], Outcome | None]) -> None:
        super().__init__()
        self.begun: list[Begun] = []
        self._answer = answer

    def begin(
        self, push: Push, may_start: Callable[[], bool], told: Callable[[Outcome], None]
    ) -> Outcome | Begun | None:
        outcome = self._answer(push.push_id)
        if outcome is not None:
            return outcome
        self.asked.append(push.push_id)
        self.begun.append(Begun(told))
        return self.begun[-1]


def test_what_is_begun_makes_room_when_it_is_told_of() -> None:
    """No task is made; the next one is begun in the same turn, and who listens is woken."""

    async def run() -> None:
        connector, woken = Beginning(lambda _: None), asyncio.Event()
        requests = Requests({ProviderName.APNS: connector}, 1, lambda: 7, woken.set)
        tasks = len(asyncio.all_tasks())
        requests.start([attempt(0), attempt(1)])
        assert (connector.asked, requests.under_way, requests.of(SERVICE)) == (["p0"], 2, 2)
        connector.begun[0].told(Accepted(200))
        assert (connector.asked, requests.under_way, woken.is_set()) == (["p0", "p1"], 1, True)
        connector.begun[1].told(Unknown("timeout"))
        assert (requests.under_way, requests.of(SERVICE), len(asyncio.all_tasks())) == (0, 0, tasks)
        assert outcomes(requests) == [Accepted(200), Unknown("timeout")]

    asyncio.run(run())


def test_thousands_that_end_at_once_end_one_after_the_other() -> None:
    """Behind the one under way wait more than the stack is deep; all end in their order when it does."""

    async def run() -> None:
        refused = NotSent("payload_too_large", retry=False)
        connector = Beginning(lambda push_id: None if push_id == "p0" else refused)
        requests = Requests({ProviderName.APNS: connector}, 1, lambda: 7, lambda: None)
        requests.start([attempt(number) for number in range(5_000)])
        assert requests.under_way == 5_000
        connector.begun[0].told(Accepted(200))
        assert requests.under_way == 0
        assert outcomes(requests) == [Accepted(200)] + [refused] * 4_999

    asyncio.run(run())


def test_given_up_is_given_up_once() -> None:
    """Places come back once, requests are cancelled, and what is told afterwards is no outcome."""

    async def run() -> None:
        connector, service = Beginning(lambda _: None), Service("apns", ServiceRule(), 7)
        requests = Requests({ProviderName.APNS: connector}, 2, lambda: 7, lambda: None)
        service.take(3, 7)
        requests.start([attempt(number)._replace(service=service) for number in range(3)])
        requests.cancel()
        assert (requests.under_way, service.under_way) == (0, 0)
        assert [one.is_cancelled for one in connector.begun] == [True, True]
        connector.begun[0].told(Accepted(200))
        assert (outcomes(requests), service.under_way) == ([], 0)

    asyncio.run(run())


def test_one_that_begins_wrongly_is_unknown() -> None:
    """A connector that raises is taken at its worst; the next one goes on."""

    async def run() -> None:
        def answer(push_id: str) -> Outcome:
            if push_id == "p0":
                raise ValueError("what")
            return Accepted(200)

        requests = Requests({ProviderName.APNS: Beginning(answer)}, 2, lambda: 7, lambda: None)
        requests.start([attempt(0), attempt(1)])
        assert outcomes(requests) == [Unknown("connector_failed: ValueError"), Accepted(200)]

    asyncio.run(run())


def test_draining_ends_those_that_wait_though_each_ends_at_once() -> None:
    """The services that have nothing any more are forgotten meanwhile."""

    async def run() -> None:
        refused = NotSent("deadline_passed", retry=False)
        connector = Beginning(lambda push_id: None if push_id == "p0" else refused)
        requests = Requests({ProviderName.APNS: connector}, 1, lambda: 7, lambda: None)
        requests.start([attempt(number) for number in range(4)])
        other = Service("other", ServiceRule(), 7)
        requests.start([attempt(number)._replace(service=other) for number in (0, 5)])
        requests.drain()
        assert (requests.under_way, outcomes(requests)) == (2, [refused] * 4)

    asyncio.run(run())


def test_what_has_ended_is_gone() -> None:
    """By its reference count: nothing of a request is left for the garbage collector to find."""

    async def run() -> None:
        earlier = alive(_Asked)
        connector = Beginning(lambda _: None)
        requests = Requests({ProviderName.APNS: connector}, 9, lambda: 7, lambda: None)
        requests.start([attempt(number) for number in range(9)])
        assert len(alive(_Asked)) == len(earlier) + 9
        while connector.begun:
            connector.begun.pop().told(Accepted(200))
        assert alive(_Asked) == earlier

    with nothing_collected():
        asyncio.run(run())
