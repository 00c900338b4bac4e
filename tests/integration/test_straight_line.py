"""Events go in on a real Kafka, pushes come out at the simulators, and each event can be explained afterwards.

One run serves all tests: it takes every way through the stages once.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.outcome import ProviderName
from connectors.simulators.push_log import Shown
from schemas.keys import partition_of
from schemas.records import FINAL_STATES
from streams.lane.clock import wall_ms
from tests.integration.kafka_records import committed, ends
from tests.integration.straight_line import CODEC, PARTITIONS, Place, StraightLine, straight_line

APNS, FCM, WEBPUSH, WEBHOOK = ProviderName.APNS, ProviderName.FCM, ProviderName.WEBPUSH, ProviderName.WEBHOOK
USERS = 20
SOUND: dict[str, Any] = {"notification_id": "n", "user_id": "u", "type": "plain", "created_at": 1}
SOUND_VALUE = CODEC.encode("Notification", SOUND)
HEADER = SOUND_VALUE[:10]
# What is wrong: key, value, and the code by which a program tells it.
POISON: dict[str, tuple[bytes | None, bytes | None, str]] = {
    "wrong magic": (b"u:plain", b"garbage", "BAD_MAGIC"),
    "empty": (b"u:plain", b"", "BAD_MAGIC"),
    "unknown schema": (b"u:plain", b"\xc3\x01" + b"\x07" * 8 + SOUND_VALUE[10:], "UNKNOWN_SCHEMA"),
    "schema of no registry": (b"u:plain", b"\x00\x00\x00\x00\x07" + SOUND_VALUE[10:], "UNKNOWN_SCHEMA"),
    "another record": (b"u:plain", CODEC.encode("Devices", {"user_id": "u", "devices": []}), "WRONG_RECORD"),
    "truncated": (b"u:plain", SOUND_VALUE[:-3], "TRUNCATED"),
    "header only": (b"u:plain", HEADER, "TRUNCATED"),
    "trailing bytes": (b"u:plain", SOUND_VALUE + b"\x00", "TRAILING_BYTES"),
    "no key": (None, SOUND_VALUE, "NO_KEY"),
    "key is not that of the body": (b"v:plain", SOUND_VALUE, "KEY_MISMATCH"),
    "no value": (b"u:plain", None, "NO_VALUE"),
    "unknown type": (b"u:nope", CODEC.encode("Notification", {**SOUND, "type": "nope"}), "UNKNOWN_TYPE"),
    "empty user": (b":plain", CODEC.encode("Notification", {**SOUND, "user_id": ""}), "INVALID_FIELD"),
    "large garbage": (b"u:plain", b"x" * 1_000_000, "BAD_MAGIC"),
    "huge key": (b"k" * 900_000, b"x", "BAD_MAGIC"),
    "too large to pass on": (
        b"u:plain",
        CODEC.encode("Notification", {**SOUND, "body": "x" * 1_000_000}),
        "TOO_LARGE",
    ),
}


@dataclass
class Story:
    """What was done, and all that was on record afterwards."""

    places: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    statuses: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    pushes: list[Shown] = field(default_factory=list)
    user_of: dict[str, str] = field(default_factory=dict)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    late_user: str = ""
    deferred_until: int = 0

    def of(self, place: Place) -> list[dict[str, Any]]:
        """The statuses of one event, in no order: stages write to the same partition one after the other."""
        return [
            status
            for status in self.statuses
            if (status["origin_partition"], status["origin_offset"]) == (place.partition, place.offset)
        ]

    def pushed(self, type: str) -> list[tuple[str, Shown]]:
        """(user, push) of each push of a type."""
        return [(self.user_of[push.address], push) for push in self.pushes if push.type == type]

    def states(self, place: Place) -> list[str]:
        """The states that an event went through, in their order."""
        return [status["state"] for status in self.of(place)]

    def finals(self, name: str) -> Counter[str]:
        """How the events of one name ended."""
        return Counter(state for place in self.places[name] for state in self.states(place) if state in FINAL_STATES)


async def play(line: StraightLine) -> Story:
    """Take every way through the stages."""
    story = Story()
    places = story.places
    for number in range(USERS):
        await line.devices(f"user-{number}", (APNS, FCM, WEBPUSH, WEBHOOK)[number % 4])
    await line.devices("rich", APNS, FCM, WEBPUSH, WEBHOOK)
    await line.devices("forgetful", APNS)
    await line.devices("often", FCM)
    await line.until_done()  # devices first: an event for somebody unknown is not what is looked at here
    for name, (key, value, _) in POISON.items():
        headers = [("h", b"\xff\x00")]
        partition = partition_of(key, PARTITIONS) if key is not None else 0
        places[name].append(await line.raw(key, value, partition, headers))
    for _ in range(3):
        for number in range(USERS):
            places["burst"].append(await line.event(f"user-{number}", "order", astray=number % 4 == 3))
    again = str(uuid.uuid4())
    for astray in (False, False, True):
        places["same id"].append(await line.event("user-1", "plain", astray, notification_id=again))
    places["rich"].append(await line.event("rich", "plain", title="Hi ☃"))
    places["nobody"].append(await line.event("nobody", "plain"))
    places["expired"].append(await line.event("user-2", "plain", expires_at=wall_ms() - 1))
    places["unrenderable"].append(await line.event("user-3", "order", data={}, notification_id="unrenderable"))
    places["unrenderable"].append(await line.event("forgetful", "order", data={}))
    for delay_ms in (2_000, 10_000, 50_000):  # a busy machine may come to it when it is due already
        story.late_user = f"late-{delay_ms}"
        await line.devices(story.late_user, APNS)
        story.deferred_until = wall_ms() + delay_ms
        due: dict[str, Any] = {"send_at": story.deferred_until}
        places["deferred"] = [await line.event(story.late_user, "plain", **due) for _ in range(2)]
        if await line.first_states(*places["deferred"]) == ["DEFERRED", "DEFERRED"]:
            break
        places["came too late"] += places.pop("deferred")
    again = str(uuid.uuid4())
    for _ in range(2):
        soon: dict[str, Any] = {"notification_id": again, "send_at": wall_ms() + 500}
        places["scheduled twice"].append(await line.event("often", "plain", **soon))
    await line.until_done()
    story.statuses = await line.read(line.topics.statuses, "Status")
    story.letters = await line.read(line.topics.dead_letters, "DeadLetter")
    story.pushes, story.user_of = list(line.simulators.log.entries), line.user_of
    bootstrap = line.settings.bootstrap or ""
    story.committed = await committed(bootstrap, line.settings.app_id)
    story.ends = await ends(bootstrap, [line.topics.notifications, line.topics.outbox, line.topics.verdicts])
    return story


@pytest.fixture(scope="module")
def story(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One run of everything."""

    async def run() -> Story:
        prefix = f"t{uuid.uuid4().hex[:10]}-"
        async with straight_line(kafka, prefix, tmp_path_factory.mktemp("line")) as line:
            return await play(line)

    return asyncio.run(run())


