"""Quiet hours, opt-outs and local times through all three stages, on one partition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import Accepted, NotSent, ProviderName, Unknown
from streams.policies.preferences import TypeHours
from streams.policies.quiet_hours import read_quiet_hours
from streams.time_zones import zone_named
from tests.simulation.deliver_world import CODEC, TOPICS, phone
from tests.simulation.quiet_world import HOUR_MS, MINUTE_MS, QuietWorld

Scenario = Callable[[QuietWorld], Awaitable[None]]
NIGHT = [{"start_minute": 22 * 60, "end_minute": 7 * 60, "days": []}]
PASSED = ["SENDING", "ATTEMPTED", "ACCEPTED"]
HELD = ["ADMITTED", "DEFERRED", "RELEASED", "ADMITTED", *PASSED]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Play a scenario in a world in which `u` has a phone, lives in Berlin and sleeps from 22:00 to 07:00.

    It is 20:30 UTC on 22 November, 21:30 in Berlin. What is found must always stand the audit.
    """

    def run(scenario: Scenario) -> None:
        async def played() -> None:
            world = QuietWorld(tmp_path)
            world.at("2026-11-22T20:30")
            world.start()
            world.devices("u")
            world.preferences(time_zone="Europe/Berlin", quiet_hours=NIGHT)
            await world.settle()
            try:
                await scenario(world)
                assert world.violations() == []
            finally:
                await world.crash()

        asyncio.run(played())

    return run


