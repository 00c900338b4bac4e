"""Profiles on a real Kafka, from the topic and from a real user service with faults, up to the push.

One run serves all tests.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.outcome import Connector, Outcome, ProviderName, Push
from connectors.simulators import ProviderSimulators
from schemas.records import FINAL_STATES
from tests.integration.kafka_records import LOOK_SECONDS, WAIT_SECONDS_MAX
from tests.integration.straight_line import Place, StraightLine, connectors_of, straight_line
from tests.user_service_stand_in import UserServiceStandIn, user_service_stand_in

GREETED = 60  # users of whom each waits for the service, and as many who do not
TYPES: dict[str, Any] = {
    "allow_unknown": False,
    "defaults": {"title": "Hi {{ name | default('there') }}", "wait_seconds_max": 0},
    "types": {
        "greet": {"profile_wait_seconds": 120},
        "brief": {"profile_wait_seconds": 1},
        "must": {"profile": "required", "profile_wait_seconds": 1, "title": "{{ name }} of {{ city }}"},
        "plain": {"profile": "none", "title": "hello"},
    },
}


class Recording:
    """A real connector, and what it was given to send."""

    def __init__(self, connector: Connector) -> None:
        self.name = connector.name
        self.titles: dict[str, str] = {}
        self._connector = connector

    async def start(self) -> None:
        """Start the real one."""
        await self._connector.start()

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """Send it, and note what it says."""
        self.titles[push.notification_id] = push.title
        return await self._connector.send(push, may_start)

    async def close(self) -> None:
        """Close the real one."""
        await self._connector.close()


def recorded(simulators: ProviderSimulators) -> dict[ProviderName, Connector]:
    """Real connectors, that of APNs with its record."""
    connectors = connectors_of(simulators)
    return {**connectors, ProviderName.APNS: Recording(connectors[ProviderName.APNS])}


@dataclass
class Story:
    """What was done, and what was on record afterwards; `during`: while the service was down."""

    places: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    during: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    def states(self, name: str, number: int = 0, during: bool = False) -> list[str]:
        """The states that an event went through."""
        place = self.places[name][number]
        return [
            status["state"]
            for status in (self.during if during else self.statuses)
            if (status["origin_partition"], status["origin_offset"]) == (place.partition, place.offset)
        ]


async def play(line: StraightLine, service: UserServiceStandIn, story: Story) -> None:
    """Take every way."""
    apns = line.connectors[ProviderName.APNS]
    assert isinstance(apns, Recording)
    greeted = [f"greeted-{number}" for number in range(GREETED)]
    plain = [f"plain-{number}" for number in range(GREETED)]
    for user in ("topical", "served", "stranger", "faulty", *greeted, *plain):
        await line.devices(user, ProviderName.APNS)
    await line.profile("topical", name="Ada", fields={"city": "Wien"})
    await line.profile("topical", value=b"garbage")
    await line.until_done()

    async def event(name: str, user: str, type: str) -> None:
        story.places[name].append(await line.event(user, type, notification_id=f"{name}/{user}"))

    await event("from the topic", "topical", "greet")
    await event("all of it", "topical", "must")
    await event("from the service", "served", "greet")
    await event("unknown", "stranger", "greet")
    await event("unknown and required", "stranger", "must")
    service.moods["faulty"] = "garbage"
    await event("garbage", "faulty", "greet")
    await line.until_done()

    service.mood = "hang"
    for user in greeted:
        service.users[user] = {"name": user.title()}
        await event("waits", user, "greet")
    for user in plain:
        await event("plain", user, "plain")
    await until_states(line, story.places["plain"], lambda states: states[-1] == "ACCEPTED")
    await until_states(line, story.places["waits"], lambda states: "RETRYING" in states)
    await service.stop()
    await event("too long", "plain-1", "brief")
    await event("too long and required", "plain-0", "must")
    ends = story.places["too long"] + story.places["too long and required"]
    await until_states(line, ends, lambda states: states[-1] in FINAL_STATES)
    story.during = await line.read(line.topics.statuses, "Status")
    service.mood = "well"
    await service.start()
    await line.until_done()
    story.statuses = await line.read(line.topics.statuses, "Status")
    story.letters = await line.read(line.topics.dead_letters, "DeadLetter")
    story.titles, story.asked = apns.titles, dict(service.asked)


async def until_states(line: StraightLine, places: list[Place], ready: Callable[[list[str]], bool]) -> None:
    """Wait until each of these events has gone so far. Raises TimeoutError."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            states: dict[Place, list[str]] = defaultdict(list)
            for status in await line.read(line.topics.statuses, "Status"):
                states[Place(status["origin_partition"], status["origin_offset"])].append(status["state"])
            if all(states[place] and ready(states[place]) for place in places):
                return
            await asyncio.sleep(LOOK_SECONDS)


