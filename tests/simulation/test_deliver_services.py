"""deliver and its providers: one that fails is left alone, one that is slow holds back nobody, nothing dies of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import Accepted, Device, NotSent, Outcome, ProviderName, Unknown
from streams.lane.letters import LetterRule
from streams.lane.transaction import StepFailedError
from streams.policies.breaking import BreakerRule
from streams.policies.retrying import RetryPolicy
from streams.stages.deliver_services import ServiceRule, Services
from streams.stages.deliver_types import DeliverPolicy, Priority
from tests.simulation.deliver_world import NOW, SEND_WITHIN_MS, TOPICS, DeliverWorld, ScriptedConnector, phone

Scenario = Callable[[DeliverWorld, ScriptedConnector], Awaitable[None]]
RULE = ServiceRule(breaker=BreakerRule(run_max=3, open_ms_first=5_000, open_ms_max=60_000))
DAY_MS = 86_400_000
WAITS = DeliverPolicy(RetryPolicy(2, 1_000, 60_000), 3_600, True, False, False, wait_ms_max=DAY_MS)
THROTTLED = NotSent("TooManyRequests", True, 429, 20.0)


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Play a scenario in a world with APNs and FCM; users a… have an iPhone, f… an Android, and u has both."""

    def run(scenario: Scenario, users: int = 8, **changes: Any) -> None:
        async def played() -> None:
            world, fcm = DeliverWorld(tmp_path), ScriptedConnector()
            world.connectors[ProviderName.FCM] = fcm
            world.services = Services({ProviderName.APNS: RULE, ProviderName.FCM: RULE})
            world.policies["t"] = WAITS
            for name, value in changes.items():
                setattr(world, name, value)
            world.start()
            for number in range(users):
                world.devices(f"a{number}")
                world.devices(f"f{number}", android(f"f{number}"))
            world.devices("u", phone("u"), android("u"))
            await world.until_committed(TOPICS.devices)
            try:
                await scenario(world, fcm)
            finally:
                await world.crash()
            assert [service.under_way for service in world.services.all()] == [0] * len(world.services.all())

        asyncio.run(played())

    return run


def android(user: str) -> Device:
    return Device("android", ProviderName.FCM, f"token of {user}", None, None, NOW)


def deferrals(world: DeliverWorld) -> list[dict[str, Any]]:
    return [
        {
            "id": each["notification"]["notification_id"],
            "due": each["due_at"],
            "expires": each["notification"]["expires_at"],
        }
        for each in world.read(TOPICS.verdicts)
        if "due_at" in each
    ]


async def until_waiting(world: DeliverWorld, count: int) -> None:
    """Let the lane take so many entries, one of which is under way."""
    for _ in range(1_000):
        if world.lane._queue.waiting == count:
            return
        await asyncio.sleep(0.002)  # a lane waits for company for as long
    raise AssertionError(f"{world.lane._queue.waiting} entries, not {count}")


def fail_fcm(world: DeliverWorld, fcm: ScriptedConnector) -> None:
    """Three answers that open its breaker."""
    for number in range(3):
        fcm.answers.append(Unknown("timeout"))
        world.delivery(f"lost{number}", f"f{number}")


def test_what_is_meant_for_a_provider_that_fails_waits_unsent(play: Callable[..., None]) -> None:
    """Three are spent, and then nothing is sent any more: what follows frees its slot and comes again.

    f0 f1 f2 UNKNOWN | open 5 s     f3 waits      | f3 is sent
    """

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        fail_fcm(world, fcm)
        await world.until_committed()
        world.delivery("waits", "f3")
        await world.until_state("waits", "DEFERRED")
        assert len(fcm.asked) == 3
        (held,) = deferrals(world)
        assert held["id"] == "waits"
        assert held["due"] >= NOW + 5_000
        assert held["expires"] == NOW + DAY_MS
        world.delivery("other", "a0")
        await world.until_state("other", "ACCEPTED")
        world.now += 5_000
        world.delivery("waits", "f3")  # admitted anew
        await world.until_state("waits", "ACCEPTED")

    play(scenario)


