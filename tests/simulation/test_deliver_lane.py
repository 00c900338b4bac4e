"""deliver, with its two commits, over an in-memory log: what a crash leaves behind at each step, and every ending."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import Accepted, NotSent, Outcome, Push, Unknown
from streams.lane.transaction import StepFailedError
from streams.stages.delivery_rows import devices_key, read_devices
from tests.simulation.deliver_world import CODEC, GRACE_MS, NOW, SEND_WITHIN_MS, TOPICS, DeliverWorld, phone

Scenario = Callable[[DeliverWorld], Awaitable[None]]
MISSING = (
    "t, template 1 of the test, any locale, any provider, title: "
    "'missing' is missing: neither the event nor the profile has it"
)


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Play a scenario in a world with one user, `u`, who has one phone."""

    def run(scenario: Scenario) -> None:
        async def played() -> None:
            world = DeliverWorld(tmp_path)
            world.devices("u")
            world.start()
            await world.until(lambda: world.rows("directory"))
            try:
                await scenario(world)
            finally:
                await world.crash()

        asyncio.run(played())

    return run


def later() -> asyncio.Future[Outcome]:
    """An answer that comes when the test says so, or never."""
    return asyncio.get_running_loop().create_future()


def test_no_request_leaves_before_its_claim_is_durable(play: Callable[[Scenario], None]) -> None:
    """P2: when the connector is asked, the claim for exactly this notification is in the log and in the table."""

    async def scenario(world: DeliverWorld) -> None:
        seen: list[list[str]] = []
        world.connector.before = lambda push: seen.append(world.states(push.notification_id))
        world.delivery("a")
        await world.until_state("a", "ACCEPTED")
        assert seen == [["SENDING"]]
        assert world.states("a") == ["SENDING", "ATTEMPTED", "ACCEPTED"]
        assert world.verdicts() == [("a", "ACCEPTED", 0)]
        await world.until_committed()

    play(scenario)


def test_a_claim_that_is_not_committed_is_not_sent(play: Callable[[Scenario], None]) -> None:
    """The lane ends, and nothing has left."""

    async def scenario(world: DeliverWorld) -> None:
        world.fail_commits = True
        world.delivery("a")
        with pytest.raises(StepFailedError):
            await asyncio.wait_for(world.task, 20)
        assert world.connector.asked == []

    play(scenario)


def test_a_claim_whose_owner_died_is_unknown_and_not_sent_again(play: Callable[[Scenario], None]) -> None:
    """Between the two commits anything may have happened: it counts as sent at the last possible instant.

    |--SENDING--x crash       |--new owner: UNKNOWN      window from send_by + grace
    """

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers.append(later())
        world.delivery("a")
        await world.until(lambda: world.connector.asked)
        await world.crash()
        world.now += 1_000
        world.start()
        await world.until_state("a", "UNKNOWN")
        assert len(world.connector.asked) == 1
        assert world.verdicts() == [("a", "UNKNOWN", SEND_WITHIN_MS + GRACE_MS)]

    play(scenario)


def test_the_offset_stays_at_the_first_one_in_flight_and_what_is_done_is_not_repeated(
    play: Callable[[Scenario], None],
) -> None:
    """Upstream #606 end to end: 0 in flight, 1 and 2 done; after a crash all three are read, and only 0 is open."""

    async def scenario(world: DeliverWorld) -> None:
        for user in ("v", "w"):
            world.devices(user)
        await world.until_committed(TOPICS.devices)
        world.connector.answers.append(later())
        world.delivery("a")
        await world.until(lambda: world.connector.asked)
        world.delivery("b", "v")
        world.delivery("c", "w")
        await world.until(lambda: "ACCEPTED" in world.states("b") and "ACCEPTED" in world.states("c"))
        assert world.log.committed.get((TOPICS.outbox, 0), 0) == 0
        await world.crash()
        world.start()
        await world.until_committed()
        assert [push.notification_id for push in world.connector.asked] == ["a", "b", "c"]
        assert world.states("b") == world.states("c") == ["SENDING", "ATTEMPTED", "ACCEPTED"]
        assert world.states("a")[-1] == "UNKNOWN"

    play(scenario)


