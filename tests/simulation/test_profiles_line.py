"""Profiles through all three stages, on one partition: whose are used, who waits for them, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import NotSent
from streams.policies.profiles import ProfilePolicy, Unusable
from streams.policies.retrying import RetryPolicy
from streams.stages import deliver_profiles
from streams.stages.deliver_types import DeliverPolicy
from streams.time_zones import zone_named
from tests.simulation.deliver_world import TOPICS
from tests.simulation.quiet_world import DAY_MS, HOUR_MS, QuietWorld
from tests.simulation.scripted_profiles import DOWN, ScriptedProfiles, named

Scenario = Callable[[QuietWorld, ScriptedProfiles], Awaitable[None]]
PASSED = ["SENDING", "ATTEMPTED", "ACCEPTED"]
SECOND_MS = 1_000


def policy(need: ProfilePolicy) -> DeliverPolicy:
    """The rules of a type."""
    retry = RetryPolicy(attempts=3, backoff_ms_first=1_000, backoff_ms_max=60_000)
    return DeliverPolicy(retry, 3_600, True, False, False, profile=need)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Play a scenario in a world with a user service that knows nobody; `u` and `v` have a phone each.

    Type `t` greets, `must` requires a profile, `plain` needs none. What is found must always stand the audit, once all
    that waits has ended.
    """

    def run(scenario: Scenario) -> None:
        async def played() -> None:
            world, source = QuietWorld(tmp_path), ScriptedProfiles()
            world.at("2026-11-22T12:00")
            world.profiles = source
            world.policies = {
                "t": policy(ProfilePolicy()),
                "must": policy(ProfilePolicy("required", "dead")),
                "plain": policy(ProfilePolicy("none")),
            }
            world.titles = dict.fromkeys(("t", "other", "next"), "Hi {{ name | default('there') }}")
            world.titles |= {"must": "{{ name }} of {{ city }}", "plain": "hello"}
            world.start()
            for user in ("u", "v"):
                world.devices(user)
            await world.settle()
            try:
                await scenario(world, source)
                await world.pass_time(2 * DAY_MS, 6 * HOUR_MS)
                assert world.violations() == []
            finally:
                await world.crash()

        asyncio.run(played())

    return run


def titles(world: QuietWorld) -> list[str]:
    """The titles that arrived, in their order."""
    return [push.title for _, push in world.pushes]


def test_a_record_on_the_topic_is_used_and_nobody_is_asked(play: Callable[[Scenario], None]) -> None:
    """It is there before the service; what the event says wins; an erased one is asked for again."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        world.profile("u", name="Ada", fields={"city": "Wien"})
        await world.settle()
        world.event("a")
        world.event("b", type="must")
        world.event("c", "u", "other", data={"name": "Countess"})
        world.policies["other"] = policy(ProfilePolicy())
        await world.settle()
        assert titles(world) == ["Hi Ada", "Ada of Wien", "Hi Countess"]
        assert source.asked == []
        world.append(TOPICS.profiles, b"u", None)
        world.policies["next"] = policy(ProfilePolicy())
        await world.settle()
        world.event("d", type="next")
        await world.settle()
        assert titles(world)[-1] == "Hi there"
        assert source.asked == ["u"]

    play(scenario)


def test_a_type_that_needs_none_gets_none(play: Callable[[Scenario], None]) -> None:
    """Nobody is asked, and a record is not looked at."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        world.profile("u", name="Ada")
        world.event("a", type="plain")
        world.event("b", "v", "plain")
        await world.settle()
        assert titles(world) == ["hello", "hello"]
        assert source.asked == []

    play(scenario)