def pushed(world: QuietWorld) -> list[tuple[str, str]]:
    """(UTC, notification) of each push."""
    return [
        (datetime.fromtimestamp(at // 1000, UTC).strftime("%d %H:%M"), push.notification_id)
        for at, push in world.pushes
    ]


def test_before_quiet_hours_it_is_sent_at_once(play: Callable[[Scenario], None]) -> None:
    """Half an hour before them, nothing is different."""

    async def scenario(world: QuietWorld) -> None:
        world.event("a")
        await world.settle()
        assert world.states("a") == ["ADMITTED", *PASSED]

    play(scenario)


def test_in_quiet_hours_it_waits_until_they_end_without_a_slot(play: Callable[[Scenario], None]) -> None:
    """The slot is free at once; at 07:00 in Berlin it contends for it anew, and passes.

    21:00 UTC      06:00 UTC
    |==============|
       a held       a sent
    """

    async def scenario(world: QuietWorld) -> None:
        world.at("2026-11-22T21:15")
        world.event("a")
        await world.settle()
        assert world.states("a") == ["ADMITTED", "DEFERRED"]
        assert world.status("a")["reason"] == "quiet hours until 2026-11-23T07:00:00+01:00"
        assert world.status("a")["stage"] == "deliver"
        assert world.rows("deliveries") != {}
        assert not [key for key in world.slots() if key.startswith(b"s")]
        await world.pass_time(9 * HOUR_MS)
        assert pushed(world) == [("23 06:05", "a")]
        assert world.states("a") == HELD

    play(scenario)


def test_a_burst_in_quiet_hours_is_one_push_when_they_end(play: Callable[[Scenario], None]) -> None:
    """All of them are held, one passes, and the others are suppressed by it."""

    async def scenario(world: QuietWorld) -> None:
        for number in range(4):
            world.at(f"2026-11-22T2{number // 2 + 1}:15")
            world.event(f"n{number}")
            await world.settle()
        assert [world.states(f"n{number}")[-1] for number in range(4)] == ["DEFERRED"] * 4
        await world.pass_time(9 * HOUR_MS)
        assert [world.states(f"n{number}")[-1] for number in range(4)] == ["ACCEPTED", *["SUPPRESSED"] * 3]
        assert len(world.pushes) == 1

    play(scenario)


def test_the_same_id_while_it_is_held_is_a_duplicate_and_afterwards_too(play: Callable[[Scenario], None]) -> None:
    """A producer that tries again changes nothing."""

    async def scenario(world: QuietWorld) -> None:
        world.at("2026-11-22T21:15")
        for _ in range(2):
            world.event("a")
            await world.settle()
        await world.pass_time(9 * HOUR_MS)
        world.event("a")
        await world.settle()
        assert world.states("a").count("DUPLICATE") == 2
        assert world.states("a").count("ACCEPTED") == len(world.pushes) == 1

    play(scenario)


def test_a_released_notification_that_arrives_twice_is_sent_once(play: Callable[[Scenario], None]) -> None:
    """Whatever puts the same release on `due` once more."""

    async def scenario(world: QuietWorld) -> None:
        world.at("2026-11-22T21:15")
        world.event("a")
        await world.settle()
        await world.pass_time(9 * HOUR_MS)
        [released] = world.log.records(TOPICS.due)
        world.now += 2 * HOUR_MS
        world.log.append(TOPICS.due, 0, released.key, released.value, [])
        for stage in world.stages:
            stage.step()
        assert len(world.log.records(TOPICS.outbox)) == 2
        assert world.states("a")[-1] == "DUPLICATE"
        world.log.partitions[TOPICS.statuses, 0].clear()  # the second end is what was asked for, not a flaw
        world.log.partitions[TOPICS.notifications, 0].clear()

    play(scenario)


def test_what_is_of_no_use_when_quiet_hours_end_expires_at_once(play: Callable[[Scenario], None]) -> None:
    """Nobody waits for the night to be told so, and the slot is free."""

    async def scenario(world: QuietWorld) -> None:
        world.at("2026-11-22T21:15")
        world.event("a", expires_at=world.now + HOUR_MS)
        await world.settle()
        assert world.states("a") == ["ADMITTED", "EXPIRED"]
        assert "of no use after 2026-11-22T23:15:00+01:00" in world.status("a")["reason"]
        assert [outcome for _, outcome, _ in world.verdicts()] == ["FREED"]

    play(scenario)


def test_nothing_is_held_for_longer_than_its_type_allows(play: Callable[[Scenario], None]) -> None:
    """Ten hours are too long for a type that may wait one."""

    async def scenario(world: QuietWorld) -> None:
        usual = world.policy("t")
        assert usual is not None
        world.policies["t"] = usual._replace(hours=TypeHours(hold_ms_max=HOUR_MS))
        world.at("2026-11-22T21:15")
        world.event("a")
        await world.settle()
        assert world.states("a") == ["ADMITTED", "EXPIRED"]
        assert "held for at most 3600 s" in world.status("a")["reason"]

    play(scenario)


def test_a_type_that_ignores_quiet_hours_is_sent(play: Callable[[Scenario], None]) -> None:
    """A code to log in with must come at night too."""

    async def scenario(world: QuietWorld) -> None:
        usual = world.policy("t")
        assert usual is not None
        world.policies["code"] = usual._replace(hours=TypeHours(ignores_users=True))
        world.at("2026-11-22T21:15")
        world.event("a", type="code")
        await world.settle()
        assert world.states("a")[-1] == "ACCEPTED"

    play(scenario)


def test_quiet_hours_of_a_type_in_a_zone_of_their_own(play: Callable[[Scenario], None]) -> None:
    """Held for everybody until it is 09:00 in New York, also for those who have said nothing."""

    async def scenario(world: QuietWorld) -> None:
        usual, zone = world.policy("t"), zone_named("America/New_York")
        assert usual is not None
        hours = TypeHours(quiet_hours=(read_quiet_hours("00:00-09:00"),), quiet_zone=zone)
        world.policies["t"] = usual._replace(hours=hours)
        world.devices("v")
        world.at("2026-11-23T06:30")
        world.event("a", user="v")
        await world.settle()
        assert world.status("a")["reason"] == "quiet hours until 2026-11-23T14:00:00+00:00"
        await world.pass_time(8 * HOUR_MS)
        assert world.states("a") == HELD

    play(scenario)


def test_quiet_hours_of_single_types_win_over_the_general_ones(play: Callable[[Scenario], None]) -> None:
    """None for this type, others for that one."""

    async def scenario(world: QuietWorld) -> None:
        noon = [{"start_minute": 720, "end_minute": 780, "days": ["SUNDAY"]}]
        world.preferences(time_zone="UTC", quiet_hours=NIGHT, quiet_hours_by_type={"t": [], "o": noon})
        world.at("2026-11-22T12:30")
        await world.settle()
        world.event("a", type="o")
        world.at("2026-11-22T23:30")
        world.event("b", type="t")
        world.event("c", type="x")
        await world.settle()
        assert [world.states(name)[-1] for name in "abc"] == ["ACCEPTED", "ACCEPTED", "DEFERRED"]
        world.at("2026-11-29T12:30")
        await world.settle()
        world.event("d", type="o")
        await world.settle()
        assert world.status("d")["reason"] == "quiet hours until 2026-11-29T13:00:00+00:00"
        await world.pass_time(12 * HOUR_MS)

    play(scenario)


def test_a_retry_that_falls_into_quiet_hours_waits_for_their_end(play: Callable[[Scenario], None]) -> None:
    """Throttled at 21:59, it must not ring at 22:00: it gives its slot back, and is tried again in the morning."""

    async def scenario(world: QuietWorld) -> None:
        world.at("2026-11-22T20:59")
        world.connector.answers.append(NotSent("TooManyRequests", retry=True, retry_after_seconds=70))
        world.event("a")
        await world.settle()
        await world.pass_time(3 * MINUTE_MS, MINUTE_MS)
        assert world.states("a") == ["ADMITTED", "SENDING", "ATTEMPTED", "RETRYING", "DEFERRED"]
        await world.pass_time(10 * HOUR_MS)
        assert world.states("a")[-4:] == ["ADMITTED", *PASSED]
        assert world.status("a")["attempt"] == 1

    play(scenario)


@pytest.mark.parametrize(("first", "end"), [(Accepted(200), "ACCEPTED"), (Unknown("timeout"), "UNKNOWN")])
def test_what_a_device_may_have_is_not_held_for_the_others(
    play: Callable[[Scenario], None], first: Accepted | Unknown, end: str
) -> None:
    """The phone has it, or may have it; the pad's retry falls into quiet hours. The window stands."""

    async def scenario(world: QuietWorld) -> None:
        world.devices("u", phone("u"), phone("u", device_id="pad", address="pad of u"))
        world.at("2026-11-22T20:59")
        world.connector.answers += [first, NotSent("TooManyRequests", retry=True, retry_after_seconds=70)]
        world.event("a")
        await world.settle()
        await world.pass_time(3 * MINUTE_MS, MINUTE_MS)
        assert world.states("a")[-1] == end
        assert [outcome for _, outcome, _ in world.verdicts()] == [end]

    play(scenario)


@pytest.mark.parametrize("wishes", [{"opted_out": True}, {"opted_out_providers": ["apns"]}, {"mute_until": 2**50}])
def test_an_opt_out_between_attempts_frees_no_slot_that_was_used(
    play: Callable[[Scenario], None], wishes: dict[str, Any]
) -> None:
    """The phone has it; before the pad's retry the user opts out. It is not sent to the pad, and the window stands."""

    async def scenario(world: QuietWorld) -> None:
        world.devices("u", phone("u"), phone("u", device_id="pad", address="pad of u"))
        world.connector.answers += [Accepted(200), NotSent("TooManyRequests", retry=True, retry_after_seconds=70)]
        world.event("a")
        await world.settle()
        world.preferences(**wishes)
        await world.settle()
        await world.pass_time(3 * MINUTE_MS, MINUTE_MS)
        assert world.states("a")[-1] == "ACCEPTED"
        assert [outcome for _, outcome, _ in world.verdicts()] == ["ACCEPTED"]
        assert len(world.connector.asked) == 2

    play(scenario)


def test_quiet_hours_that_last_too_long_free_no_slot_that_was_used(play: Callable[[Scenario], None]) -> None:
    """The phone has it; the pad's retry falls into quiet hours after which it is of no use."""

    async def scenario(world: QuietWorld) -> None:
        world.devices("u", phone("u"), phone("u", device_id="pad", address="pad of u"))
        world.at("2026-11-22T20:59")
        world.connector.answers += [Accepted(200), NotSent("TooManyRequests", retry=True, retry_after_seconds=70)]
        world.event("a", expires_at=world.now + HOUR_MS)
        await world.settle()
        await world.pass_time(3 * MINUTE_MS, MINUTE_MS)
        assert world.states("a")[-1] == "ACCEPTED"
        assert [outcome for _, outcome, _ in world.verdicts()] == ["ACCEPTED"]

    play(scenario)


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"opted_out": True}, "the user has opted out of everything"),
        ({"opted_out_types": ["x", "t"]}, "the user has opted out of this type"),
        ({"opted_out_providers": ["webpush", "apns"]}, "the user has opted out of apns, webpush"),
        ({"mute_until": 1_795_381_200_000}, "the user is muted until 2026-11-22T21:00:00+00:00"),
    ],
)
def test_who_opts_out_is_not_told_and_the_slot_is_free(
    play: Callable[[Scenario], None], wishes: dict[str, Any], reason: str
) -> None:
    """A final state with its reason; the next one passes when the user has changed his mind."""

    async def scenario(world: QuietWorld) -> None:
        world.preferences(**wishes)
        await world.settle()
        world.event("a")
        await world.settle()
        assert world.states("a") == ["ADMITTED", "OPTED_OUT"]
        assert world.status("a")["reason"] == reason
        assert world.connector.asked == []
        world.append(TOPICS.preferences, b"u", None)
        await world.settle()
        world.event("b")
        await world.settle()
        assert world.states("b") == ["ADMITTED", *PASSED]

    play(scenario)