def test_one_notification_of_a_user_is_under_way_at_a_time(play: Callable[[Scenario], None]) -> None:
    """They reach the provider in their order; other users don't wait."""

    async def scenario(world: DeliverWorld) -> None:
        world.devices("v")
        await world.until_committed(TOPICS.devices)
        first = later()
        world.connector.answers.append(first)
        world.delivery("a", type="x")
        world.delivery("b", type="y")
        world.delivery("c", "v")
        await world.until_state("c", "ACCEPTED")
        assert [push.notification_id for push in world.connector.asked] == ["a", "c"]
        first.set_result(Accepted(200))
        await world.until_state("b", "ACCEPTED")

    play(scenario)


def test_draining_notes_what_is_under_way_and_ends(play: Callable[[Scenario], None]) -> None:
    """A partition that is revoked does not wait for anything else than its requests, and begins nothing new."""

    async def scenario(world: DeliverWorld) -> None:
        answer = later()
        world.connector.answers.append(answer)
        world.delivery("a")
        await world.until(lambda: world.connector.asked)
        await world.lane.drain()
        world.delivery("b")
        answer.set_result(Accepted(200))
        await asyncio.wait_for(world.task, 20)
        assert world.states("a")[-1] == "ACCEPTED"
        assert world.states("b") == []
        world.start()
        await world.until_state("b", "ACCEPTED")

    play(scenario)


def test_draining_with_nothing_to_do_but_offsets_ends(play: Callable[[Scenario], None]) -> None:
    """The last offsets are committed, and then it is over."""

    async def scenario(world: DeliverWorld) -> None:
        world.log.partitions[TOPICS.outbox, 0].append(None)  # a transaction marker
        world._offer(TOPICS.outbox, 0)
        await world.lane.drain()
        await asyncio.wait_for(world.task, 20)

    play(scenario)


def test_what_certainly_was_not_sent_is_tried_again_for_those_devices_only(play: Callable[[Scenario], None]) -> None:
    """The next attempt goes through `scheduled`, complete, after the back-off; the slot stays held."""

    async def scenario(world: DeliverWorld) -> None:
        world.devices("u", phone("u"), phone("u", device_id="pad", address="pad"))
        await world.until_committed(TOPICS.devices)
        world.connector.answers += [Accepted(200), NotSent("TooManyRequests", retry=True, retry_after_seconds=7)]
        world.delivery("a")
        await world.until_state("a", "RETRYING")
        [retry] = world.read(TOPICS.scheduled)
        assert retry["due_at"] == NOW + 7_000 + 500  # what the provider asked for, and half of the first back-off
        assert (retry["delivery"]["attempt"], retry["delivery"]["devices"]) == (2, ["pad"])
        assert world.verdicts() == []
        world.now = retry["due_at"]
        delivery = {**retry["delivery"], "send_by": retry["delivery"]["send_by"]}
        notification = delivery.pop("notification")
        world.delivery("a", data=notification["data"], **delivery)
        await world.until_state("a", "ACCEPTED")
        assert [push.device.device_id for push in world.connector.asked] == ["phone", "pad", "pad"]
        assert world.connector.asked[1].push_id == world.connector.asked[2].push_id
        assert world.verdicts() == [("a", "ACCEPTED", 7_500)]

    play(scenario)


@pytest.mark.parametrize(
    ("answer", "state", "verdict", "code"),
    [
        (Accepted(200, "ref"), "ACCEPTED", "ACCEPTED", None),
        (Unknown("timeout"), "UNKNOWN", "UNKNOWN", None),
        (RuntimeError("a bug"), "UNKNOWN", "UNKNOWN", None),
        (NotSent("BadTopic", retry=False), "DEAD", "FREED", "REJECTED"),
    ],
)
def test_each_answer_ends_in_one_state_and_one_verdict(
    play: Callable[[Scenario], None], answer: Outcome | Exception, state: str, verdict: str, code: str | None
) -> None:
    """What is certain frees the slot, anything else blocks it; what is given up is a dead letter with its history."""

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers.append(answer)
        world.delivery("a")
        await world.until_state("a", state)
        assert [(each[0], each[1]) for each in world.verdicts()] == [("a", verdict)]
        letters = world.read(TOPICS.dead_letters)
        assert [letter["code"] for letter in letters] == ([] if code is None else [code])
        for letter in letters:
            assert letter["history"] == ["attempt 1 apns phone: NOT_SENT BadTopic"]
        await world.until_committed()

    play(scenario)