def test_each_event_has_exactly_one_final_state_with_a_reason(story: Story) -> None:
    """P3, over everything that was written, poison included."""
    for name, places in story.places.items():
        for place in places:
            finals = [status for status in story.of(place) if status["state"] in FINAL_STATES]
            assert len(finals) == 1, (name, place, story.states(place))
            assert finals[0]["reason"]


def test_no_user_sees_two_of_a_type(story: Story) -> None:
    """P1, by the record of the providers: at most one push for each user, type and device."""
    shown = Counter((push.address, push.type) for push in story.pushes)
    assert set(shown.values()) == {1}


def test_a_burst_is_one_push_for_each_user(story: Story) -> None:
    """Three events of a slot, also where the producer's partitioner differs: one goes out, two are suppressed by it."""
    assert story.finals("burst") == {"ACCEPTED": USERS, "SUPPRESSED": 2 * USERS}
    pushed = Counter(user for user, _ in story.pushed("order"))
    assert pushed == {f"user-{number}": 1 for number in range(USERS)}
    accepted = {
        status["notification_id"]
        for place in story.places["burst"]
        for status in story.of(place)
        if status["state"] == "ACCEPTED"
    }
    for place in story.places["burst"]:
        for status in story.of(place):
            assert status["state"] != "SUPPRESSED" or status["by_notification_id"] in accepted