def test_who_opts_out_of_one_provider_is_told_by_the_others(play: Callable[[Scenario], None]) -> None:
    """Only the devices of that provider are left out."""

    async def scenario(world: QuietWorld) -> None:
        other = phone("u", device_id="browser", address="browser of u", provider=ProviderName.FCM)
        world.devices("u", phone("u"), other)
        world.preferences(opted_out_providers=["fcm"])
        await world.settle()
        world.event("a")
        await world.settle()
        assert [push.device.device_id for push in world.connector.asked] == ["phone"]

    play(scenario)


def test_the_mute_ends_by_itself(play: Callable[[Scenario], None]) -> None:
    """What comes at its end is sent."""

    async def scenario(world: QuietWorld) -> None:
        world.preferences(mute_until=world.now)
        await world.settle()
        world.event("a")
        await world.settle()
        assert world.states("a")[-1] == "ACCEPTED"

    play(scenario)


POISON: dict[str, tuple[bytes | None, dict[str, Any] | bytes, str]] = {
    "garbage": (b"u", b"garbage", "BAD_MAGIC"),
    "no key": (None, {}, "NO_KEY"),
    "another user's": (b"v", {}, "KEY_MISMATCH"),
    "no such zone": (b"u", {"time_zone": "Mars/Olympus"}, "INVALID_FIELD"),
    "no such provider": (b"u", {"opted_out_providers": ["pigeon"]}, "INVALID_FIELD"),
    "no such minute": (b"u", {"quiet_hours": [{"start_minute": 1440, "end_minute": 1}]}, "INVALID_FIELD"),
    "no such end": (b"u", {"quiet_hours_by_type": {"t": [{"start_minute": 0, "end_minute": 1441}]}}, "INVALID_FIELD"),
    "too many": (b"u", {"quiet_hours": [{"start_minute": 0, "end_minute": 1}] * 101}, "INVALID_FIELD"),
}


