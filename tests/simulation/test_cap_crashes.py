"""Users with a cap over all types, and owners that crash at any commit of any stage; judged by the auditor, and by
counting every window."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from connectors.outcome import Accepted, NotSent, Outcome, Push, Unknown
from schemas.records import FINAL_STATES
from streams.lane.transaction import StepFailedError
from streams.policies.capping import Cap, CapRules
from tests.simulation.deliver_world import TOPICS, phone
from tests.simulation.quiet_world import DAY_MS, HOUR_MS, MINUTE_MS, QuietWorld
from tests.simulation.stage_partition import Crash

USERS = ("ann", "bob")
RULES = {
    "news": CapRules(),
    "offer": CapRules(),
    "digest": CapRules(defers=True),
    "code": CapRules(ignores=True),
    "hint": CapRules(counts=False),
    "again": CapRules(),  # and sent again where nobody knows
}
CAPS = (Cap(2, 2 * HOUR_MS), Cap(4, 9 * HOUR_MS))
ACTIONS = 60
SEEDS = range(10)
CRASHES: tuple[Crash, ...] = ("none",) * 8 + ("before the commit", "after the commit")
ENDS = frozenset(FINAL_STATES)


class CappedWorld(QuietWorld):
    """All stages with caps; `settle` goes on with a new owner where the one of deliver dies."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.caps = CAPS
        for kind, rules in RULES.items():
            usual = self.policy(kind)
            assert usual is not None
            self.policies[kind] = usual._replace(cap=rules, resend_unknown=kind == "again")

    async def settle(self) -> None:
        """Let all stages work until nothing is to be done before the clock moves on."""
        while True:
            try:
                return await super().settle()
            except StepFailedError:
                await self.crash()
                self.start()

    def windows_broken(self) -> list[str]:
        """The naive oracle: any window that is longer than `limit` of what heeds the cap and counts."""
        found: list[str] = []
        for user in USERS:
            sent = [(at, push) for at, push in self.pushes if push.device.address.endswith(f" {user}")]
            counted = [(at, push) for at, push in sent if RULES[push.type].counts and not RULES[push.type].ignores]
            for cap in self.caps:
                for start, _ in counted:
                    ids = {push.notification_id for at, push in counted if start <= at < start + cap.window_ms}
                    if len(ids) > cap.limit:
                        found.append(f"{user} got {sorted(ids)} within {cap}")
        return found


class Life:
    """What happens, by one seed."""

    def __init__(self, world: CappedWorld, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.made = 0
        world.crash_of = lambda: self.chance.choice(CRASHES)
        world.commit_crash = lambda: self.chance.choice(CRASHES)
        world.connector.before = self._before
        world.at("2026-11-22T18:00")

    def _before(self, push: Push) -> None:
        answers: list[Outcome] = [
            *[Accepted(200)] * 3,
            NotSent("TooManyRequests", retry=True, retry_after_seconds=self.chance.randrange(120)),
            NotSent("BadTopic", retry=False),
            Unknown("timeout"),
        ]
        self.world.connector.answers.append(self.chance.choice(answers))
        self.world._arrived(push)

    async def act(self) -> None:
        """One thing happens."""
        world, chance = self.world, self.chance
        if chance.random() < 0.6:
            for _ in range(chance.choice((1, 1, 2, 4))):
                self.made += chance.random() < 0.95
                world.event(f"n{self.made}", chance.choice(USERS), chance.choice(sorted(RULES)))
        elif chance.random() < 0.2:
            await world.crash()
            world.start()
        else:
            await world.pass_time(chance.choice((MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS)), 20 * MINUTE_MS)
        if chance.random() < 0.8:
            await world.settle()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_window_of_a_user_holds_more_and_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    """Over all types, whoever crashes when; and nobody is turned away while there is room."""

    async def played() -> CappedWorld:
        world = CappedWorld(tmp_path)
        world.start()
        life = Life(world, seed)
        for user in USERS:
            devices = [phone(user), phone(user, device_id="pad", address=f"the pad of {user}")]
            world.devices(user, *devices[: 1 + (seed + len(user)) % 2])
        await world.settle()
        for _ in range(ACTIONS):
            await life.act()
        await world.settle()
        world.crash_of = world.commit_crash = lambda: "none"
        await world.pass_time(3 * DAY_MS, HOUR_MS // 2)
        await world.crash()
        world.start()
        await world.until(lambda: world.rows("deliveries") == {})  # a day after the last one nothing is remembered
        await world.crash()
        return world

    world = asyncio.run(played())
    assert world.windows_broken() == []
    assert world.violations() == []
    statuses = world.read(TOPICS.statuses)
    assert sum(status["state"] in FINAL_STATES for status in statuses) == world.log.end(TOPICS.notifications, 0)
    assert any(status["state"] == "SUPPRESSED" and status["stage"] == "deliver" for status in statuses)


def crashes_at(number: int, crash: Crash) -> Iterator[Crash]:
    """One crash, at the commit of this number."""
    for commit in count():
        yield crash if commit == number else "none"


@pytest.mark.parametrize("crash", ["before the commit", "after the commit"])
@pytest.mark.parametrize("number", range(12))
def test_a_crash_at_each_commit_of_deliver_changes_no_decision(tmp_path: Path, number: int, crash: Crash) -> None:
    """Four of one user over four types, one after the other, with a cap of two: two of them stand, two are turned away.

    a  b  c  d     each claim and each outcome is a commit; the owner dies at one of them
    |  |  x  x     a claim without an outcome counts as sent
    """

    async def played() -> CappedWorld:
        world = CappedWorld(tmp_path)
        world.start()
        world.at("2026-11-22T18:00")
        world.devices("ann", phone("ann"))
        await world.settle()
        crashes = crashes_at(number, crash)
        world.commit_crash = lambda: next(crashes)
        for name in ("news", "offer", "digest", "again"):
            world.event(name, "ann", name)
            await world.settle()
            world.now += 1_000
        world.commit_crash = lambda: "none"
        await world.pass_time(MINUTE_MS, MINUTE_MS)
        await world.crash()
        return world

    world = asyncio.run(played())
    assert world.windows_broken() == []
    last = {name: world.status(name)["state"] for name in ("news", "offer", "digest", "again")}
    sent = Counter(last.values())
    assert last["digest"] == "DEFERRED", last
    assert last["again"] == "SUPPRESSED", last
    assert sent["ACCEPTED"] + sent["UNKNOWN"] == 2, last
    assert len({push.notification_id for _, push in world.pushes}) == sent["ACCEPTED"] + sum(
        last[push.notification_id] == "UNKNOWN" for _, push in world.pushes
    )