def test_all_providers_deliver(story: Story) -> None:
    """Each device of a user gets it once, and the event ends once."""
    assert {push.provider for push in story.pushes if push.type == "order"} == set(ProviderName)
    assert sorted(push.provider for user, push in story.pushed("plain") if user == "rich") == sorted(ProviderName)
    [place] = story.places["rich"]
    assert Counter(story.states(place)) == {"ADMITTED": 1, "SENDING": 1, "ATTEMPTED": 4, "ACCEPTED": 1}


def test_the_same_id_is_the_same_notification_wherever_it_arrives(story: Story) -> None:
    """The third one came by way of a wrong partition, and is still known."""
    assert story.finals("same id") == {"ACCEPTED": 1, "DUPLICATE": 2}


def test_what_is_deferred_is_sent_when_it_is_due_and_contends_like_any_other(story: Story) -> None:
    """Of two that are due at once, one is admitted; neither is sent early.

    0            due
    |d  d---------|R A
                  |R  x
    """
    one, other = story.places["deferred"]
    ways = sorted((story.states(one), story.states(other)), key=len)
    assert [Counter(way) for way in ways] == [
        Counter(["DEFERRED", "RELEASED", "SUPPRESSED"]),
        Counter(["DEFERRED", "RELEASED", "ADMITTED", "SENDING", "ATTEMPTED", "ACCEPTED"]),
    ]
    for status in (*story.of(one), *story.of(other)):
        assert status["state"] == "DEFERRED" or status["at"] >= story.deferred_until
    [push] = [push for user, push in story.pushed("plain") if user == story.late_user]
    assert push.at_ms >= story.deferred_until


def test_what_is_scheduled_twice_is_scheduled_once(story: Story) -> None:
    """The same id again, while it waits or after it was sent, is a duplicate; the first one still goes out."""
    assert story.finals("scheduled twice") == {"ACCEPTED": 1, "DUPLICATE": 1}


@pytest.mark.parametrize(
    ("name", "finals"),
    [
        ("expired", {"EXPIRED": 1}),
        ("nobody", {"NO_DEVICE": 1}),
        ("unrenderable", {"SUPPRESSED": 1, "DEAD": 1}),
    ],
)
def test_what_can_not_be_sent_says_why(story: Story, name: str, finals: dict[str, int]) -> None:
    """Useless by now, nobody to tell, nothing to show."""
    assert story.finals(name) == finals


@pytest.mark.parametrize("name", POISON)
def test_poison_is_kept_with_its_bytes_and_a_reason(story: Story, name: str) -> None:
    """Everything that is needed to mend and replay it; and the event is not forgotten, it is DEAD."""
    [place] = story.places[name]
    key, value, code = POISON[name]
    [letter] = [
        each for each in story.letters if (each["partition"], each["offset"]) == (place.partition, place.offset)
    ]
    assert letter["code"] == code
    assert letter["stage"] == "suppress"
    assert letter["topic"].endswith("notifications")
    assert letter["reason"]
    assert letter["headers"] == [{"key": "h", "value": b"\xff\x00"}]
    for kept, given in ((letter["key"], key), (letter["value"], value)):
        # What no broker would take back is cut, and the reason says so.
        assert kept == given or (
            given is not None and kept is not None and len(given) > 8_192 and given[: len(kept)] == kept
        )
    assert (letter["key"] == key and letter["value"] == value) or "are kept" in letter["reason"]
    assert story.states(place) == ["DEAD"]


def test_there_is_no_dead_letter_for_anything_else(story: Story) -> None:
    """But for the notification that could not be rendered."""
    assert Counter(letter["code"] for letter in story.letters) == Counter(
        [code for _, _, code in POISON.values()] + ["RENDER_FAILED"]
    )


def test_everything_is_committed(story: Story) -> None:
    """The offsets of the group are at the ends of the topics, transaction markers included."""
    assert story.ends
    assert {place: story.committed[place] for place in story.ends} == story.ends
