"""The frequency cap in deliver, over an in-memory log: what takes a place, what gives it back, what a crash leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from connectors.outcome import Accepted, NotSent, Outcome, Unknown
from schemas.records import FINAL_STATES
from streams.policies.capping import Cap, CapRules
from streams.stages.cap_rows import CAP_PREFIX, cap_key, read_cap_row
from tests.simulation.deliver_world import GRACE_MS, NOW, SEND_WITHIN_MS, SKEW_MS, TOPICS, DeliverWorld, phone

HOUR_MS = 3_600_000
CAP = Cap(2, HOUR_MS)
Scenario = Callable[[DeliverWorld], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Play a scenario in a world with a cap of two an hour and one user, `u`, who has one phone."""

    def run(scenario: Scenario) -> None:
        async def played() -> None:
            world = DeliverWorld(tmp_path)
            world.caps = (CAP,)
            world.devices("u")
            world.start()
            await world.until(lambda: world.rows("directory"))
            try:
                await scenario(world)
            finally:
                await world.crash()

        asyncio.run(played())

    return run


async def send(world: DeliverWorld, *names: str, user: str = "u") -> None:
    """Deliver one after the other, each of a type of its own, until each has ended or waits."""
    for name in names:
        world.delivery(name, user, type=name)
        await world.until(lambda name=name: {*world.states(name)} & {*FINAL_STATES, "DEFERRED", "RETRYING"})  # type: ignore[misc] # mypy knows no lambda with a default


async def take_over(world: DeliverWorld, later_ms: int = 0) -> None:
    """The owner dies, and a new one starts."""
    await world.crash()
    world.now += later_ms
    world.start()


def rule(world: DeliverWorld, type: str, rules: CapRules) -> None:
    """Say what a type has to do with the cap."""
    usual = world.policy(type)
    assert usual is not None
    world.policies[type] = usual._replace(cap=rules)


def test_the_third_of_two_is_turned_away_over_all_types(play: Callable[[Scenario], None]) -> None:
    """Its slot is free, and it is told by which numbers, until when, and who must be over before.

    0  1 s  2 s                     1 h     +skew
    |a  |b   x c                     |       | d
    """

    async def scenario(world: DeliverWorld) -> None:
        await send(world, "a")
        world.now += 1_000
        await send(world, "b")
        world.now += 1_000
        await send(world, "c")
        assert world.states("c") == ["SUPPRESSED"]
        [last] = [each for each in world.read(TOPICS.statuses) if each["notification_id"] == "c"]
        assert last["reason"] == "the cap of 2 in 3600 s is reached until 2023-11-14T23:13:25+00:00"
        assert (last["by_notification_id"], last["until"], last["stage"]) == ("a", NOW + HOUR_MS + SKEW_MS, "deliver")
        assert world.verdicts()[-1] == ("c", "FREED", 2_000)
        world.now = NOW + HOUR_MS + SKEW_MS - 1
        await send(world, "d")
        assert world.states("d") == ["SUPPRESSED"]
        world.now += 1
        await send(world, "e", "f")
        assert (world.states("e")[-1], world.states("f")[-1]) == ("ACCEPTED", "SUPPRESSED")
        await world.until_committed()

    play(scenario)


def test_each_user_has_a_cap_of_their_own(play: Callable[[Scenario], None]) -> None:
    """Others are not in the way."""

    async def scenario(world: DeliverWorld) -> None:
        world.devices("v")
        await world.until_committed(TOPICS.devices)
        await send(world, "a", "b", "c")
        await send(world, "d", "e", user="v")
        assert [world.states(name)[-1] for name in "abcde"] == ["ACCEPTED"] * 2 + ["SUPPRESSED"] + ["ACCEPTED"] * 2

    play(scenario)


def test_it_is_remembered_by_the_next_owner(play: Callable[[Scenario], None]) -> None:
    """Claim and place are one transaction, so after any crash there are both or neither."""

    async def scenario(world: DeliverWorld) -> None:
        await send(world, "a")
        await take_over(world)
        await send(world, "b")
        await take_over(world)
        await send(world, "c")
        assert world.states("c") == ["SUPPRESSED"]

    play(scenario)


def test_a_claim_whose_owner_died_stands_for_the_longest_that_it_may_take(play: Callable[[Scenario], None]) -> None:
    """The lost owner may have sent it as late as send_by, and it may have arrived as late as grace says.

    0        crash  1 h     send_by + grace + 1 h + skew
    |a claim  x      x b     | c                             a cap of one
    """

    async def scenario(world: DeliverWorld) -> None:
        world.caps = (Cap(1, HOUR_MS),)
        await take_over(world)
        never: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        world.connector.answers.append(never)
        world.delivery("a", type="a")
        await world.until(lambda: world.connector.asked)
        await take_over(world, 1_000)
        await world.until_state("a", "UNKNOWN")
        over = NOW + SEND_WITHIN_MS + GRACE_MS + HOUR_MS + SKEW_MS
        for now, name, state in ((NOW + HOUR_MS, "b", "SUPPRESSED"), (over - 1, "c", "SUPPRESSED"), (over, "d", None)):
            world.now = now
            await send(world, name)
            assert world.states(name)[-1] == (state or "ACCEPTED")

    play(scenario)