@pytest.mark.parametrize(
    ("reason", "written"),
    [("\ud800 half", "? half"), ("ä" * 5_000, "ä" * 100), ("", "no reason given")],
    ids=["half", "long", "none"],
)
def test_whatever_a_provider_calls_it_can_be_written_down(
    play: Callable[[Scenario], None], reason: str, written: str
) -> None:
    """A word that is no text, or too much of it, ends its notification and not the lane."""

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers.append(NotSent(reason, retry=False))
        world.delivery("a")
        await world.until_state("a", "DEAD")
        [letter] = world.read(TOPICS.dead_letters)
        assert letter["history"] == [f"attempt 1 apns phone: NOT_SENT {written}"]
        await world.until_committed()

    play(scenario)


def test_the_last_attempt_gives_up_and_frees_the_slot(play: Callable[[Scenario], None]) -> None:
    """Attempt 2 of 2."""

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers.append(NotSent("TooManyRequests", retry=True))
        world.delivery("a", attempt=2)
        await world.until_state("a", "DEAD")
        assert world.verdicts() == [("a", "FREED", 0)]
        assert [letter["code"] for letter in world.read(TOPICS.dead_letters)] == ["ATTEMPTS_EXHAUSTED"]

    play(scenario)


def test_what_was_sent_again_and_refused_may_still_have_arrived_the_first_time(
    play: Callable[[Scenario], None],
) -> None:
    """A type that resends what is unknown: the refusal of the second attempt says nothing of the first.

    0          10.5 s
    |--?        |--refused                   the window runs from the unknown one, and its grace
    attempt 1   attempt 2 (last)
    """

    async def scenario(world: DeliverWorld) -> None:
        usual = world.policy("t")
        assert usual is not None
        world.policies["t"] = usual._replace(resend_unknown=True)
        world.connector.answers += [Unknown("timeout"), NotSent("BadTopic", retry=False)]
        world.delivery("a")
        await world.until_state("a", "RETRYING")
        [retry] = world.read(TOPICS.scheduled)
        assert retry["due_at"] == NOW + 10_500
        await world.crash()
        world.now = retry["due_at"]
        world.start()
        world.delivery("a", attempt=2, devices=["phone"], admitted_at=NOW)
        await world.until_state("a", "UNKNOWN")
        assert world.verdicts() == [("a", "UNKNOWN", GRACE_MS)]

    play(scenario)


def test_what_is_too_late_expires_without_a_request(play: Callable[[Scenario], None]) -> None:
    """At `send_by` nothing may start any more, so the slot is free."""

    async def scenario(world: DeliverWorld) -> None:
        world.delivery("a", send_by=NOW)
        await world.until_state("a", "EXPIRED")
        assert world.connector.asked == []
        assert world.verdicts() == [("a", "FREED", 0)]

    play(scenario)


def test_a_retry_that_would_come_too_late_expires(play: Callable[[Scenario], None]) -> None:
    """The provider asks for more time than there is."""

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers.append(NotSent("TooManyRequests", retry=True, retry_after_seconds=400))
        world.delivery("a")
        await world.until_state("a", "EXPIRED")
        assert world.read(TOPICS.scheduled) == []

    play(scenario)


def test_a_user_without_devices_is_told_so(play: Callable[[Scenario], None]) -> None:
    """Nobody to tell: the slot is free, and the state says why."""

    async def scenario(world: DeliverWorld) -> None:
        world.delivery("a", "nobody")
        await world.until_state("a", "NO_DEVICE")
        assert world.verdicts() == [("a", "FREED", 0)]

    play(scenario)


@pytest.mark.parametrize(("registered_at", "stays"), [(NOW, False), (NOW + 501, True)])
def test_an_address_that_is_gone_is_removed_unless_it_was_registered_since(
    play: Callable[[Scenario], None], registered_at: int, stays: bool
) -> None:
    """APNs says since when; a device that came back later is kept."""

    async def scenario(world: DeliverWorld) -> None:
        world.devices("u", phone("u", registered_at_ms=registered_at))
        await world.until_committed(TOPICS.devices)
        world.connector.answers.append(NotSent("Unregistered", retry=False, gone_at_ms=NOW + 500))
        world.delivery("a")
        await world.until_state("a", "DEAD")
        assert bool(read_devices(world.rows("directory").get(devices_key(b"u")))) is stays

    play(scenario)