@pytest.fixture(scope="module")
def story(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One run of everything."""
    found = Story()

    async def run() -> Story:
        async with (
            user_service_stand_in(served={"name": "Sam", "age": 7}) as service,
            straight_line(
                kafka,
                f"t{uuid.uuid4().hex[:10]}-",
                tmp_path_factory.mktemp("profiles"),
                TYPES,
                connect=recorded,
                user_service_url=service.url,
                user_service_allow_http=True,
                user_service_timeout_seconds=0.5,
                user_service_breaker_seconds_max=1.0,
            ) as line,
        ):
            await play(line, service, found)
        return found

    return asyncio.run(run())


def test_each_event_has_exactly_one_end(story: Story) -> None:
    """P3, whatever the service did."""
    for name, places in story.places.items():
        for number in range(len(places)):
            assert sum(state in FINAL_STATES for state in story.states(name, number)) == 1, (name, number)


def test_names_reach_the_push(story: Story) -> None:
    """From the topic without a request, from the service with one; who is not known is greeted all the same."""
    assert story.titles["from the topic/topical"] == "Hi Ada"
    assert story.titles["all of it/topical"] == "Ada of Wien"
    assert story.titles["from the service/served"] == "Hi Sam"
    assert story.titles["unknown/stranger"] == "Hi there"
    assert story.titles["garbage/faulty"] == "Hi there"
    assert "topical" not in story.asked
    assert story.asked["served"] == 1


def test_a_service_that_is_down_holds_up_its_users_and_nobody_else(story: Story) -> None:
    """Those who need no profile were all told while those who do were waiting; nobody of these was given up."""
    for number in range(GREETED):
        assert story.states("plain", number, during=True)[-1] == "ACCEPTED"
        assert set(story.states("waits", number, during=True)) == {"ADMITTED", "RETRYING"}
    assert not any(user.startswith("plain-") and user not in ("plain-0", "plain-1") for user in story.asked)


def test_whoever_waited_is_told_by_name_when_the_service_is_back(story: Story) -> None:
    """Each once."""
    for number in range(GREETED):
        assert story.titles[f"waits/greeted-{number}"] == f"Hi Greeted-{number}"
        assert story.states("waits", number)[-3:] == ["SENDING", "ATTEMPTED", "ACCEPTED"]


def test_a_wait_that_is_over_falls_back_or_is_a_dead_letter_with_the_names(story: Story) -> None:
    """While the service is still down; each end says why."""
    assert story.states("too long", during=True)[-1] == "ACCEPTED"
    assert story.titles["too long/plain-1"] == "Hi there"
    assert story.states("too long and required", during=True)[-1] == "DEAD"
    letters = {letter["notification_id"]: letter for letter in story.letters}
    unknown = letters["unknown and required/stranger"]
    names = "its texts name city, name"
    assert (unknown["code"], unknown["stage"]) == ("RENDER_FAILED", "deliver")
    assert unknown["reason"] == f"profile: the user service knows no such user (404); {names}"
    late = letters["too long and required/plain-0"]["reason"]
    assert late.startswith("profile: the user service: ") and late.endswith(names)


def test_a_record_that_is_none_is_a_dead_letter(story: Story) -> None:
    """Byte for byte, and the profile of before holds."""
    [letter] = [letter for letter in story.letters if letter["topic"].endswith("profiles")]
    assert (letter["code"], letter["value"], letter["key"]) == ("BAD_MAGIC", b"garbage", b"topical")