@pytest.mark.parametrize("name", POISON)
def test_poison_among_preferences_changes_nothing_and_is_kept(play: Callable[[Scenario], None], name: str) -> None:
    """It goes to the dead letters, byte for byte; what the user wanted before holds, and the stream goes on."""
    key, wishes, code = POISON[name]
    value = wishes if isinstance(wishes, bytes) else CODEC.encode("Preferences", {"user_id": "u", **wishes})

    async def scenario(world: QuietWorld) -> None:
        before = world.rows("directory")
        world.append(TOPICS.preferences, key, value)
        await world.settle()
        assert world.rows("directory") == before
        [letter] = world.read(TOPICS.dead_letters)
        assert (letter["code"], letter["value"], letter["key"]) == (code, value, key)

    play(scenario)


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"time_zone": "Europe/Berlin"}, "24 17:00"),
        ({"time_zone": "America/New_York"}, "24 23:00"),
        ({}, "24 18:00"),
        (None, "24 18:00"),
    ],
)
def test_a_local_time_is_that_of_the_user(
    play: Callable[[Scenario], None], wishes: dict[str, Any] | None, expected: str
) -> None:
    """At six in the evening wherever he lives; who has not said where, by the clock of the installation."""

    async def scenario(world: QuietWorld) -> None:
        world.append(TOPICS.preferences, b"u", None)
        if wishes is not None:
            world.preferences(**wishes)
        await world.settle()
        world.event("a", send_at_local="2026-11-24T18:00")
        await world.settle()
        assert world.states("a") == ["DEFERRED", "DEFERRED"]
        assert world.status("a")["until"] is not None
        await world.pass_time(60 * HOUR_MS, HOUR_MS // 2)
        assert pushed(world) == [(expected, "a")]
        assert world.states("a") == ["DEFERRED", "DEFERRED", "RELEASED", "ADMITTED", *PASSED]

    play(scenario)


def test_a_local_time_with_its_zone_needs_nobody(play: Callable[[Scenario], None]) -> None:
    """suppress knows when it is; one that is past is sent at once, also one of the user's own zone."""

    async def scenario(world: QuietWorld) -> None:
        world.event("a", send_at_local="2026-11-22T21:45:30", time_zone="Europe/London")
        world.event("b", type="past", send_at_local="2026-11-22T20:29", time_zone="UTC")
        world.event("c", type="own", send_at_local="2026-11-22T12:00")
        world.event("d", type="zone", time_zone="UTC")
        await world.settle()
        assert world.states("a") == ["DEFERRED"]
        assert world.states("b") == ["ADMITTED", *PASSED]
        assert world.states("c") == ["DEFERRED", "DEFERRED", "RELEASED", "ADMITTED", *PASSED]
        assert world.states("d") == ["ADMITTED", *PASSED]
        world.append(TOPICS.preferences, b"u", None)
        await world.pass_time(2 * HOUR_MS, MINUTE_MS // 2)
        assert pushed(world)[-1] == ("22 21:45", "a")

    play(scenario)


def test_a_local_time_in_quiet_hours_is_held_by_them(play: Callable[[Scenario], None]) -> None:
    """Asked for at 23:00, sent at 07:00: scheduled twice, sent once."""

    async def scenario(world: QuietWorld) -> None:
        world.event("a", send_at_local="2026-11-22T23:00")
        await world.settle()
        await world.pass_time(11 * HOUR_MS)
        assert world.states("a") == ["DEFERRED", "DEFERRED", "RELEASED", *HELD]
        assert pushed(world) == [("23 06:00", "a")]

    play(scenario)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"send_at_local": "2026-11-24T18:00", "send_at": 1}, "send_at and send_at_local are both given"),
        ({"send_at_local": "2026-11-24 18:00"}, "is not of the form 2026-12-24T18:00"),
        ({"send_at_local": "2026-11-24T18:00+01:00"}, "is not of the form"),
        ({"send_at_local": "2026-11-24T18:00Z"}, "is not of the form"),
        ({"send_at_local": "2026-02-29T18:00"}, "is no time"),
        ({"send_at_local": "1969-12-31T18:00"}, "is not between 1970 and 9998"),
        ({"send_at_local": "2026-11-24T18:00", "time_zone": "Europe/Atlantis"}, "there is no zone 'Europe/Atlantis'"),
        ({"time_zone": "CEST"}, "there is no zone 'CEST'"),
    ],
)
def test_a_time_that_cannot_be_is_a_dead_letter(
    play: Callable[[Scenario], None], fields: dict[str, Any], words: str
) -> None:
    """With a sentence for whoever wrote it, and a final state."""

    async def scenario(world: QuietWorld) -> None:
        world.event("a", **fields)
        await world.settle()
        [letter] = world.read(TOPICS.dead_letters)
        assert letter["code"] == "INVALID_FIELD"
        assert words in letter["reason"]
        assert [status["state"] for status in world.read(TOPICS.statuses)] == ["DEAD"]

    play(scenario)