def test_one_request_tries_it_and_the_next_wait_is_longer(play: Callable[..., None]) -> None:
    """When its time is over one is spent on trying it, in vain, and it is left alone for twice as long."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        fail_fcm(world, fcm)
        await world.until_committed()
        world.now += 5_000
        fcm.answers.append(Unknown("timeout"))
        world.delivery("tries", "f3")
        await world.until_state("tries", "UNKNOWN")
        world.delivery("waits", "f4")
        await world.until_state("waits", "DEFERRED")
        assert deferrals(world)[0]["due"] >= world.now + 10_000

    play(scenario)


def test_a_user_with_a_second_provider_gets_it_there(play: Callable[..., None]) -> None:
    """The healthy one is asked at once, the other device is tried again within `send_by`; it counts as one."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        fail_fcm(world, fcm)
        await world.until_committed()
        world.delivery("both", "u")
        await world.until_state("both", "RETRYING")
        assert [push.device.provider for push in world.connector.asked] == [ProviderName.APNS]
        (retry,) = (each for each in world.read(TOPICS.scheduled) if "delivery" in each)
        assert retry["delivery"]["devices"] == ["android"]
        assert retry["due_at"] >= NOW + 5_000
        world.now = retry["due_at"]
        world.delivery("both", "u", attempt=2, devices=["android"], admitted_at=NOW, send_by=NOW + SEND_WITHIN_MS)
        await world.until_state("both", "ACCEPTED")
        assert len(fcm.asked) == 4

    play(scenario)


@pytest.mark.parametrize(("left_ms", "state"), [(60_000, "RETRYING"), (3_000, "EXPIRED")])
def test_what_must_not_wait_is_tried_within_its_time_or_ends(
    play: Callable[..., None], left_ms: int, state: str
) -> None:
    """A price that is ten minutes old is no news: it keeps its slot until `send_by`, and ends there."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        world.policies["t"] = WAITS._replace(wait_ms_max=0)
        fail_fcm(world, fcm)
        await world.until_committed()
        world.delivery("price", "f3", send_by=NOW + left_ms)
        await world.until_state("price", state)
        assert deferrals(world) == []

    play(scenario)


def test_what_is_late_before_anybody_tried_comes_again(play: Callable[..., None]) -> None:
    """A worker was away for hours: the user still gets one; an event that says when it is useless ends then."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        world.now += SEND_WITHIN_MS + 1
        world.delivery("late", "a0", admitted_at=NOW, send_by=NOW + SEND_WITHIN_MS)
        await world.until_state("late", "DEFERRED")
        world.delivery("useless", "a1", admitted_at=NOW, send_by=NOW + 1_000, expires_at=NOW + 1_000)
        await world.until_state("useless", "EXPIRED")
        assert world.connector.asked == []

    play(scenario)


def test_being_told_to_come_later_kills_nothing(play: Callable[..., None]) -> None:
    """After its last attempt was answered 429 it waits as long as it is told to, and contends for its slot anew."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        world.connector.answers.append(THROTTLED)
        world.delivery("told", "a0", attempt=2)
        await world.until_state("told", "DEFERRED")
        (held,) = deferrals(world)
        assert held["due"] == NOW + 20_000

    play(scenario)


def test_a_dead_letter_tells_of_every_attempt(play: Callable[..., None]) -> None:
    """Each answer of each attempt is in its history, in their order."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        world.policies["t"] = WAITS._replace(retry=RetryPolicy(3, 1, 1))
        world.connector.answers += [NotSent(f"answer{number}", True, 400) for number in (1, 2, 3)]
        for attempt in (1, 2, 3):
            world.delivery("dies", "a0", attempt=attempt, devices=["phone"] if attempt > 1 else [], admitted_at=NOW)
            await world.until_state("dies", "DEAD" if attempt == 3 else "RETRYING")
        (letter,) = world.read(TOPICS.dead_letters)
        assert letter["code"] == "ATTEMPTS_EXHAUSTED"
        assert letter["history"] == [f"attempt {n} apns phone: NOT_SENT answer{n}" for n in (1, 2, 3)]

    play(scenario)


