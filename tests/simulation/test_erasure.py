"""A user is erased: what is removed, what stays for the promise, and what a crash at any commit leaves of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from connectors.outcome import Accepted, NotSent, Outcome, Push, Unknown
from schemas.records import FINAL_STATES
from streams.policies.capping import Cap
from tests.simulation.deliver_world import CODEC, TOPICS, phone
from tests.simulation.erasure_world import ErasureWorld
from tests.simulation.quiet_world import DAY_MS, HOUR_MS, MINUTE_MS
from tests.simulation.stage_partition import Crash

STAGES = ["deliver", "schedule", "suppress"]
Scenario = Callable[[ErasureWorld], Awaitable[None]]
CRASHES: tuple[Crash, ...] = ("none",) * 8 + ("before the commit", "after the commit")


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Play a scenario in a world with `ann` and `bob`, who have all that a user can have."""

    def run(scenario: Scenario) -> None:
        async def played() -> None:
            world = ErasureWorld(tmp_path)
            world.start()
            world.at("2026-11-22T12:00")
            for user in ("ann", "bob"):
                register(world, user)
            await world.settle()
            try:
                await scenario(world)
                await world.pass_time(3 * DAY_MS, HOUR_MS)
            finally:
                await world.crash()
            assert world.violations() == []

        asyncio.run(played())

    return run


def register(world: ErasureWorld, user: str) -> None:
    """A user with two devices, preferences and a profile."""
    world.devices(user, phone(user), phone(user, device_id="pad", address=f"the pad of {user}"))
    world.preferences(user, quiet_hours=[{"start_minute": 0, "end_minute": 60}])
    world.append(TOPICS.profiles, user.encode(), CODEC.encode("Profile", {"user_id": user, "name": user}))


async def lives(world: ErasureWorld, user: str) -> None:
    """Something of every kind: sent, refused, waiting for its next attempt, for its time, for a local time."""
    world.event(f"sent {user}", user, "a")
    await world.settle()
    world.connector.answers += [NotSent("BadTopic", retry=False)] * 2
    world.event(f"refused {user}", user, "b")
    await world.settle()
    world.connector.answers += [Accepted(200), NotSent("TooManyRequests", retry=True, retry_after_seconds=60)]
    world.event(f"half sent {user}", user, "c")
    await world.settle()
    world.connector.answers += [NotSent("TooManyRequests", retry=True, retry_after_seconds=60)] * 2
    world.event(f"retried {user}", user, "d")
    await world.settle()
    world.event(f"scheduled {user}", user, "a", send_at=world.now + DAY_MS)
    world.event(f"local {user}", user, "a", send_at_local="2026-11-24T12:00")
    await world.settle()


ENDS = {
    "sent": "ACCEPTED",
    "refused": "DEAD",
    "half sent": "ACCEPTED",
    "retried": "NO_DEVICE",
    "scheduled": "CANCELLED",
    "local": "CANCELLED",
}


def test_all_that_is_known_of_a_user_is_removed_and_counted(play: Callable[[Scenario], None]) -> None:
    """What waited ends as CANCELLED, unless a device has it already; the other user has lost nothing."""

    async def scenario(world: ErasureWorld) -> None:
        for user in ("ann", "bob"):
            await lives(world, user)
        of_bob = world.left_of("bob")
        request_id = world.forget("ann")
        await world.settle()
        assert {name: world.status(f"{name} ann")["state"] for name in ENDS} == ENDS
        assert world.status("scheduled ann")["reason"].startswith("the user was erased")
        assert world.removed(request_id) == {
            "devices": 2,
            "preferences": 1,
            "profiles": 1,
            "notifications": 3,  # the one that was sent, the refused one, and the question for the local time
            "pending": 2,
            "retries": 2,
        }
        # Those that were still tried say what may have been sent; they and the one that was sent hold their slots.
        assert world.kept(request_id) == {"under_way": 2, "slots": 3}
        left = world.left_of("ann")
        assert left == Counter(deliveries=2), left
        assert world.left_of("bob") == of_bob
        await world.pass_time(2 * DAY_MS, HOUR_MS)
        await world.crash()
        world.start()
        await world.until(lambda: not world.left_of("ann"))
        assert not [key for key in world.slots() if b"ann:" in key]

    play(scenario)


