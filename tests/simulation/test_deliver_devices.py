"""deliver and several devices of a user: who gets it, what is gone, what changes while a push is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Unknown
from streams.stages.delivery_rows import devices_key, read_devices
from streams.stages.user_devices import BY_HEADER, CAUSE_HEADER, echo_key
from tests.simulation.deliver_world import CODEC, GRACE_MS, NOW, TOPICS, DeliverWorld, phone
from tests.simulation.directory_partition import change

Scenario = Callable[[DeliverWorld], Awaitable[None]]

PHONE = phone("u")
PAD = phone("u", device_id="pad", provider=ProviderName.FCM, address="pad", registered_at_ms=NOW - 10)
LAPTOP = phone("u", device_id="laptop", provider=ProviderName.WEBPUSH, address="laptop", registered_at_ms=NOW - 20)
GONE = NotSent("Unregistered", retry=False, status=410, gone_at_ms=NOW)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Play a scenario in a world whose user `u` has a phone, a pad and a laptop, each with another provider."""

    def run(scenario: Scenario) -> None:
        async def played() -> None:
            world = DeliverWorld(tmp_path)
            world.connectors.update(dict.fromkeys(ProviderName, world.connector))
            world.devices("u", PHONE, PAD, LAPTOP)
            world.start()
            await world.until(lambda: world.rows("directory"))
            try:
                await scenario(world)
            finally:
                await world.crash()

        asyncio.run(played())

    return run


def newest(world: DeliverWorld) -> None:
    """Let the type be for the newest device only."""
    usual = world.policy("t")
    assert usual is not None
    world.policies["t"] = usual._replace(newest_device=True)


def asked(world: DeliverWorld) -> list[str]:
    """The devices that were asked for, in order."""
    return [push.device.device_id for push in world.connector.asked]


def known(world: DeliverWorld, user: str = "u") -> list[str]:
    """The devices that a user has."""
    return [each.device_id for each in read_devices(world.rows("directory").get(devices_key(user.encode())))]


def attempted(world: DeliverWorld, notification_id: str) -> dict[tuple[str, int], str]:
    """What the statuses say of each device and attempt."""
    return {
        (status["device_id"], status["attempt"]): status["reason"]
        for status in world.read(TOPICS.statuses)
        if (status["notification_id"], status["state"]) == (notification_id, "ATTEMPTED")
    }


def last(world: DeliverWorld, notification_id: str) -> dict[str, Any]:
    """The last status of a notification."""
    return [each for each in world.read(TOPICS.statuses) if each["notification_id"] == notification_id][-1]


def written(world: DeliverWorld, cause: bytes) -> int:
    """How many records on `devices` the lane wrote for this reason."""
    return sum(
        dict(record.headers).get(CAUSE_HEADER, b"").startswith(cause) for record in world.log.records(TOPICS.devices)
    )


def later() -> asyncio.Future[Outcome]:
    """An answer that comes when the test says so."""
    return asyncio.get_running_loop().create_future()


async def changed(world: DeliverWorld, user: str, device_id: str, **fields: Any) -> None:
    """Let a change be decided."""
    world.append(TOPICS.device_changes, user.encode(), change(user, device_id, world.now, **fields))
    await world.until_committed(TOPICS.device_changes)


def test_one_notification_goes_to_all_devices_and_counts_as_one(play: Callable[[Scenario], None]) -> None:
    """One has it, one is gone, of one nobody knows: one verdict, as late as any of them may have it; each is told of.

    0                    30 s
    |--ACCEPTED          |
    |--gone              |
    |--?-----------------|  the window runs from here
    """

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers += [Accepted(200, "ref"), GONE, Unknown("timeout")]
        world.delivery("a")
        await world.until_state("a", "ACCEPTED")
        assert attempted(world, "a") == {
            ("phone", 1): "ACCEPTED: ref",
            ("pad", 1): "NOT_SENT: Unregistered; its address is removed",
            ("laptop", 1): "UNKNOWN: timeout",
        }
        providers = {each["device_id"]: each["provider"] for each in world.read(TOPICS.statuses) if each["device_id"]}
        assert providers == {"phone": "apns", "pad": "fcm", "laptop": "webpush"}
        assert last(world, "a")["reason"] == "ref (1 of 3 devices accepted it, 1 may have it)"
        assert world.verdicts() == [("a", "ACCEPTED", GRACE_MS)]
        await world.until(lambda: known(world) == ["phone", "laptop"])
        world.delivery("b", type="x")
        await world.until_state("b", "ACCEPTED")
        assert asked(world)[3:] == ["phone", "laptop"]

    play(scenario)


