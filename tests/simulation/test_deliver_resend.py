"""What may have arrived stays so, whatever becomes of the attempt after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from connectors.outcome import Unknown
from tests.simulation.deliver_world import GRACE_MS, NOW, SEND_WITHIN_MS, TOPICS, DeliverWorld


def test_a_second_attempt_that_comes_too_late_takes_nothing_back(tmp_path: Path) -> None:
    """A type that resends what is unknown; the time is over before the second attempt is claimed.

    0          send_by
    |--?       |--too late                   the window runs from the unknown one, and its grace
    attempt 1  attempt 2
    """

    async def played() -> None:
        world = DeliverWorld(tmp_path)
        world.devices("u")
        world.start()
        try:
            await world.until(lambda: world.rows("directory"))
            usual = world.policy("t")
            assert usual is not None
            world.policies["t"] = usual._replace(resend_unknown=True)
            world.connector.answers.append(Unknown("timeout"))
            world.delivery("a")
            await world.until_state("a", "RETRYING")
            await world.crash()
            world.now = NOW + SEND_WITHIN_MS
            world.start()
            world.delivery("a", attempt=2, devices=["phone"], admitted_at=NOW, send_by=NOW + SEND_WITHIN_MS)
            await world.until(world.verdicts)
            assert world.verdicts() == [("a", "UNKNOWN", GRACE_MS)]
            assert world.states("a")[-1] == "UNKNOWN"
            assert len(world.read(TOPICS.dead_letters)) == 0
        finally:
            await world.crash()

    asyncio.run(played())