def test_a_local_time_after_it_is_of_use_expires_at_once(play: Callable[[Scenario], None]) -> None:
    """Whoever knows the zone says so, and it is not scheduled."""

    async def scenario(world: QuietWorld) -> None:
        world.event("a", send_at_local="2026-11-24T18:00", expires_at=world.now + HOUR_MS)
        world.event("b", send_at_local="2026-11-24T18:00", expires_at=world.now + HOUR_MS, time_zone="UTC")
        await world.settle()
        assert world.states("a") == ["DEFERRED", "EXPIRED"]
        assert world.states("b") == ["EXPIRED"]
        assert world.read(TOPICS.scheduled) == []

    play(scenario)


def test_a_question_that_is_read_once_more_is_answered_once(play: Callable[[Scenario], None]) -> None:
    """The owner dies while an earlier push is under way: the offset stays, the answer is durable, and stays one."""

    async def scenario(world: QuietWorld) -> None:
        never = asyncio.get_running_loop().create_future()
        world.devices("v")
        world.connector.answers.append(never)
        world.event("slow", user="v")
        world.stages[0].step()
        world.event("a", send_at_local="2026-11-24T18:00")
        world.stages[0].step()
        for _ in range(2):
            world._offer(TOPICS.outbox, world.lane.positions()[TOPICS.outbox])
        await world.until(lambda: world.read(TOPICS.scheduled))
        assert world.log.committed.get((TOPICS.outbox, 0), 0) == 0
        await world.crash()
        world.start()
        await world.settle()
        assert len(world.read(TOPICS.scheduled)) == 1
        assert world.states("slow")[-1] == "UNKNOWN"
        await world.pass_time(60 * HOUR_MS, HOUR_MS)
        assert [name for _, name in pushed(world)] == ["slow", "a"]

    play(scenario)