def test_where_all_are_gone_the_slot_is_free_and_the_next_one_says_that_there_is_no_device(
    play: Callable[[Scenario], None],
) -> None:
    """The first can be replayed from the dead letters, should one of them come back."""

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers += [GONE] * 3
        world.delivery("a")
        await world.until_state("a", "DEAD")
        assert last(world, "a")["reason"] == "Unregistered (0 of 3 devices accepted it)"
        assert [letter["code"] for letter in world.read(TOPICS.dead_letters)] == ["REJECTED"]
        world.delivery("b", type="x")
        await world.until_state("b", "NO_DEVICE")
        assert last(world, "b")["reason"] == "the user has no device"
        assert [outcome for _, outcome, _ in world.verdicts()] == ["FREED", "FREED"]
        await world.until(lambda: world.rows("directory") == {})

    play(scenario)


def test_the_newest_device_is_the_newest_of_those_that_the_user_wants_it_on(play: Callable[[Scenario], None]) -> None:
    """Over all providers; opted out of the newest one's, the next one gets it."""

    async def scenario(world: DeliverWorld) -> None:
        newest(world)
        world.delivery("a")
        await world.until_state("a", "ACCEPTED")
        world.preferences(opted_out_providers=["apns"])
        await world.until_committed(TOPICS.preferences)
        world.delivery("b")
        await world.until_state("b", "ACCEPTED")
        world.preferences(opted_out_providers=["apns", "fcm", "webpush"])
        await world.until_committed(TOPICS.preferences)
        world.delivery("c")
        await world.until_state("c", "OPTED_OUT")
        assert asked(world) == ["phone", "pad"]

    play(scenario)


def test_where_the_newest_is_gone_the_next_attempt_is_for_the_next_newest(play: Callable[[Scenario], None]) -> None:
    """It was certainly not sent, so the slot still is its own; nobody is told twice."""

    async def scenario(world: DeliverWorld) -> None:
        newest(world)
        world.connector.answers.append(GONE)
        world.delivery("a")
        await world.until_state("a", "RETRYING")
        assert last(world, "a")["reason"] == "the newest device is gone"
        [retry] = world.read(TOPICS.scheduled)
        assert (retry["delivery"]["attempt"], retry["delivery"]["devices"]) == (2, [])
        world.delivery("a", attempt=2, admitted_at=retry["delivery"]["admitted_at"])
        await world.until_state("a", "ACCEPTED")
        assert asked(world) == ["phone", "pad"]
        assert last(world, "a")["reason"] == "200 (1 of 2 devices accepted it)"
        assert [outcome for _, outcome, _ in world.verdicts()] == ["ACCEPTED"]

    play(scenario)


def test_where_the_only_device_is_gone_nothing_is_tried_again(play: Callable[[Scenario], None]) -> None:
    """There is nobody left to try."""

    async def scenario(world: DeliverWorld) -> None:
        newest(world)
        world.devices("v")
        await world.until_committed(TOPICS.devices)
        world.connector.answers.append(GONE)
        world.delivery("a", "v")
        await world.until_state("a", "DEAD")
        assert world.read(TOPICS.scheduled) == []

    play(scenario)


def test_a_device_that_is_removed_between_two_attempts_is_not_asked_again(play: Callable[[Scenario], None]) -> None:
    """Nothing was sent, and there is none left to send it to: that is no failure of a provider."""

    async def scenario(world: DeliverWorld) -> None:
        world.devices("v")
        await world.until_committed(TOPICS.devices)
        world.connector.answers.append(NotSent("TooManyRequests", retry=True))
        world.delivery("a", "v")
        await world.until_state("a", "RETRYING")
        await changed(world, "v", "phone")
        world.delivery("a", "v", attempt=2, devices=["phone"])
        await world.until_state("a", "NO_DEVICE")
        assert last(world, "a")["reason"] == "the user has none of the devices any more that it was still to be sent to"
        assert world.verdicts() == [("a", "FREED", 0)]
        assert world.read(TOPICS.dead_letters) == []

    play(scenario)


