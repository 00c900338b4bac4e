"""Erasure over logs in memory: what schedule and deliver remove of a user, what they keep, and a crash at each step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import Outcome
from schemas.keys import slot_key
from streams.stages import deliver_forget, schedule
from streams.stages.delivery_rows import STATE_PREFIX
from streams.stages.forgetting import Forget, rows_of_user, write_forget
from tests.simulation.deliver_world import CODEC, NOW, TOPICS, DeliverWorld
from tests.simulation.schedule_world import Scheduling
from tests.simulation.stage_partition import Crash

CRASHES: list[Crash] = ["none", "before the commit", "after the commit"]
Scenario = Callable[[DeliverWorld], Awaitable[None]]


def forget(user: str, topic: str) -> bytes:
    """The command as somebody writes it."""
    return write_forget(CODEC, Forget(user.encode(), "r", "ops", NOW), topic)


def ask(world: Scheduling, user: str) -> None:
    """Ask every partition of schedule."""
    for partition in range(world.partitions):
        world.log.append(TOPICS.scheduled, partition, user.encode(), forget(user, TOPICS.scheduled), [])


def answers(records: list[dict[str, Any]]) -> dict[str, int]:
    """What all partitions together say that they removed."""
    total: dict[str, int] = {}
    for record in records:
        for name, count in record["removed"].items():
            total[name] = total.get(name, 0) + count
    return total


@pytest.mark.parametrize("crash", CRASHES)
@pytest.mark.parametrize("rows_max", [1, 2, 500])
def test_what_waits_of_a_user_is_cancelled_once_whatever_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: Crash, rows_max: int
) -> None:
    """Pending ones end as CANCELLED, a retry goes to deliver at once, and nobody else's is touched; the ledger closes.

    Names that begin like his, or go on behind a colon, are other users.
    """
    monkeypatch.setattr(schedule, "ROWS_MAX", rows_max)
    world = Scheduling(tmp_path, partitions=2)
    others = ["u2", "u:x", "U", ":u"]
    for number in range(3):
        world.defer(f"his{number}", 60_000, user="u")
    for other in others:
        world.defer(f"of {other}", 60_000, user=other)
    world.retry("tried", 60_000, user="u")
    world.run()
    ask(world, "u")
    for _ in range(40):
        busy = [stage for stage in world.stages if stage.has_work()]
        if not busy:
            break
        for stage in busy:
            stage.step(crash)
            stage.step()
    world.run()
    for number in range(3):
        assert world.states(f"his{number}") == ["CANCELLED"]
    found = world.read(TOPICS.answers, "ForgetAnswer")
    assert sorted({each["partition"] for each in found}) == [0, 1]
    assert answers(found) == {"pending": 3, "retries": 1}
    assert len(world.log.records(TOPICS.outbox)) == 1
    world.run(60_000)
    assert sorted(world.released()) == sorted(f"of {other}" for other in others)
    assert world.counts.difference() == 0
    assert (world.counts.pending, world.counts.retries_pending) == (0, 0)
    world.close()


def test_many_users_whose_names_go_on_hide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tenant:zzz` of `tenant` lies behind the rows of `tenant:0:z` and its like, more than a round looks at."""
    monkeypatch.setattr(schedule, "ROWS_MAX", 3)
    world = Scheduling(tmp_path)
    for user, kind in (*((f"tenant:{number}", "z") for number in range(9)), ("tenant", "zzz")):
        record = {"notification_id": f"of {user}", "user_id": user, "type": kind, "created_at": world.now}
        deferral = {"due_at": world.now + 60_000, "origin_partition": 0, "origin_offset": 0, "notification": record}
        world.log.append(TOPICS.scheduled, 0, slot_key(user, kind), CODEC.encode("Deferral", deferral), [])
    world.run()
    ask(world, "tenant")
    world.run()
    assert world.states("of tenant") == ["CANCELLED"]
    assert answers(world.read(TOPICS.answers, "ForgetAnswer")) == {"pending": 1}
    world.run(60_000)
    assert world.released() == [f"of tenant:{number}" for number in range(9)]
    assert world.counts.difference() == 0
    world.close()


def test_what_comes_with_the_command_ends_too_and_what_comes_later_is_new(tmp_path: Path) -> None:
    """A deferral in the same step as the command is removed; one that comes after it was answered is pending."""
    world = Scheduling(tmp_path)
    world.defer("before", 60_000)
    ask(world, "u")
    world.run()
    world.defer("after", 60_000)
    world.run()
    assert (world.states("before"), world.states("after")) == (["CANCELLED"], [])
    ask(world, "u")
    world.command("after")
    world.run()
    assert world.states("after") == ["CANCELLED"]
    assert world.counts.difference() == 0
    world.close()