def test_only_the_newest_device_where_the_type_says_so(play: Callable[[Scenario], None]) -> None:
    """The others stay silent."""

    async def scenario(world: DeliverWorld) -> None:
        usual = world.policy("t")
        assert usual is not None
        world.policies["t"] = usual._replace(newest_device=True)
        world.devices("u", phone("u"), phone("u", device_id="new", address="new", registered_at_ms=NOW + 1))
        await world.until_committed(TOPICS.devices)
        world.delivery("a")
        await world.until_state("a", "ACCEPTED")
        assert [push.device.device_id for push in world.connector.asked] == ["new"]

    play(scenario)


def test_a_template_that_fails_ends_as_a_dead_letter(play: Callable[[Scenario], None]) -> None:
    """The reason names what is missing."""

    async def scenario(world: DeliverWorld) -> None:
        world.titles["t"] = "{{ missing }}"
        world.delivery("a")
        await world.until_state("a", "DEAD")
        [letter] = world.read(TOPICS.dead_letters)
        assert (letter["code"], letter["reason"]) == ("RENDER_FAILED", MISSING)
        assert world.verdicts() == [("a", "FREED", 0)]

    play(scenario)


def test_a_claim_names_the_template_that_it_was_rendered_by(play: Callable[[Scenario], None]) -> None:
    """Whoever asks later why a user read this finds the version in the status."""

    async def scenario(world: DeliverWorld) -> None:
        world.delivery("a")
        await world.until_state("a", "ACCEPTED")
        [reason] = [each["reason"] for each in world.read(TOPICS.statuses) if each["state"] == "SENDING"]
        assert reason == "claimed; template 1 of the test"

    play(scenario)


def test_a_template_that_cannot_be_used_is_a_dead_letter_and_the_others_are_not(
    play: Callable[[Scenario], None],
) -> None:
    """Every mistake of it is in the reason; a good one, and a removal, pass without a word."""

    async def scenario(world: DeliverWorld) -> None:
        def template(type: str, **variant: str) -> bytes:
            record = {"type": type, "version": "1", "variants": [variant], "published_at": NOW}
            return CODEC.encode("Template", record)

        world.append(TOPICS.templates, b"good", template("good", title="{{ name }}"))
        world.append(TOPICS.templates, b"bad", template("bad", title="{{ name", body="{{ name | nope }}"))
        world.append(TOPICS.templates, b"other", template("good", title="{{ name }}"))
        world.append(TOPICS.templates, b"good", None)
        await world.until_committed(TOPICS.templates)
        letters = [(each["key"], each["code"], each["reason"]) for each in world.read(TOPICS.dead_letters)]
        assert letters == [
            (
                b"bad",
                "INVALID_FIELD",
                "any locale, any provider, title: unexpected end of template, expected 'end of print statement'.; "
                "any locale, any provider, body: there is no filter 'nope'",
            ),
            (b"other", "KEY_MISMATCH", "the key other is not the type 'good'"),
        ]

    play(scenario)


def test_a_template_that_breaks_between_attempts_does_not_free_a_slot_that_was_used(
    play: Callable[[Scenario], None],
) -> None:
    """The phone has its push already; the pad's attempt can't be rendered any more. The window must stand."""

    async def scenario(world: DeliverWorld) -> None:
        world.devices("u", phone("u"), phone("u", device_id="pad", address="pad"))
        await world.until_committed(TOPICS.devices)
        world.connector.answers += [Accepted(200), NotSent("TooManyRequests", retry=True)]
        world.delivery("a")
        await world.until_state("a", "RETRYING")
        world.titles["t"] = "{{ missing }}"
        world.delivery("a", attempt=2, devices=["pad"])
        await world.until(lambda: world.verdicts())
        assert world.verdicts() == [("a", "ACCEPTED", 0)]

    play(scenario)


def test_a_type_that_was_removed_from_the_file_ends_what_is_on_its_way(play: Callable[[Scenario], None]) -> None:
    """Admitted under the old file, it still ends in one final state, and frees its slot."""

    async def scenario(world: DeliverWorld) -> None:
        world.policies["removed"] = None
        world.delivery("a", type="removed")
        await world.until_committed()
        assert [letter["code"] for letter in world.read(TOPICS.dead_letters)] == ["UNKNOWN_TYPE"]
        assert world.states("a") == ["DEAD"]
        assert world.verdicts() == [("a", "FREED", 0)]

    play(scenario)