def test_who_has_it_has_it_also_where_the_rest_was_removed(play: Callable[[Scenario], None]) -> None:
    """The slot stays blocked."""

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers += [Accepted(200), NotSent("Busy", retry=True), Accepted(200)]
        world.delivery("a")
        await world.until_state("a", "RETRYING")
        await changed(world, "u", "pad")
        world.delivery("a", attempt=2, devices=["pad"])
        await world.until_state("a", "ACCEPTED")
        assert [outcome for _, outcome, _ in world.verdicts()] == ["ACCEPTED"]

    play(scenario)


def test_a_registration_that_comes_while_a_push_is_under_way_outlives_its_answer(
    play: Callable[[Scenario], None],
) -> None:
    """FCM and Web Push do not say since when an address is gone; the answer is about what the push was sent to.

    |--push--------------410|     the address stays
          |--registered again
    """

    async def scenario(world: DeliverWorld) -> None:
        answer = later()
        world.devices("v")
        await world.until_committed(TOPICS.devices)
        world.connector.answers.append(answer)
        world.delivery("a", "v")
        await world.until(lambda: world.connector.asked)
        world.now += 5
        await changed(world, "v", "phone", address="address of v")
        answer.set_result(NotSent("gone", retry=False, gone_at_ms=world.now + 1_000))
        await world.until_state("a", "DEAD")
        assert attempted(world, "a") == {("phone", 1): "NOT_SENT: gone; its address was registered again since"}
        assert known(world, "v") == ["phone"]
        assert written(world, b"gone") == 0

    play(scenario)


def test_an_address_that_is_gone_is_removed_and_written_once(play: Callable[[Scenario], None]) -> None:
    """Two that were waiting for the same user: the second one finds nothing to remove."""

    async def scenario(world: DeliverWorld) -> None:
        answer = later()
        world.devices("v")
        await world.until_committed(TOPICS.devices)
        world.connector.answers.append(answer)
        world.delivery("a", "v")
        world.delivery("b", "v", type="x")
        await world.until(lambda: world.connector.asked)
        answer.set_result(GONE)
        await world.until_state("b", "NO_DEVICE")
        assert written(world, b"gone: phone, apns says Unregistered") == 1
        assert dict(world.lane.settings.device_changes) == {"gone": 1, "given_way": 0}

    play(scenario)


def test_a_change_is_written_back_and_what_comes_back_changes_nothing(play: Callable[[Scenario], None]) -> None:
    """The topic has all devices; its own record ends what the lane waits for, also over a crash."""

    async def scenario(world: DeliverWorld) -> None:
        world.away.add(TOPICS.devices)
        await changed(world, "u", "watch", address="watch", requested_by="ops", request_id="r7")
        await changed(world, "u", "laptop")
        records = world.log.records(TOPICS.devices)[-2:]
        said = [
            [each["device_id"] for each in CODEC.decode(record.value, ("Devices",)).record["devices"]]
            for record in records
        ]
        assert said == [["phone", "pad", "laptop", "watch"], ["phone", "pad", "watch"]]
        assert dict(records[0].headers) == {
            BY_HEADER: b"ringonce:%d" % NOW,
            CAUSE_HEADER: b"registered: watch, request r7 of ops",
        }
        assert echo_key(b"u") in world.rows("directory")
        await world.crash()
        world.away.clear()
        world.start()
        await world.until_committed(TOPICS.devices)
        assert known(world) == ["phone", "pad", "watch"]
        assert echo_key(b"u") not in world.rows("directory")
        assert len(world.log.records(TOPICS.devices)) == 3

    play(scenario)


