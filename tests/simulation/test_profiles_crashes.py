"""Users whose profiles come, change and cannot be had, over owners that crash anywhere; judged by the auditor."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from connectors.outcome import Push
from schemas.records import FINAL_STATES
from streams.policies.profiles import Lookup, ProfilePolicy, Unusable
from streams.policies.retrying import RetryPolicy
from streams.stages import deliver_profiles
from streams.stages.deliver_types import DeliverPolicy
from tests.simulation.deliver_world import TOPICS
from tests.simulation.quiet_world import DAY_MS, HOUR_MS, QuietWorld
from tests.simulation.scripted_profiles import DOWN, UNKNOWN_USER, ScriptedProfiles, named
from tests.simulation.test_quiet_hours_crashes import TYPES, USERS, Life

ACTIONS = 60
SEEDS = range(8)
MISTAKES_MAX = 3


class FickleProfiles(ScriptedProfiles):
    """Answers by chance; what it says of a user is true."""

    def __init__(self, life: ProfileLife) -> None:
        super().__init__()
        self._life = life

    def known(self, user_id: str) -> Lookup | None:
        """Often as if it were remembered, or as if the breaker were open."""
        self.open = self._life.chance.random() < 0.2
        return super().known(user_id)

    async def fetch(self, user_id: str) -> Lookup:
        """After some turns of the loop."""
        for _ in range(self._life.chance.randrange(4)):
            await asyncio.sleep(0)
        true = named(f"{user_id} of the service")
        self.users[user_id] = self._life.chance.choice((true, true, DOWN, DOWN, UNKNOWN_USER, Unusable("odd")))
        return await super().fetch(user_id)


class ProfileLife(Life):
    """As the other lives, and records of profiles come and go."""

    def __init__(self, world: QuietWorld, seed: int) -> None:
        super().__init__(world, seed)
        self.names: dict[str, str] = {}

    def _before(self, push: Push) -> None:
        super()._before(push)
        user = push.device.address.rpartition(" ")[2]
        name = self.names.get(user)
        right = {f"Hi {name}"} if name else {"Hi there", f"Hi {user} of the service"}
        if push.type == "o":  # which requires a profile
            right.discard("Hi there")
        if push.title not in right:
            self.disturbed.append(f"{push.notification_id} says {push.title!r} to {user}, who is {name}")

    async def act(self) -> None:
        """One thing happens."""
        world, user = self.world, self.chance.choice(USERS)
        if self.chance.random() < 0.85:
            await super().act()
            return
        if self.chance.random() < 0.5:
            self.names.pop(user, None)
            world.append(TOPICS.profiles, user.encode(), None)
        else:
            self.names[user] = f"{user} {self.chance.randrange(100)}"
            world.profile(user, name=self.names[user])
        await world.settle()


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_is_called_by_a_right_name_and_nothing_is_lost(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One push for each window, exactly one end for each event, and the text of what was known when it was sent."""
    monkeypatch.setattr(deliver_profiles, "PAUSE_MS_MIN", 1)
    monkeypatch.setattr(deliver_profiles, "WAITING_MAX", 3)

    async def played() -> tuple[QuietWorld, ProfileLife]:
        world = QuietWorld(tmp_path)
        retry = RetryPolicy(attempts=3, backoff_ms_first=1_000, backoff_ms_max=60_000)
        title = "Hi {{ name | default('there') }}"
        for kind, need in zip(TYPES, (ProfilePolicy(), ProfilePolicy("required", "dead")), strict=True):
            world.policies[kind] = DeliverPolicy(retry, 3_600, True, False, False, profile=need)
            world.titles[kind] = title
        life = ProfileLife(world, seed)
        world.profiles = FickleProfiles(life)
        world.start()
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
    assert life.disturbed[:MISTAKES_MAX] == []
    assert world.violations() == []
    states = Counter(status["state"] for status in world.read(TOPICS.statuses))
    assert sum(states[state] for state in FINAL_STATES) == world.log.end(TOPICS.notifications, 0)
    assert states["ACCEPTED"]
    assert isinstance(world.profiles, FickleProfiles) and world.profiles.asked
