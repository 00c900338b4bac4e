"""Quiet hours, opt-outs and local times on a real Kafka, from the event to the push. One run serves all tests.

The worker's clock is up to half a minute off, which the settings allow here, so that a full minute, at which quiet
hours end, is a few seconds away.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.outcome import ProviderName
from schemas.records import FINAL_STATES
from streams.lane.clock import wall_ms
from streams.time_zones import zone_named
from tests.integration.straight_line import CODEC, Place, StraightLine, straight_line

AHEAD_SECONDS = 15  # what a busy machine needs to bring all events to their hold
LOCAL_SECONDS = 8
MINUTE_MS = 60_000
TYPES: dict[str, Any] = {
    "allow_unknown": False,
    "defaults": {"title": "Hello"},
    "types": {"news": {}, "offer": {}, "code": {"ignore_quiet_hours": True}, "short": {"hold_seconds_max": 1}},
}


@dataclass
class Story:
    """What was done, and all that was on record afterwards. Instants are those of the worker's clock."""

    off_ms: int = 0
    quiet_until: int = 0
    local_at: int = 0
    places: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    statuses: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    pushes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def of(self, name: str, number: int = 0) -> list[dict[str, Any]]:
        """The statuses of one event."""
        place = self.places[name][number]
        return [
            status
            for status in self.statuses
            if (status["origin_partition"], status["origin_offset"]) == (place.partition, place.offset)
        ]

    def states(self, name: str, number: int = 0) -> list[str]:
        """The states that it went through."""
        return [status["state"] for status in self.of(name, number)]


