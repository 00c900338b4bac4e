"""Requests leave in handfuls, and lanes decide one after the other: none holds up the loop, and none loses a place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from connectors.outcome import Push
from streams.policies.breaking import PLACES_FIRST
from streams.stages.deliver import ENTRIES_AT_ONCE
from tests.simulation.deliver_world import TOPICS, DeliverWorld

USERS = PLACES_FIRST  # as many as leave at once before the first answer
assert USERS > ENTRIES_AT_ONCE


async def asked(world: DeliverWorld, then: Callable[[], None] = lambda: None) -> int:
    """Claim for all users; when the first of them is asked do `then`, and return how many were when all had their turn
    once. Nobody answers."""
    world.in_flight_max = USERS
    first = asyncio.Event()

    def before(push: Push) -> None:
        world.connector.answers.append(asyncio.get_running_loop().create_future())
        if not first.is_set():
            then()
        first.set()

    world.connector.before = before
    for number in range(USERS):
        world.devices(f"u{number}")
        world.delivery(f"n{number}", user=f"u{number}")
    world.start()
    async with asyncio.timeout(20):
        await first.wait()
    return len(world.connector.asked)


def test_others_have_their_turn_while_requests_leave(tmp_path: Path) -> None:
    """Whoever waits for the first request to leave has a turn before most have; all of them do leave."""

    async def run() -> None:
        world = DeliverWorld(tmp_path)
        assert await asked(world) == ENTRIES_AT_ONCE
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(world.connector.asked) == USERS
        await world.crash()

    asyncio.run(run())


def test_a_lane_that_ends_meanwhile_gives_back_all_places(tmp_path: Path) -> None:
    """Those that had left and those that had not: none of them holds a place any more, and none leaves after it."""

    async def run() -> None:
        world = DeliverWorld(tmp_path)
        taken: list[int] = []

        def end() -> None:
            taken.extend(service.under_way for service in world.services.all())
            world.task.cancel()

        left = await asked(world, end)
        await world.crash()
        assert taken == [USERS]
        assert [service.under_way for service in world.services.all()] == [0]
        await asyncio.sleep(0.05)
        assert len(world.connector.asked) == left == ENTRIES_AT_ONCE
        assert world.log.committed.get((TOPICS.outbox, 0), 0) == 0

    asyncio.run(run())


def test_who_waits_to_decide_keeps_nobody_from_a_step(tmp_path: Path) -> None:
    """While another lane decides nothing is claimed here, and the gate that all stages share is free."""

    async def run() -> None:
        world = DeliverWorld(tmp_path)
        world.start()
        async with world.lane.settings.deciding:
            world.devices("u")
            world.delivery("n")
            await asyncio.sleep(0.1)
            assert world.read(TOPICS.statuses) == []
            assert not world.lane.context.gate.locked()
        await world.until_state("n", "ACCEPTED")
        await world.crash()

    asyncio.run(run())