def test_a_claim_that_was_never_committed_takes_no_place(play: Callable[[Scenario], None]) -> None:
    """The owner dies in the transaction; the next one claims it again, once."""

    async def scenario(world: DeliverWorld) -> None:
        await send(world, "a")
        world.fail_commits = True
        world.delivery("b", type="b")
        await asyncio.wait([world.task], timeout=20)
        world.fail_commits = False
        await take_over(world)
        await world.until_state("b", "ACCEPTED")
        row = read_cap_row(world.rows("deliveries")[cap_key(b"u")])
        assert [place.notification_id for place in row.places] == ["a", "b"]

    play(scenario)


def test_many_devices_and_attempts_are_one(play: Callable[[Scenario], None]) -> None:
    """The phone has it at once, the pad at the second attempt, over a change of owner.

    a: phone *   pad x   pad *          one place
    b: *                                the other
    """

    async def scenario(world: DeliverWorld) -> None:
        world.devices("u", phone("u"), phone("u", device_id="pad", address="pad"))
        await world.until_committed(TOPICS.devices)
        world.connector.answers += [Accepted(200), NotSent("TooManyRequests", retry=True)]
        await send(world, "a")
        assert world.states("a")[-1] == "RETRYING"
        await take_over(world, 1_000)
        world.delivery("a", type="a", attempt=2, devices=["pad"], admitted_at=NOW, send_by=NOW + SEND_WITHIN_MS)
        await world.until_state("a", "ACCEPTED")
        await send(world, "b", "c")
        assert (world.states("b")[-1], world.states("c")[-1]) == ("ACCEPTED", "SUPPRESSED")
        row = read_cap_row(world.rows("deliveries")[cap_key(b"u")])
        assert [(place.notification_id, place.at) for place in row.places] == [("a", NOW + 1_000), ("b", NOW + 1_000)]

    play(scenario)


def test_a_place_is_kept_between_two_attempts(play: Callable[[Scenario], None]) -> None:
    """What comes while it waits for its next attempt cannot take its place."""

    async def scenario(world: DeliverWorld) -> None:
        await send(world, "a")
        world.connector.answers.append(NotSent("TooManyRequests", retry=True))
        await send(world, "b", "c")
        assert (world.states("b")[-1], world.states("c")[-1]) == ("RETRYING", "SUPPRESSED")
        world.delivery("b", type="b", attempt=2, devices=["phone"], admitted_at=NOW)
        await world.until_state("b", "ACCEPTED")

    play(scenario)


def test_a_place_is_held_until_the_last_attempt_may_have_arrived(play: Callable[[Scenario], None]) -> None:
    """A cap of one a minute: the claim is more than a minute ago, and its next attempt is still to come.

    0         70 s      send_by + grace + 1 min + skew
    |a refused x b       | c
    """

    async def scenario(world: DeliverWorld) -> None:
        world.caps = (Cap(1, 60_000),)
        await take_over(world)
        world.connector.answers.append(NotSent("TooManyRequests", retry=True))
        await send(world, "a")
        over = NOW + SEND_WITHIN_MS + GRACE_MS + 60_000 + SKEW_MS
        for now, name, state in ((NOW + 70_000, "b", "SUPPRESSED"), (over - 1, "c", "SUPPRESSED"), (over, "d", None)):
            world.now = now
            await send(world, name)
            assert world.states(name)[-1] == (state or "ACCEPTED")

    play(scenario)


@pytest.mark.parametrize("crash", [False, True])
def test_what_certainly_was_not_sent_gives_its_place_back(play: Callable[[Scenario], None], crash: bool) -> None:
    """Refused for good, or given up after the last attempt."""

    async def scenario(world: DeliverWorld) -> None:
        await send(world, "a")
        world.connector.answers.append(NotSent("BadTopic", retry=False))
        await send(world, "b")
        assert world.states("b")[-1] == "DEAD"
        if crash:
            await take_over(world)
        await send(world, "c", "d")
        assert (world.states("c")[-1], world.states("d")[-1]) == ("ACCEPTED", "SUPPRESSED")

    play(scenario)