def test_a_slow_answer_holds_up_its_user_and_nobody_else(play: Callable[[Scenario], None]) -> None:
    """The others pass meanwhile; the user's own come in their order, with the name."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.slow["u"] = asyncio.get_running_loop().create_future()
        source.users = {"u": named("Ada"), "v": named("Vera")}
        world.event("a")
        world.event("b", type="plain")
        world.event("c", "v")
        world.event("d", "v", "plain")
        for stage in world.stages:
            stage.step()
        world._offer(TOPICS.outbox, 0)
        await world.until_state("d", "ACCEPTED")
        assert titles(world) == ["Hi Vera", "hello"]
        assert "SENDING" not in world.states("a") + world.states("b")
        source.slow.pop("u").set_result(None)
        await world.settle()
        assert titles(world) == ["Hi Vera", "hello", "Hi Ada", "hello"]

    play(scenario)


def test_an_outage_delays_and_the_slot_stays_held(play: Callable[[Scenario], None]) -> None:
    """It comes back by `scheduled`, says why it waits, and is sent with the name once the service answers.

    |--a admitted, down: RETRYING--|--down: RETRYING--|--up: a sent--|   b in between: suppressed by a
    """

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.usually = DOWN
        world.event("a")
        await world.settle()
        assert world.states("a") == ["ADMITTED", "RETRYING"]
        status = world.status("a")
        assert status["reason"] == "the user service: no connection"
        assert status["until"] == world.now + 1_500
        world.event("b")
        await world.pass_time(10 * SECOND_MS, SECOND_MS // 2)
        assert set(world.states("a")) == {"ADMITTED", "RETRYING"}
        assert world.states("b") == ["SUPPRESSED"]
        source.usually = named("Ada")
        await world.pass_time(15 * SECOND_MS, SECOND_MS // 2)
        assert titles(world) == ["Hi Ada"]
        assert world.states("a")[-3:] == PASSED
        assert world.log.records(TOPICS.dead_letters) == []

    play(scenario)


def test_an_open_breaker_delays_without_asking(play: Callable[[Scenario], None]) -> None:
    """Nothing waits in memory for a service that is known to be down."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.open = True
        world.event("a")
        await world.settle()
        assert world.states("a") == ["ADMITTED", "RETRYING"]
        assert source.asked == []
        source.open, source.usually = False, named("Ada")
        await world.pass_time(5 * SECOND_MS, SECOND_MS)
        assert titles(world) == ["Hi Ada"]

    play(scenario)