def test_one_that_never_answers_holds_back_nobody(play: Callable[..., None]) -> None:
    """FCM hangs with everything that it may have under way, hundreds more wait for it, and APNs has its own."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        hangs: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        fcm.answers += [hangs] * 2_000
        for number in range(900):
            world.delivery(f"f{number}", f"f{number}")
        await world.until(lambda: len(fcm.asked) >= 4)
        world.now += 4_000  # and it has not answered
        for number in range(900):
            world.delivery(f"a{number}", f"a{number}")
        await world.until(lambda: len(world.connector.asked) == 900)
        waiting = {held["id"] for held in deferrals(world)}
        assert len(waiting) >= 400
        assert all(held["due"] > world.now for held in deferrals(world))
        assert len(fcm.asked) <= 8
        hangs.set_result(Accepted(200))

    play(scenario, users=900, in_flight_max=4)


def test_a_backlog_of_one_that_is_only_busy_is_not_sent_away(play: Callable[..., None]) -> None:
    """Hundreds for a provider that answers: they wait in memory and in Kafka, and each leaves once."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        for number in range(900):
            world.delivery(f"n{number}", f"a{number}")
        await world.until_committed()
        assert Counter(push.notification_id for push in world.connector.asked) == Counter(f"n{n}" for n in range(900))
        assert deferrals(world) == []

    play(scenario, users=900, in_flight_max=4)


def test_what_is_critical_leaves_first_and_bulk_last(play: Callable[..., None]) -> None:
    """One place, all waiting for it: the critical one is before the normal ones, and bulk is behind all."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        world.policies["bulk"] = WAITS._replace(priority=Priority.BULK)
        world.policies["code"] = WAITS._replace(priority=Priority.CRITICAL)
        first: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        world.connector.answers.append(first)
        world.delivery("first", "a0")
        await world.until(lambda: world.connector.asked)
        for number in (1, 2):
            world.delivery(f"bulk{number}", f"a{number}", type="bulk", topic=TOPICS.outbox_bulk)
        for number in (3, 4):
            world.delivery(f"normal{number}", f"a{number}")
        world.delivery("code", "a5", type="code")
        await until_waiting(world, 6)
        first.set_result(Accepted(200))
        await world.until_committed()
        await world.until_committed(TOPICS.outbox_bulk)
        asked = [push.notification_id for push in world.connector.asked]
        assert asked == ["first", "code", "normal3", "normal4", "bulk1", "bulk2"]

    play(scenario, in_flight_max=1)


def test_the_pace_is_kept(play: Callable[..., None]) -> None:
    """Ten a second: one at first, ten after a second; those that have no turn wait."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        for number in range(8):
            world.delivery(f"n{number}", f"a{number}")
        await world.until(lambda: world.states("n0")[-1:] == ["ACCEPTED"])
        assert len(world.connector.asked) == 1
        for seconds in range(1, 8):
            world.now += 100
            await world.until(lambda count=seconds: len(world.connector.asked) == count + 1)  # type: ignore[misc] # a lambda has no annotations

    play(scenario, services=Services({ProviderName.APNS: ServiceRule(per_second=10.0)}))


def test_a_step_that_fails_gives_its_places_back(play: Callable[..., None]) -> None:
    """Nothing has left, and the next owner of the partition in this worker has all places."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        world.fail_commits = True
        world.delivery("a", "a0")
        with pytest.raises(StepFailedError):
            await asyncio.wait_for(world.task, 20)
        assert [service.under_way for service in world.services.all()] == [0]

    play(scenario)


def test_a_bad_deployment_stops_before_it_has_drained_everything(play: Callable[..., None]) -> None:
    """Templates that do not render kill what the limit allows, and what follows waits in Kafka."""

    async def scenario(world: DeliverWorld, fcm: ScriptedConnector) -> None:
        world.titles["broken"] = "{{ missing }}"
        for number in range(6):
            world.delivery(f"dies{number}", f"a{number}", type="broken")
        await world.until(lambda: len(world.read(TOPICS.dead_letters)) == 6)
        assert world.lane.letters.is_paused
        world.delivery("waits", "a7")
        await asyncio.sleep(0.05)  # long enough for it to be sent, if it were
        assert world.connector.asked == []
        world.lane.letters.paused_until = 0.0
        world.lane.wake()
        await world.until_state("waits", "ACCEPTED")

    play(scenario, letters=LetterRule(TOPICS.dead_letters, 3.0))