def test_registered_anew_at_once_a_user_is_not_told_twice_within_a_window(play: Callable[[Scenario], None]) -> None:
    """The slot stays, and holds back what comes within its window; nothing else is remembered.

    0     1 s                    2 s            1 h
    |sent |forgotten, registered |x suppressed  | sent
    """

    async def scenario(world: ErasureWorld) -> None:
        world.event("first", "ann", "a")
        await world.settle()
        world.now += 1_000
        request_id = world.forget("ann")
        await world.settle()
        assert world.removed(request_id)["notifications"] == 1
        register(world, "ann")
        await world.settle()
        world.event("second", "ann", "a")
        world.event("other", "ann", "b")
        await world.settle()
        assert (world.status("second")["state"], world.status("other")["state"]) == ("SUPPRESSED", "ACCEPTED")
        await world.pass_time(HOUR_MS + MINUTE_MS)
        world.event("third", "ann", "a")
        await world.settle()
        assert world.status("third")["state"] == "ACCEPTED"

    play(scenario)


def test_a_cap_holds_over_an_erasure(tmp_path: Path) -> None:
    """The places of the cap stay until they are over, and then nothing is left."""

    async def played() -> None:
        world = ErasureWorld(tmp_path, (Cap(2, 3 * HOUR_MS),))
        world.start()
        world.at("2026-11-22T12:00")
        register(world, "ann")
        await world.settle()
        for kind in ("a", "b"):
            world.event(kind, "ann", kind)
            await world.settle()
        request_id = world.forget("ann")
        await world.settle()
        assert world.kept(request_id) == {"cap_places": 2, "slots": 2}
        register(world, "ann")
        await world.settle()
        world.event("c", "ann", "c")
        await world.settle()
        assert world.status("c")["state"] == "SUPPRESSED"
        await world.pass_time(4 * HOUR_MS, HOUR_MS)
        await world.crash()
        assert world.violations() == []

    asyncio.run(played())


def test_a_user_whom_nobody_knows_is_answered_with_nothing(play: Callable[[Scenario], None]) -> None:
    """And a second time the same."""

    async def scenario(world: ErasureWorld) -> None:
        for request_id in (world.forget("nobody"), world.forget("nobody")):
            await world.settle()
            assert world.removed(request_id) == {}
            assert world.kept(request_id) == {}

    play(scenario)


def test_users_whose_names_begin_alike_are_told_apart(play: Callable[[Scenario], None]) -> None:
    """A user id may hold colons: `ann:x` is not a type of `ann`."""

    async def scenario(world: ErasureWorld) -> None:
        for user in ("ann:x", "an", "annx"):
            register(world, user)
        await world.settle()
        for user in ("ann", "ann:x", "an", "annx"):
            await lives(world, user)
        before = {user: world.left_of(user) for user in ("ann:x", "an", "annx")}
        world.forget("ann")
        await world.settle()
        assert {user: world.left_of(user) for user in before} == before
        world.forget("ann:x")
        await world.settle()
        assert world.left_of("ann:x") == Counter(deliveries=2)

    play(scenario)


def test_it_waits_for_what_is_under_way(play: Callable[[Scenario], None]) -> None:
    """A push whose answer is still to come is noted first; what comes behind the command waits for it."""

    async def scenario(world: ErasureWorld) -> None:
        answers: list[asyncio.Future[Outcome]] = [asyncio.get_running_loop().create_future() for _ in range(2)]
        world.connector.answers += answers
        world.event("under way", "ann", "a")
        for stage in world.stages:
            while stage.has_work():
                stage.step()
        world._offer(TOPICS.outbox, world.lane.positions()[TOPICS.outbox])
        await world.until(lambda: len(world.connector.asked) == 2)
        request_id = world.forget("ann")
        await asyncio.sleep(0.1)  # nothing tells that nothing happens
        assert world.left_of("ann")["devices"] == 1
        for answer in answers:
            answer.set_result(Accepted(200))
        await world.settle()
        assert world.status("under way")["state"] == "ACCEPTED"
        assert world.removed(request_id)["notifications"] == 1
        assert world.left_of("ann") == Counter()

    play(scenario)


def crashes_at(number: int, crash: Crash) -> Iterator[Crash]:
    """One crash, at the commit of this number."""
    for commit in count():
        yield crash if commit == number else "none"