def test_a_wait_that_is_over_falls_back(play: Callable[[Scenario], None]) -> None:
    """After its wait `t` is sent with the default of its template, `must` is a dead letter; either way the slot tells.

    Of the attempts of a push none was used up by waiting.
    """

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.usually = DOWN
        world.connector.answers.append(NotSent("TooManyRequests", retry=True))
        world.event("a")
        world.event("b", type="must")
        await world.pass_time(29 * SECOND_MS, SECOND_MS // 2)
        assert titles(world) == []
        await world.pass_time(5 * SECOND_MS, SECOND_MS // 2)
        assert titles(world) == ["Hi there"]
        assert world.status("a")["attempt"] == 2
        assert world.states("b")[-1] == "DEAD"
        [letter] = world.read(TOPICS.dead_letters)
        assert letter["reason"] == "profile: the user service: no connection; its texts name city, name"
        assert (letter["code"], letter["notification_id"]) == ("RENDER_FAILED", "b")

    play(scenario)


def test_without_the_profile_that_it_requires_it_is_a_dead_letter(play: Callable[[Scenario], None]) -> None:
    """With the names that its texts want; the slot is free for the next one, which has a profile."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        world.event("a", type="must", data={"city": "Graz"})
        await world.settle()
        assert world.states("a") == ["ADMITTED", "DEAD"]
        reason = "profile: the user service knows no such user (404); its texts name name"
        assert world.status("a")["reason"] == f"RENDER_FAILED: {reason}"
        [letter] = world.read(TOPICS.dead_letters)
        assert letter["reason"] == reason
        world.profile("u", name="Ada", fields={"city": "Wien"})
        world.event("b", type="must")
        await world.settle()
        assert titles(world) == ["Ada of Wien"]

    play(scenario)


def test_a_profile_without_a_field_names_the_field(play: Callable[[Scenario], None]) -> None:
    """There is a profile, and what the text wants is not in it."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.users["u"] = named("Ada")
        world.event("a", type="must")
        await world.settle()
        [letter] = world.read(TOPICS.dead_letters)
        assert "title: 'city' is missing" in letter["reason"]

    play(scenario)


def test_an_answer_that_is_of_no_use_is_not_waited_for(play: Callable[[Scenario], None]) -> None:
    """Asking again would change nothing: decided at once, by the type."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.usually = Unusable("the answer of the user service cannot be used: 'tags' is a list")
        world.event("a")
        world.event("b", type="must")
        await world.settle()
        assert titles(world) == ["Hi there"]
        [letter] = world.read(TOPICS.dead_letters)
        assert "'tags' is a list" in letter["reason"]

    play(scenario)


def test_nobody_is_asked_about_who_is_not_told(play: Callable[[Scenario], None]) -> None:
    """Opted out of all, or of the only provider: that is how it ends, and not for want of a profile."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        world.preferences("u", opted_out=True)
        world.preferences("v", opted_out_providers=["apns"])
        await world.settle()
        world.event("a", type="must")
        world.event("b", "v", "must")
        world.event("c", "nobody", "must")
        await world.settle()
        ends = [world.states(name)[-1] for name in ("a", "b", "c")]
        assert ends == ["OPTED_OUT", "OPTED_OUT", "NO_DEVICE"]
        assert source.asked == []

    play(scenario)


def test_a_crash_while_it_waits_costs_a_request_and_nothing_else(play: Callable[[Scenario], None]) -> None:
    """Nothing of it was durable: the new owner reads it again, asks again, and sends it once."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.slow["u"] = asyncio.get_running_loop().create_future()
        world.event("a")
        for stage in world.stages:
            stage.step()
        world._offer(TOPICS.outbox, 0)
        await until(lambda: source.asked == ["u"])
        await world.crash()
        source.slow.pop("u").cancel()
        source.users["u"] = named("Ada")
        world.start()
        await world.settle()
        assert source.asked == ["u", "u"]
        assert titles(world) == ["Hi Ada"]

    play(scenario)


async def until(ready: Callable[[], bool]) -> None:
    """Let the others run until it is so. Raises TimeoutError."""
    async with asyncio.timeout(20):
        while not ready():  # noqa: ASYNC110 (a task that begins sends no signal)
            await asyncio.sleep(0)


def test_draining_does_not_wait_for_a_profile(play: Callable[[Scenario], None]) -> None:
    """What waits for one is left to the next owner."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.slow["u"] = asyncio.get_running_loop().create_future()
        world.event("a")
        for stage in world.stages:
            stage.step()
        world._offer(TOPICS.outbox, 0)
        await until(lambda: source.asked == ["u"])
        await world.lane.drain()
        await asyncio.wait_for(world.task, 20)
        assert world.states("a") == ["ADMITTED"]
        source.slow.pop("u").cancel()
        world.start()
        await world.settle()
        assert world.states("a")[-1] == "ACCEPTED"

    play(scenario)


def test_a_source_that_raises_delays_its_user_and_not_the_lane(play: Callable[[Scenario], None]) -> None:
    """No exception leaves the stage."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.users["u"] = RuntimeError("must not be")
        world.event("a")
        world.event("b", "v")
        await world.settle()
        assert world.states("a") == ["ADMITTED", "RETRYING"]
        assert world.status("a")["reason"] == "asking the user service failed: RuntimeError"
        assert titles(world) == ["Hi there"]

    play(scenario)


def test_so_many_wait_in_memory_and_the_others_come_back_later(
    play: Callable[[Scenario], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that hangs fills no lane: who finds it full comes back by `scheduled`, and others pass."""
    monkeypatch.setattr(deliver_profiles, "WAITING_MAX", 3)

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        hang = asyncio.get_running_loop().create_future()
        users = [f"u{number}" for number in range(5)]
        for user in users:
            source.slow[user], source.users[user] = hang, named(user)
            world.devices(user)
            world.event(f"of {user}", user)
        world.event("plain", "v", "plain")
        for stage in world.stages:
            stage.step()
        for topic in (TOPICS.devices, TOPICS.outbox):
            world._offer(topic, world.lane.positions()[topic])
        await world.until_state("plain", "ACCEPTED")
        waiting = [world.states(f"of {user}") for user in users]
        assert waiting == [["ADMITTED"]] * 3 + [["ADMITTED", "RETRYING"]] * 2
        assert world.status("of u4")["reason"] == "3 others wait for the user service already"
        hang.set_result(None)
        await world.pass_time(5 * SECOND_MS, SECOND_MS)
        assert sorted(titles(world)) == ["Hi u0", "Hi u1", "Hi u2", "Hi u3", "Hi u4", "hello"]

    play(scenario)


@pytest.mark.parametrize(
    ("own", "row", "service", "due"),
    [
        (None, None, None, "18:00"),
        (None, "Asia/Tokyo", None, "09:00"),
        (None, None, "Asia/Tokyo", "09:00"),
        (None, "Europe/Vienna", "Asia/Tokyo", "17:00"),
        ("Europe/Vienna", "Asia/Tokyo", "Asia/Tokyo", "17:00"),
    ],
)
def test_a_local_time_is_by_the_zone_of_the_preferences_then_of_the_profile(
    play: Callable[[Scenario], None], own: str | None, row: str | None, service: str | None, due: str
) -> None:
    """Then by that of the type, UTC; nobody is asked where it is known."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        if own is not None:
            world.preferences(time_zone=own)
        if row is not None:
            world.profile(time_zone=row)
        if service is not None:
            source.users["u"] = named("Ada")._replace(zone=zone_named(service))
        await world.settle()
        world.event("a", send_at_local="2026-11-23T18:00")
        await world.settle()
        assert world.status("a")["reason"].startswith("due at 2026-11-23T18:00:00")
        hours = (world.status("a")["until"] - world.now) // 3_600_000
        assert f"{(12 + hours) % 24:02}:00" == due
        assert source.asked == ([] if own or row else ["u"])

    play(scenario)


def test_quiet_hours_are_by_the_zone_of_the_profile(play: Callable[[Scenario], None]) -> None:
    """Noon UTC is nine in the evening in Tokyo."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        world.preferences(quiet_hours=[{"start_minute": 20 * 60, "end_minute": 22 * 60}])
        world.profile(time_zone="Asia/Tokyo", name="Ada")
        await world.settle()
        world.event("a")
        await world.settle()
        assert world.status("a")["state"] == "DEFERRED"
        assert "22:00:00+09:00" in world.status("a")["reason"]

    play(scenario)


def test_a_local_time_waits_for_the_zone_and_then_takes_that_of_the_type(play: Callable[[Scenario], None]) -> None:
    """Asked twice within its wait, a second and a half; a service that comes back in time is believed."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        source.open, source.usually = True, DOWN
        world.policies["t"] = policy(ProfilePolicy(wait_ms=1_500))
        fields: dict[str, Any] = {"send_at_local": "2026-11-23T18:00"}
        world.event("a", **fields)
        await world.settle()
        assert "18:00:00+00:00" in world.status("a")["reason"]
        assert len(source.asked) >= 2
        source.users["v"] = named("Vera")._replace(zone=zone_named("Asia/Tokyo"))
        world.event("b", "v", **fields)
        await world.settle()
        assert "18:00:00+09:00" in world.status("b")["reason"]

    play(scenario)


def test_a_bad_record_is_a_dead_letter_and_the_one_before_holds(play: Callable[[Scenario], None]) -> None:
    """As with devices and preferences."""

    async def scenario(world: QuietWorld, source: ScriptedProfiles) -> None:
        world.profile(name="Ada")
        world.profile(name="Bob", time_zone="Mars/Olympus")
        world.append(TOPICS.profiles, b"u", b"garbage")
        await world.settle()
        world.event("a")
        await world.settle()
        assert titles(world) == ["Hi Ada"]
        letters = world.read(TOPICS.dead_letters)
        assert [letter["code"] for letter in letters] == ["INVALID_FIELD", "BAD_MAGIC"]
        assert "'Mars/Olympus'" in letters[0]["reason"]

    play(scenario)
