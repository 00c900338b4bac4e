"""A user is erased while others have pushes under way: rows go in the commit that passes what they guard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.outcome import NotSent, Outcome
from streams.stages.delivery_rows import STATE_PREFIX, devices_key
from tests.simulation.deliver_world import TOPICS
from tests.simulation.erasure_world import ErasureWorld


def rows_of(world: ErasureWorld, slot: bytes) -> list[bytes]:
    """The rows of notifications of a slot."""
    return [key for key in world.rows("deliveries") if key[:1] == STATE_PREFIX and slot in key]


@pytest.mark.parametrize("topic", [TOPICS.outbox, TOPICS.outbox_bulk])
def test_a_record_that_may_be_read_once_more_keeps_its_row(tmp_path: Path, topic: str) -> None:
    """What is before the user's record in the topic has no outcome: the offset stays there, and so does the row.

    outbox   bob ?......................|bob *
             ann *  forget ann ..........|gone        a crash in between reads ann's once more: it is known, and done
    """

    async def played() -> None:
        world = ErasureWorld(tmp_path)
        for user in ("ann", "bob"):
            world.devices(user)
        world.start()
        await world.until(lambda: len(world.rows("directory")) == 2)
        never: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        world.connector.answers.append(never)
        world.delivery("of bob", "bob", topic=topic)
        world._offer(topic, world.lane.positions()[topic])
        await world.until(lambda: world.connector.asked)
        world.delivery("of ann", "ann", topic=topic)
        world._offer(topic, world.lane.positions()[topic])
        await world.until_state("of ann", "ACCEPTED")
        world.forget("ann")
        world._offer(TOPICS.device_changes, world.lane.positions()[TOPICS.device_changes])
        world.devices("cid")  # something else to do: a step is taken, and nothing is erased
        world._offer(TOPICS.devices, world.lane.positions()[TOPICS.devices])
        await world.until(lambda: devices_key(b"cid") in world.rows("directory"))
        assert rows_of(world, b"ann:t")
        assert devices_key(b"ann") in world.rows("directory")
        await world.crash()
        world.start()  # bob's claim has lost its owner, and ends; ann's is read once more
        await world.until(lambda: not rows_of(world, b"ann:t"))
        assert devices_key(b"ann") not in world.rows("directory")
        assert world.states("of ann").count("ACCEPTED") == 1
        assert "NO_DEVICE" not in world.states("of ann")
        assert [push.notification_id for push in world.connector.asked] == ["of bob", "of ann"]
        await world.crash()

    asyncio.run(played())


def test_who_comes_back_before_a_retry_is_not_told_what_was_meant_for_before(tmp_path: Path) -> None:
    """Registered anew with the same device, while what waited for its next attempt is still on its way to deliver.

    ann   refused, waits   forget ann   registered   the retry: sent to nobody
    """

    async def played() -> None:
        world = ErasureWorld(tmp_path)
        world.start()
        world.devices("ann")
        await world.settle()
        world.connector.answers.append(NotSent("TooManyRequests", retry=True, retry_after_seconds=60))
        world.event("old", "ann")
        await world.settle()
        assert world.states("old")[-1] == "RETRYING"
        world.forget("ann")
        world._offer(TOPICS.device_changes, world.lane.positions()[TOPICS.device_changes])
        await world.until(lambda: devices_key(b"ann") not in world.rows("directory"))
        await world.settle_but(TOPICS.outbox)
        world.devices("ann")
        world._offer(TOPICS.devices, world.lane.positions()[TOPICS.devices])
        await world.until(lambda: devices_key(b"ann") in world.rows("directory"))
        await world.settle()
        assert world.states("old")[-1] == "NO_DEVICE"
        assert [push.notification_id for push in world.connector.asked] == ["old"]
        await world.crash()
        assert world.violations() == []

    asyncio.run(played())


def test_what_deliver_has_just_given_back_is_found_by_schedule(tmp_path: Path) -> None:
    """Held back for quiet hours, it is on its way through suppress when the user is erased; schedule is quick.

    deliver   held back, forget ann
    verdicts  Deferral   Forget           in this order they come to schedule
    """

    async def played() -> None:
        world = ErasureWorld(tmp_path)
        world.start()
        world.at("2026-11-22T12:00")
        world.devices("ann")
        world.preferences("ann", quiet_hours=[{"start_minute": 11 * 60, "end_minute": 13 * 60}])
        await world.settle()
        world.event("held", "ann")
        while world.stages[0].has_work():
            world.stages[0].step()
        world._offer(TOPICS.outbox, world.lane.positions()[TOPICS.outbox])
        await world.until_state("held", "DEFERRED")
        request_id = world.forget("ann")
        world._offer(TOPICS.device_changes, world.lane.positions()[TOPICS.device_changes])
        for _ in range(5):  # its rounds
            await world.until_committed(TOPICS.device_changes)
            world._offer(TOPICS.device_changes, world.lane.positions()[TOPICS.device_changes])
        while world.stages[1].has_work():
            world.stages[1].step()
        await world.settle()
        assert world.states("held")[-1] == "CANCELLED"
        assert world.removed(request_id)["pending"] == 1
        assert world.left_of("ann")["scheduled"] == 0
        await world.crash()
        assert world.violations() == []

    asyncio.run(played())