@pytest.mark.parametrize("key", [b"somebody else", None])
def test_a_command_that_cannot_be_is_a_dead_letter(tmp_path: Path, key: bytes | None) -> None:
    """Its key must be the user; nothing is removed."""
    world = Scheduling(tmp_path)
    world.defer("his", 60_000)
    world.log.append(TOPICS.scheduled, 0, key, forget("u", TOPICS.scheduled), [])
    world.run()
    (letter,) = world.read(TOPICS.dead_letters, "DeadLetter")
    assert letter["code"] == ("NO_KEY" if key is None else "KEY_MISMATCH")
    assert world.states("his") == []
    world.close()


def play(directory: Path, scenario: Scenario) -> None:
    """Play a scenario in a world where `u` and `other` have a phone each, and wishes."""

    async def played() -> None:
        world = DeliverWorld(directory)
        for user in ("u", "other"):
            world.devices(user)
            world.preferences(user, opted_out_types=["nothing"])
        world.start()
        await world.until_committed(TOPICS.devices)
        await world.until_committed(TOPICS.preferences)
        try:
            await scenario(world)
        finally:
            await world.crash()

    asyncio.run(played())


async def until_answered(world: DeliverWorld, count: int = 1) -> dict[str, Any]:
    """Wait for so many answers; the last one. The lane reads what it writes itself, as a consumer would."""
    async with asyncio.timeout(20):
        while len(world.log.records(TOPICS.answers)) < count:
            for topic in (TOPICS.device_changes, TOPICS.devices, TOPICS.preferences, TOPICS.profiles):
                position = world.lane.positions()[topic]
                if position < world.log.end(topic, 0):
                    world._offer(topic, position)
            await asyncio.sleep(0.002)
    return CODEC.decode(world.log.records(TOPICS.answers)[-1].value, ("ForgetAnswer",)).record


def rows_of(world: DeliverWorld, user: str) -> list[bytes]:
    """The rows of both tables that are of a user."""
    name = user.encode()
    directory = [key for key in world.rows("directory") if key[1:] == name]
    return directory + [
        key for key, _ in rows_of_user(world.tables["deliveries"], 0, STATE_PREFIX, name, b"", 100).rows
    ]


@pytest.mark.parametrize("rows_max", [1, 500])
def test_deliver_forgets_devices_wishes_and_what_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_max: int
) -> None:
    """His rows are gone, the topics that are compacted have tombstones, and a notification finds no device."""
    monkeypatch.setattr(deliver_forget, "ROWS_MAX", rows_max)

    async def scenario(world: DeliverWorld) -> None:
        for number in range(3):
            world.delivery(f"n{number}", "u", type=f"t{number}")
            await world.until_state(f"n{number}", "ACCEPTED")
        world.delivery("o", "other")
        await world.until_state("o", "ACCEPTED")
        before = rows_of(world, "other")
        world.append(TOPICS.device_changes, b"u", forget("u", TOPICS.device_changes))
        answer = await until_answered(world)
        assert answer["removed"] == {"devices": 1, "preferences": 1, "notifications": 3}
        assert answer["kept"] == {}
        for topic in (TOPICS.devices, TOPICS.preferences, TOPICS.profiles):
            assert [record.value for record in world.log.records(topic) if record.key == b"u"][-1] is None
        assert rows_of(world, "u") == []
        assert rows_of(world, "other") == before
        world.delivery("late", "u")
        await world.until_state("late", "NO_DEVICE")
        world.append(TOPICS.device_changes, b"u", forget("u", TOPICS.device_changes))
        assert (await until_answered(world, 2))["removed"].get("devices", 0) == 0

    play(tmp_path, scenario)


def test_what_is_under_way_ends_first(tmp_path: Path) -> None:
    """A push that may still arrive must not be forgotten: after a crash its row says that it may have been sent."""

    async def scenario(world: DeliverWorld) -> None:
        never: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        world.connector.answers.append(never)
        world.delivery("n", "u")
        await world.until(lambda: world.connector.asked)
        world.append(TOPICS.device_changes, b"u", forget("u", TOPICS.device_changes))
        world.devices("somebody")  # a step is taken, and the command still waits
        await world.until_committed(TOPICS.devices)
        assert world.log.records(TOPICS.answers) == []
        await world.crash()
        world.start()
        await world.until_state("n", "UNKNOWN")
        answer = await until_answered(world)
        assert (answer["removed"]["notifications"], answer["kept"]) == (1, {})

    play(tmp_path, scenario)


def test_rows_of_other_users_are_not_his(tmp_path: Path) -> None:
    """Users whose names begin like his, or hold colons, have rows between his, and keep them."""

    async def scenario(world: DeliverWorld) -> None:
        users = ["u", "u:t", "uu", "t:u"]
        for number, user in enumerate(users):
            world.devices(user)
            await world.until_committed(TOPICS.devices)
            world.delivery(f"n{number}", user)
            await world.until_state(f"n{number}", "ACCEPTED")
        found = rows_of_user(world.tables["deliveries"], 0, STATE_PREFIX, b"u", b"", 100)
        assert [key[-2:] for key, _ in found.rows] == [b"n0"]

    play(tmp_path, scenario)