def test_an_id_that_is_used_again_a_day_later_is_another_notification(play: Callable[[Scenario], None]) -> None:
    """suppress has forgotten the id at 24 h, deliver a moment later: what comes in between must not vanish.

    0         0.2 s                         24 h      24 h + 0.2 s
    admitted  claimed                       admitted  deliver forgets the first
    """

    async def scenario(world: DeliverWorld) -> None:
        admitted_at = world.now
        world.now += 200
        world.delivery("daily", admitted_at=admitted_at)
        await world.until_state("daily", "ACCEPTED")
        world.now = admitted_at + 24 * 3_600_000 + 1
        world.delivery("daily")
        await world.until_committed()
        assert len(world.connector.asked) == 2
        assert world.states("daily").count("ACCEPTED") == 2
        world.now = admitted_at + 24 * 3_600_000 + 200
        world.delivery("other", type="o")
        await world.until_state("other", "ACCEPTED")
        assert len(world.rows("deliveries")) >= 4  # two notifications, and a block for each
        world.now += 24 * 3_600_000
        await world.crash()
        world.start()
        await world.until(lambda: world.rows("deliveries") == {})

    play(scenario)


@pytest.mark.parametrize("value", [None, b"", b"garbage", b"\xc3\x01\x00"])
def test_poison_goes_to_the_dead_letters_and_the_stream_goes_on(
    play: Callable[[Scenario], None], value: bytes | None
) -> None:
    """On both topics that the stage reads, byte for byte."""

    async def scenario(world: DeliverWorld) -> None:
        world.append(TOPICS.outbox, b"u", value)
        expected: list[Any] = [value]
        if value is not None:  # without a value it is a removal
            world.append(TOPICS.devices, b"u", value)
            expected.append(value)
        world.delivery("a")
        await world.until_state("a", "ACCEPTED")
        await world.until(lambda: len(world.read(TOPICS.dead_letters)) == len(expected))
        assert [letter["value"] for letter in world.read(TOPICS.dead_letters)] == expected

    play(scenario)


def test_devices_of_another_user_are_refused(play: Callable[[Scenario], None]) -> None:
    """The key must be the user of the body; else one could redirect another's notifications."""

    async def scenario(world: DeliverWorld) -> None:
        before = world.rows("directory")
        world.append(TOPICS.devices, b"v", before[devices_key(b"u")])
        await world.until_committed(TOPICS.devices)
        assert world.rows("directory") == before
        assert [letter["code"] for letter in world.read(TOPICS.dead_letters)] == ["KEY_MISMATCH"]

    play(scenario)


def test_a_removed_user_has_no_devices(play: Callable[[Scenario], None]) -> None:
    """A tombstone on `devices` removes all."""

    async def scenario(world: DeliverWorld) -> None:
        world.append(TOPICS.devices, b"u", None)
        await world.until_committed(TOPICS.devices)
        world.delivery("a")
        await world.until_state("a", "NO_DEVICE")
        assert world.rows("directory") == {}

    play(scenario)


def test_everything_is_forgotten_a_day_later(play: Callable[[Scenario], None]) -> None:
    """P4: no row of a delivery and no block outlives the day, also over a change of owner."""

    async def scenario(world: DeliverWorld) -> None:
        for number in range(40):
            world.delivery(f"n{number}", type=f"t{number}")
            await world.until_state(f"n{number}", "ACCEPTED")
            world.now += 1
            if number % 10 == 5:
                await world.crash()
                world.start()
        world.now += 24 * 3_600_000
        await world.crash()
        world.start()
        await world.until(lambda: world.rows("deliveries") == {})

    play(scenario)


def test_the_push_tells_the_app_and_the_provider_what_they_need(play: Callable[[Scenario], None]) -> None:
    """Ids, type and data as they were; a time to live that ends when the notification is useless."""

    async def scenario(world: DeliverWorld) -> None:
        world.delivery("a", data={"k": "v"}, expires_at=NOW + 90_000)
        await world.until_state("a", "ACCEPTED")
        [push] = world.connector.asked
        assert isinstance(push, Push)
        assert (push.notification_id, push.type, push.data, push.title) == ("a", "t", {"k": "v"}, "t")
        assert (push.ttl_seconds, len(push.collapse_id)) == (90, 32)

    play(scenario)
