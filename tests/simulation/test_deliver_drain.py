"""A lane that drains waits for its requests, and for nothing that it will not do any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from connectors.outcome import Accepted, Outcome
from tests.simulation.deliver_world import DeliverWorld

TURNS = 200


def test_draining_does_not_go_round_in_circles(tmp_path: Path) -> None:
    """One request is under way and more has arrived: no step is taken until the answer is there."""

    async def played() -> None:
        world = DeliverWorld(tmp_path)
        world.devices("u")
        world.start()
        try:
            await world.until(lambda: world.rows("directory"))
            answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            world.connector.answers.append(answer)
            world.delivery("a")
            await world.until(lambda: world.connector.asked)
            await world.lane.drain()
            world.delivery("b")
            steps, step = 0, world.lane._step

            async def counted() -> object:
                nonlocal steps
                steps += 1
                return await step()

            world.lane._step = counted  # type: ignore[assignment,method-assign] # to see how often it is called
            for _ in range(TURNS):
                await asyncio.sleep(0)
            assert steps < 5
            answer.set_result(Accepted(200))
            await asyncio.wait_for(world.task, 20)
            assert world.states("a")[-1] == "ACCEPTED"
        finally:
            await world.crash()

    asyncio.run(played())