def test_what_may_have_been_sent_keeps_its_place(play: Callable[[Scenario], None]) -> None:
    """UNKNOWN counts, from the latest instant at which it may have arrived."""

    async def scenario(world: DeliverWorld) -> None:
        world.connector.answers.append(Unknown("timeout"))
        await send(world, "a", "b", "c")
        assert [world.states(name)[-1] for name in "abc"] == ["UNKNOWN", "ACCEPTED", "SUPPRESSED"]
        row = read_cap_row(world.rows("deliveries")[cap_key(b"u")])
        assert {place.notification_id: place.at for place in row.places} == {"a": NOW + GRACE_MS, "b": NOW}

    play(scenario)


def test_what_is_sent_again_because_nobody_knows_is_one(play: Callable[[Scenario], None]) -> None:
    """A type that resends: both pushes are one notification, and the window runs from the later one."""

    async def scenario(world: DeliverWorld) -> None:
        usual = world.policy("a")
        assert usual is not None
        world.policies["a"] = usual._replace(resend_unknown=True)
        world.connector.answers.append(Unknown("timeout"))
        await send(world, "a", "b", "c")
        assert [world.states(name)[-1] for name in "abc"] == ["RETRYING", "ACCEPTED", "SUPPRESSED"]
        await take_over(world, 20_000)
        world.delivery("a", type="a", attempt=2, devices=["phone"], admitted_at=NOW, send_by=NOW + SEND_WITHIN_MS)
        await world.until_state("a", "ACCEPTED")
        assert len(world.connector.asked) == 3
        row = read_cap_row(world.rows("deliveries")[cap_key(b"u")])
        assert {place.notification_id: place.at for place in row.places} == {"a": NOW + GRACE_MS, "b": NOW}

    play(scenario)


def test_types_may_ignore_the_cap_or_not_count(play: Callable[[Scenario], None]) -> None:
    """A code is sent with no room left and counts; news does not count, and is not sent without room."""

    async def scenario(world: DeliverWorld) -> None:
        rule(world, "code", CapRules(ignores=True))
        rule(world, "news", CapRules(counts=False))
        await send(world, "news", "a", "b")
        world.delivery("n2", type="news")
        await world.until_state("n2", "SUPPRESSED")
        await send(world, "code")
        assert [world.states(name)[-1] for name in ("news", "a", "b", "code")] == ["ACCEPTED"] * 4
        row = read_cap_row(world.rows("deliveries")[cap_key(b"u")])
        # No more are kept than the limit: the third from the end stands in nobody's way.
        assert [place.notification_id for place in row.places] == ["b", "code"]

    play(scenario)


def test_a_type_that_defers_goes_back_and_is_of_use_for_so_long(play: Callable[[Scenario], None]) -> None:
    """Its slot is free when suppress reads the deferral; what waits has an end, so that it cannot wait for ever."""

    async def scenario(world: DeliverWorld) -> None:
        rule(world, "c", CapRules(defers=True))
        await send(world, "a", "b", "c")
        assert world.states("c") == ["DEFERRED"]
        *_, deferral = world.read(TOPICS.verdicts)
        assert deferral["due_at"] == NOW + HOUR_MS + SKEW_MS
        assert deferral["notification"]["expires_at"] == NOW + 24 * HOUR_MS
        world.delivery("d", type="c", expires_at=NOW + HOUR_MS)
        await world.until_state("d", "EXPIRED")
        freed = [each for each in world.read(TOPICS.verdicts) if each.get("notification_id") == "d"]
        assert [each["outcome"] for each in freed] == ["FREED"]

    play(scenario)


def test_rows_are_swept_when_the_last_place_is_over(play: Callable[[Scenario], None]) -> None:
    """P4: a user without a send in the window has no row; one who is sent something again and again has one name.

    0        1 h + hold                2 h + hold
    |a |b     |c, swept: b is over      swept: gone
    """

    async def scenario(world: DeliverWorld) -> None:
        for number in range(6):
            await send(world, f"a{number}", f"b{number}")
            named = [key for key in world.rows("deliveries") if key.startswith(CAP_PREFIX)]
            assert named == [cap_key(b"u")]
            await take_over(world, 20 * 60_000)
        mentions = sum(cap_key(b"u") in row for key, row in world.rows("deliveries").items() if key[:1] == b"b")
        assert mentions == 1
        await take_over(world, 25 * HOUR_MS)
        await world.until(lambda: world.rows("deliveries") == {})

    play(scenario)


def test_without_a_cap_there_is_no_row_and_what_an_earlier_file_left_is_swept(play: Callable[[Scenario], None]) -> None:
    """The cap is taken out of the types file while rows are there."""

    async def scenario(world: DeliverWorld) -> None:
        await send(world, "a", "b")
        world.caps = ()
        await take_over(world)
        await send(world, "c")
        assert world.states("c")[-1] == "ACCEPTED"
        await take_over(world, 25 * HOUR_MS)
        await world.until(lambda: world.rows("deliveries") == {})

    play(scenario)