def test_an_admission_that_is_read_once_more_after_it_was_held_is_not_sent(play: Callable[[Scenario], None]) -> None:
    """Behind a push that hangs, it is held, released, admitted anew and sent; then the owner dies."""

    async def scenario(world: QuietWorld) -> None:
        never = asyncio.get_running_loop().create_future()
        world.devices("v")
        world.connector.answers.append(never)
        world.event("slow", user="v")
        world.stages[0].step()
        world._offer(TOPICS.outbox, world.lane.positions()[TOPICS.outbox])
        await world.until_state("slow", "SENDING")
        world.now += HOUR_MS  # 22:30 in Berlin
        world.event("a")
        for _ in range(40):
            for stage in world.stages:
                while stage.has_work():
                    stage.step()
            if world.lane.positions()[TOPICS.outbox] < world.log.end(TOPICS.outbox, 0):
                world._offer(TOPICS.outbox, world.lane.positions()[TOPICS.outbox])
            states = world.states("a")
            if states[-1:] == ["ACCEPTED"]:
                break
            if states[-1:] == ["DEFERRED"]:
                world.now += HOUR_MS
            elif states[-1:] != ["RELEASED"]:
                await world.until(lambda: world.states("a") != states)  # noqa: B023 (awaited in this very turn)
        assert world.log.committed.get((TOPICS.outbox, 0), 0) == 0
        await world.crash()
        world.start()
        await world.settle()
        assert [name for _, name in pushed(world)] == ["slow", "a"]
        assert world.states("a") == HELD

    play(scenario)
