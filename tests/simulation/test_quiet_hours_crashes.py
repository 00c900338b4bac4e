"""Users who sleep, move, change their minds and opt out, over owners that crash anywhere; judged by the auditor."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import Accepted, NotSent, Outcome, Push, Unknown
from schemas.records import FINAL_STATES
from tests.simulation.deliver_world import TOPICS
from tests.simulation.quiet_world import DAY_MS, HOUR_MS, MINUTE_MS, QuietWorld
from tests.simulation.stage_partition import Crash

USERS = ("ann", "bob", "cid", "dee")
TYPES = ("t", "o")
ACTIONS = 60
SEEDS = range(12)
CRASHES: tuple[Crash, ...] = ("none", "none", "none", "none", "before the commit", "after the commit")


class Life:
    """What happens, by one seed. Everybody lives by UTC, so that whether it is quiet can be told without the code."""

    def __init__(self, world: QuietWorld, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.asleep: dict[str, tuple[int, int]] = {}
        self.opted_out: set[str] = set()
        self.disturbed: list[str] = []
        self.made = 0
        world.crash_of = lambda: self.chance.choice(CRASHES)
        world.connector.before = self._before
        world.at("2026-11-22T18:00")

    def _before(self, push: Push) -> None:
        answers: list[Outcome] = [
            Accepted(200),
            Accepted(200),
            NotSent("TooManyRequests", retry=True, retry_after_seconds=self.chance.randrange(120)),
            NotSent("BadTopic", retry=False),
            Unknown("timeout"),
        ]
        self.world.connector.answers.append(self.chance.choice(answers))
        self.world._arrived(push)
        user = push.device.address.rpartition(" ")[2]
        clock = datetime.fromtimestamp(self.world.now // 1000, UTC)
        minute = clock.hour * 60 + clock.minute
        start, end = self.asleep.get(user, (0, 0))
        if (start <= minute < end) if start <= end else (minute >= start or minute < end):
            self.disturbed.append(f"{push.notification_id} rang at {clock} while {user} slept {start}-{end}")
        if user in self.opted_out:
            self.disturbed.append(f"{push.notification_id} was sent to {user}, who wants nothing")

    async def act(self) -> None:
        """One thing happens."""
        world, chance = self.world, self.chance
        user = chance.choice(USERS)
        what = chance.choices(("event", "wishes", "time", "crash"), (6, 1, 3, 1))[0]
        if what == "event":
            self._event(user)
        elif what == "wishes":
            self._wishes(user)
            await world.settle()  # what a user has said counts from when it has arrived
        elif what == "crash":
            await world.crash()
            world.start()
        else:
            await world.pass_time(chance.choice((MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS)), 20 * MINUTE_MS)
        if chance.random() < 0.7:
            await world.settle()

    def _event(self, user: str) -> None:
        chance, world = self.chance, self.world
        fields: dict[str, Any] = {}
        if chance.random() < 0.4:
            at = datetime.fromtimestamp((world.now + chance.randrange(-HOUR_MS, DAY_MS)) // 1000, UTC)
            fields["send_at_local"] = at.strftime("%Y-%m-%dT%H:%M")
            fields["time_zone"] = chance.choice((None, None, "UTC", "Asia/Tokyo"))
        elif chance.random() < 0.2:
            fields["send_at"] = world.now + chance.randrange(DAY_MS)
        if chance.random() < 0.3:
            fields["expires_at"] = world.now + chance.randrange(DAY_MS)
        if chance.random() < 0.85:
            self.made += 1
        world.event(f"n{self.made}", user, chance.choice(TYPES), **fields)

    def _wishes(self, user: str) -> None:
        chance, world = self.chance, self.world
        self.asleep.pop(user, None)
        self.opted_out.discard(user)
        what = chance.choices(("erased", "asleep", "nothing"), (1, 4, 1))[0]
        if what == "erased":
            world.append(TOPICS.preferences, user.encode(), None)
        elif what == "asleep":
            start, end = chance.sample(range(0, 1440, 30), 2)
            self.asleep[user] = (start, end)
            world.preferences(user, quiet_hours=[{"start_minute": start, "end_minute": end}])
        else:
            self.opted_out.add(user)
            world.preferences(user, opted_out=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_disturbed_and_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    """No push in quiet hours or against an opt-out, one for each window, and exactly one end for each event."""

    async def played() -> tuple[QuietWorld, Life]:
        world = QuietWorld(tmp_path)
        world.start()
        life = Life(world, seed)
        for user in USERS:
            world.devices(user)
        await world.settle()
        for _ in range(ACTIONS):
            await life.act()
        await world.settle()
        await world.pass_time(3 * DAY_MS, HOUR_MS // 2)
        await world.crash()
        return world, life

    world, life = asyncio.run(played())
    assert life.disturbed == []
    assert world.violations() == []
    states = Counter(status["state"] for status in world.read(TOPICS.statuses))
    assert sum(states[state] for state in FINAL_STATES) == world.log.end(TOPICS.notifications, 0)
    assert states["DEFERRED"] and states["ACCEPTED"]