def local(instant: int, zone: str, seconds: int = 0) -> str:
    """What a clock in this zone shows so many seconds later."""
    at = datetime.fromtimestamp(instant // 1000, zone_named(zone)) + timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S")


async def play(line: StraightLine, story: Story) -> None:
    """Take every way."""
    places = story.places
    users = ("sleeper", "awake", "leaver", "nepali", "nowhere", "fixed", "late")
    for user in users:
        await line.devices(user, ProviderName.APNS)
    now = wall_ms() + story.off_ms
    story.quiet_until = (now // MINUTE_MS + 1) * MINUTE_MS
    end = datetime.fromtimestamp(story.quiet_until // 1000, UTC)
    end_minute = end.hour * 60 + end.minute
    # Quiet since long: a day that has just begun is no reason to fail.
    night = [{"start_minute": (end_minute - 600) % 1440, "end_minute": end_minute}]
    await line.preferences("sleeper", quiet_hours=night)
    await line.preferences("leaver", opted_out_types=["news"])
    await line.preferences("nepali", time_zone="Asia/Kathmandu")
    await line.preferences("nepali", value=b"garbage")
    await line.until_done()
    for _ in range(2):
        places["held"].append(await line.event("sleeper", "news"))
    places["code"].append(await line.event("sleeper", "code"))
    places["short"].append(await line.event("sleeper", "short"))
    places["awake"].append(await line.event("awake", "news"))
    places["left"].append(await line.event("leaver", "news"))
    places["offer"].append(await line.event("leaver", "offer"))
    now = wall_ms() + story.off_ms
    story.local_at = (now // 1000 + LOCAL_SECONDS) * 1000
    places["own zone"].append(
        await line.event("nepali", "news", send_at_local=local(now, "Asia/Kathmandu", LOCAL_SECONDS))
    )
    places["no zone"].append(await line.event("nowhere", "news", send_at_local=local(now, "UTC", LOCAL_SECONDS)))
    berlin: dict[str, Any] = {"send_at_local": local(now, "Europe/Berlin", LOCAL_SECONDS), "time_zone": "Europe/Berlin"}
    places["zone given"].append(await line.event("fixed", "news", **berlin))
    places["astray"].append(await line.event("fixed", "offer", astray=True, **berlin))
    expires: dict[str, Any] = {"expires_at": now + 1}
    places["too late"].append(
        await line.event("late", "news", send_at_local=local(now, "UTC", LOCAL_SECONDS), **expires)
    )
    places["no such zone"].append(await line.event("awake", "offer", time_zone="Mars/Olympus"))
    await line.first_states(*[place for each in places.values() for place in each])
    await line.preferences("leaver")
    await line.until_done()
    places["came back"].append(await line.event("leaver", "news"))
    await line.until_done()
    story.statuses = await line.read(line.topics.statuses, "Status")
    story.letters = await line.read(line.topics.dead_letters, "DeadLetter")
    for push in line.simulators.log.entries:
        story.pushes[f"{line.user_of[push.address]} {push.type}"].append(push.at_ms + story.off_ms)


@pytest.fixture(scope="module")
def story(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One run of everything, with a clock by which a full minute is near."""
    left_ms = MINUTE_MS - wall_ms() % MINUTE_MS
    off_ms = left_ms - AHEAD_SECONDS * 1000
    # Forward or back, whichever is less.
    off_ms = off_ms if abs(off_ms) < MINUTE_MS // 2 else off_ms - MINUTE_MS
    found = Story(off_ms=off_ms)

    async def run() -> Story:
        async with straight_line(
            kafka,
            f"t{uuid.uuid4().hex[:10]}-",
            tmp_path_factory.mktemp("local"),
            TYPES,
            lambda: wall_ms() + off_ms,
            clock_skew_seconds_max=60.0,
            grace_seconds=90.0,
        ) as line:
            await play(line, found)
        return found

    return asyncio.run(run())


def test_each_event_has_exactly_one_end(story: Story) -> None:
    """P3, whichever way it took."""
    for name, places in story.places.items():
        for number in range(len(places)):
            assert sum(state in FINAL_STATES for state in story.states(name, number)) == 1, (name, number)


def test_quiet_hours_hold_and_release_into_the_window(story: Story) -> None:
    """Both wait; at the full minute one is sent, the other is suppressed by it. If the machine was too slow to bring
    them there before, they were never held, and the push is late."""
    [pushed_at] = story.pushes["sleeper news"]
    assert pushed_at >= story.quiet_until
    ends = sorted(story.states("held", number)[-1] for number in range(2))
    assert ends == ["ACCEPTED", "SUPPRESSED"]
    for number in range(2):
        for status in story.of("held", number):
            if status["state"] == "DEFERRED":
                assert status["until"] == story.quiet_until
                assert status["reason"].startswith("quiet hours until")
            elif status["state"] in ("SENDING", "ACCEPTED", "RELEASED"):
                assert status["at"] >= story.quiet_until


def test_quiet_hours_stop_nothing_else(story: Story) -> None:
    """A type that ignores them, and a user who has none."""
    assert story.states("code")[-1] == story.states("awake")[-1] == "ACCEPTED"
    assert "DEFERRED" not in story.states("code") + story.states("awake")


def test_what_may_not_wait_that_long_says_so(story: Story) -> None:
    """Its type lets it wait for a second."""
    last = story.of("short")[-1]
    assert last["state"] == ("EXPIRED" if last["at"] < story.quiet_until - 1_000 else "ACCEPTED")


def test_an_opt_out_frees_the_slot(story: Story) -> None:
    """OPTED_OUT, and when the preferences are erased the next one passes within the window."""
    assert story.states("left") == ["ADMITTED", "OPTED_OUT"]
    assert story.states("offer")[-1] == story.states("came back")[-1] == "ACCEPTED"
    assert len(story.pushes["leaver news"]) == 1


@pytest.mark.parametrize(
    ("name", "who"),
    [("own zone", "nepali news"), ("no zone", "nowhere news"), ("zone given", "fixed news"), ("astray", "fixed offer")],
)
def test_local_times_are_kept(story: Story, name: str, who: str) -> None:
    """The user's own zone, the installation's, and the one that the event names."""
    [pushed_at] = story.pushes[who]
    assert pushed_at >= story.local_at
    assert story.states(name)[-1] == "ACCEPTED"
    for status in story.of(name):
        if status["state"] == "DEFERRED" and status["until"] is not None:
            assert status["until"] == story.local_at


def test_of_no_use_at_its_local_time_it_expires(story: Story) -> None:
    """Before anything is sent."""
    assert story.states("too late")[-1] == "EXPIRED"
    assert story.pushes["late news"] == []


def test_what_cannot_be_read_is_a_dead_letter(story: Story) -> None:
    """A zone that there is not, and preferences that are none; those of before still hold."""
    assert story.states("no such zone") == ["DEAD"]
    assert sorted(letter["code"] for letter in story.letters) == ["BAD_MAGIC", "INVALID_FIELD"]
    [zone] = [letter for letter in story.letters if letter["code"] == "INVALID_FIELD"]
    assert "'Mars/Olympus'" in zone["reason"]
    assert CODEC.decode(zone["value"], ("Notification",)).record["time_zone"] == "Mars/Olympus"