def test_nothing_is_sent_before_the_directory_is_read(play: Callable[[Scenario], None]) -> None:
    """A new owner with an old topic: what waits finds its user's devices, and is not ended as NO_DEVICE."""

    async def scenario(world: DeliverWorld) -> None:
        await world.crash()
        world.log.committed.clear()
        for user in ("v", "w"):
            world.devices(user)
        world.tables["directory"].wipe(0)
        world.away.add(TOPICS.devices)
        world.start()
        assert not world.lane.directory_is_read
        world.delivery("a", "v")
        world.append(TOPICS.device_changes, b"w", change("w", "watch", NOW, address="watch"))
        world.preferences("x", locale="de")
        await world.until_committed(TOPICS.preferences)
        assert world.connector.asked == []
        assert TOPICS.device_changes not in {topic for topic, _ in world.log.committed}
        world.away.clear()
        world.arrives(TOPICS.devices)
        await world.until_state("a", "ACCEPTED")
        assert world.lane.directory_is_read
        await world.until_committed(TOPICS.device_changes)
        assert known(world, "w") == ["phone", "watch"]

    play(scenario)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"device_id": ""}, "INVALID_FIELD", "device_id: has 0 bytes"),
    ({"device_id": "d" * 129}, "INVALID_FIELD", "device_id: has 129 bytes"),
    ({"device_id": "a\0b"}, "INVALID_FIELD", "cannot be printed"),
    ({"provider": "pigeon"}, "INVALID_FIELD", "provider: 'pigeon' is none of"),
    ({"provider": None}, "INVALID_FIELD", "provider: '' is none of"),
    ({"address": ""}, "INVALID_FIELD", "address: must be given"),
    ({"address": "a" * 4_097}, "INVALID_FIELD", "address: has 4097 bytes"),
    ({"auth": "a" * 513}, "INVALID_FIELD", "auth: has 513 bytes"),
    ({"requested_by": "a" * 129}, "INVALID_FIELD", "requested_by: has 129 bytes"),
    ({"user_id": "v"}, "KEY_MISMATCH", "is not the user_id 'v'"),
]


@pytest.mark.parametrize(("fields", "code", "words"), WRONG, ids=lambda value: ascii(value)[:20])
def test_a_change_that_cannot_be_is_a_dead_letter_and_the_next_one_is_decided(
    play: Callable[[Scenario], None], fields: dict[str, Any], code: str, words: str
) -> None:
    """The letter names the field."""

    async def scenario(world: DeliverWorld) -> None:
        body = {"user_id": "u", "device_id": "d", "address": "a", **fields}
        value = change(body.pop("user_id"), body.pop("device_id"), NOW, **body)
        world.append(TOPICS.device_changes, b"u", value)
        await changed(world, "u", "watch", address="watch")
        [letter] = world.read(TOPICS.dead_letters)
        assert letter["code"] == code
        assert words in letter["reason"]
        assert known(world)[-1] == "watch"

    play(scenario)


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [(None, b"", "NO_KEY"), (b"u", None, "NO_VALUE"), (b"u", b"\xc3\x01garbage!", "UNKNOWN_SCHEMA")],
)
def test_what_is_no_change_is_a_dead_letter(
    play: Callable[[Scenario], None], key: bytes | None, value: bytes | None, code: str
) -> None:
    """Whatever somebody writes there."""

    async def scenario(world: DeliverWorld) -> None:
        world.append(TOPICS.device_changes, key, value)
        await world.until_committed(TOPICS.device_changes)
        assert [letter["code"] for letter in world.read(TOPICS.dead_letters)] == [code]

    play(scenario)


def test_a_whole_record_that_names_a_device_twice_is_one_push(play: Callable[[Scenario], None]) -> None:
    """Two claims under one id would let a refusal of the one hide that the other has it."""

    async def scenario(world: DeliverWorld) -> None:
        twice = [
            phone("v"),
            phone("v", address="newer", registered_at_ms=NOW + 1),
            phone("v", device_id="same", address="newer"),
        ]
        world.devices("v", *twice)
        await world.until_committed(TOPICS.devices)
        world.delivery("a", "v")
        await world.until_state("a", "ACCEPTED")
        assert [push.device.address for push in world.connector.asked] == ["newer"]

    play(scenario)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (phone("v", device_id=""), "devices[0].device_id: has 0 bytes, must have 1 to 128"),
        (phone("v", device_id="a\0" + "1"), "devices[0].device_id: 'a\\x001' has characters that cannot be printed"),
        (phone("v", address=""), "devices[0].address: must not be empty"),
    ],
)
def test_a_whole_record_with_a_device_that_cannot_be_is_refused(
    play: Callable[[Scenario], None], device: Device, words: str
) -> None:
    """What was known before stays."""

    async def scenario(world: DeliverWorld) -> None:
        world.devices("v")
        world.devices("v", device)
        await world.until_committed(TOPICS.devices)
        assert [letter["reason"] for letter in world.read(TOPICS.dead_letters)] == [words]
        assert known(world, "v") == ["phone"]

    play(scenario)