@pytest.mark.parametrize("crash", ["before the commit", "after the commit"])
@pytest.mark.parametrize("number", range(10))
def test_a_crash_at_each_commit_leaves_it_to_be_done_once(
    play: Callable[[Scenario], None], number: int, crash: Crash
) -> None:
    """Of any stage: the command is read once more, or has been passed on."""

    async def scenario(world: ErasureWorld) -> None:
        await lives(world, "ann")
        commits = crashes_at(number, crash)
        world.crash_of = world.commit_crash = lambda: next(commits)
        request_id = world.forget("ann")
        await world.settle()
        world.crash_of = world.commit_crash = lambda: "none"
        await world.settle()
        assert {name: world.status(f"{name} ann")["state"] for name in ENDS} == ENDS
        assert sorted(answer["stage"] for answer in world.answers(request_id)) == STAGES
        assert world.left_of("ann") == Counter(deliveries=2)
        assert world.removed(request_id)["devices"] == 2
        for name in ENDS:
            assert sum(state in FINAL_STATES for state in world.states(f"{name} ann")) == 1

    play(scenario)


class Life:
    """What happens, by one seed: users come and go, events of all kinds arrive, owners die."""

    def __init__(self, world: ErasureWorld, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.registered: set[str] = set()
        self.requests: list[str] = []
        self.wrong: list[str] = []
        self.made = 0
        world.crash_of = lambda: self.chance.choice(CRASHES)
        world.commit_crash = lambda: self.chance.choice(CRASHES)
        world.connector.before = self._before
        world.at("2026-11-22T18:00")

    def _before(self, push: Push) -> None:
        user = push.device.address.rpartition(" ")[2]
        if user not in self.registered:
            self.wrong.append(f"{push.notification_id} was sent to {user}, who was erased")
        answers: list[Outcome] = [
            *[Accepted(200)] * 3,
            NotSent("TooManyRequests", retry=True, retry_after_seconds=self.chance.randrange(200)),
            NotSent("BadTopic", retry=False),
            Unknown("timeout"),
        ]
        self.world.connector.answers.append(self.chance.choice(answers))
        self.world._arrived(push)

    async def act(self) -> None:
        """One thing happens."""
        world, chance = self.world, self.chance
        user = chance.choice(("ann", "ann:x"))
        what = chance.choices(("event", "register", "forget", "time", "crash"), (10, 2, 2, 4, 1))[0]
        if what == "event":
            self.made += chance.random() < 0.9
            fields = chance.choice(({}, {}, {"send_at": world.now + chance.randrange(DAY_MS)}, self._local()))
            world.event(f"n{self.made}", user, chance.choice(("a", "b")), **fields)
        elif what == "register":
            self.registered.add(user)
            register(world, user)
        elif what == "forget":
            # Who asks waits until all that was there before is read.
            if world.log.committed.get((TOPICS.devices, 0), 0) < world.log.end(TOPICS.devices, 0):
                await world.settle()
            while world.stages[0].has_work():
                world.stages[0].step(world.crash_of())
            self.requests.append(world.forget(user))
            await world.settle()
            self.registered.discard(user)
            left = world.left_of(user)
            left.pop("deliveries", None), left.pop("caps", None)
            if left:
                self.wrong.append(f"{left} is left of {user} after {self.requests[-1]}")
        elif what == "crash":
            await world.crash()
            world.start()
        else:
            await world.pass_time(chance.choice((MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS)), 20 * MINUTE_MS)
        if chance.random() < 0.7:
            await world.settle()

    def _local(self) -> dict[str, str]:
        return {"send_at_local": f"2026-11-2{self.chance.randrange(2, 6)}T12:00"}


@pytest.mark.parametrize("seed", range(10))
def test_whoever_is_erased_when_nothing_is_lost_or_sent_twice(tmp_path: Path, seed: int) -> None:
    """P1 to P3 over erasures, registrations and crashes; nobody is told anything after the answer."""

    async def played() -> tuple[ErasureWorld, Life]:
        world = ErasureWorld(tmp_path, (Cap(3, 5 * HOUR_MS),) if seed % 2 else ())
        world.start()
        life = Life(world, seed)
        for _ in range(80):
            await life.act()
        world.crash_of = world.commit_crash = lambda: "none"
        await world.settle()
        await world.pass_time(6 * DAY_MS, HOUR_MS)
        for _ in range(2):  # a row that two blocks name leaves a block that names it no more
            await world.crash()
            world.now += DAY_MS
            world.start()
            await world.until(lambda: (world.lane.sweeper.next_at_ms or world.now + 1) > world.now)
        assert world.rows("deliveries") == {}
        await world.crash()
        return world, life

    world, life = asyncio.run(played())
    assert life.wrong == []
    assert world.violations() == []
    answered = [sorted(each["stage"] for each in world.answers(request_id)) for request_id in life.requests]
    assert answered == [STAGES] * len(life.requests)
    statuses = world.read(TOPICS.statuses)
    assert sum(status["state"] in FINAL_STATES for status in statuses) == world.log.end(TOPICS.notifications, 0)
