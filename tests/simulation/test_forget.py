"""Erasure over logs in memory: what the stages remove of a user, what they keep, and a crash at each step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.outcome import Outcome
from schemas.keys import slot_key
from streams.policies.suppression import SlotPolicy
from streams.stages import deliver_forget, schedule, suppress
from streams.stages.delivery_rows import STATE_PREFIX
from streams.stages.forgetting import Forget, rows_of_user, write_forget
from streams.stages.slots_table import PLACE_PREFIX, SlotsTable
from streams.stages.suppress import SuppressDecider
from tests.simulation.deliver_world import CODEC, NOW, TOPICS, DeliverWorld
from tests.simulation.memory_log import MemoryLog
from tests.simulation.schedule_world import Scheduling
from tests.simulation.stage_partition import Crash, StagePartition
from tests.simulation.tables import local_rows, new_table, unstarted_app

HOUR_MS = 3_600_000
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


class Suppressing:
    """suppress on one partition, with windows of one hour and two places to a slot."""

    def __init__(self, directory: Path) -> None:
        self.log, self.now = MemoryLog(), NOW
        self.table = table = new_table(unstarted_app(directory, 1), SlotsTable, "slots")
        topics = (TOPICS.notifications, TOPICS.due, TOPICS.verdicts)
        policy = SlotPolicy(window_ms=HOUR_MS, limit=2, send_within_ms=60_000, grace_ms=0, skew_ms=0)
        self.stage = StagePartition(
            self.log,
            topics,
            0,
            table,
            lambda: SuppressDecider(0, 1, table, TOPICS, lambda slot: policy, CODEC),
            lambda: self.now,
        )
        self.events = 0

    def event(self, user: str, kind: str) -> str:
        """An event arrives; return its id."""
        self.events += 1
        name = f"n{self.events}"
        record = {"notification_id": name, "user_id": user, "type": kind, "created_at": self.now}
        value = CODEC.encode("Notification", record)
        self.log.append(TOPICS.notifications, 0, slot_key(user, kind), value, [])
        return name

    def verdict(self, user: str, kind: str, name: str, outcome: str) -> None:
        """deliver says what became of it."""
        verdict = {"notification_id": name, "user_id": user, "type": kind, "outcome": outcome, "at": self.now}
        self.log.append(TOPICS.verdicts, 0, slot_key(user, kind), CODEC.encode("Verdict", verdict), [])

    def forget(self, user: str) -> None:
        """deliver passes the command on."""
        self.log.append(TOPICS.verdicts, 0, user.encode(), forget(user, TOPICS.verdicts), [])

    def run(self, crash: Crash = "none") -> None:
        """Take all steps that are to be taken, each after one that crashes."""
        while self.stage.has_work():
            if crash != "none":
                self.stage.step(crash)
            self.stage.step()

    def slots(self) -> list[bytes]:
        """The places that there are rows of."""
        return sorted(key for key in local_rows(self.table, 0) if key.startswith(PLACE_PREFIX))

    def read(self, topic: str, *contracts: str) -> list[dict[str, Any]]:
        """The records of a topic."""
        return [CODEC.decode(record.value, contracts).record for record in self.log.records(topic)]


@pytest.mark.parametrize("crash", CRASHES)
@pytest.mark.parametrize("rows_max", [1, 2, 500])
def test_suppress_keeps_what_is_blocked_and_says_until_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: Crash, rows_max: int
) -> None:
    """A place that is over goes, one that is not stays; schedule is asked once; whoever comes back finds its window.

    0                    30 min               60 min + 1 ms   60 min + 2 ms
    |a sent, b sent      |b sent (2nd place)  |forget         |b: 2nd place taken still, 1st free
    """
    monkeypatch.setattr(suppress, "ROWS_MAX", rows_max)
    world = Suppressing(tmp_path)
    others = ("u:x", "uu", "t")
    for user, kind in (("u", "a"), ("u", "b"), *((other, "a") for other in others)):
        name = world.event(user, kind)
        world.run()
        world.verdict(user, kind, name, "ACCEPTED")
    world.run()
    world.now += HOUR_MS // 2
    second = world.event("u", "b")
    world.run()
    world.verdict("u", "b", second, "ACCEPTED")
    world.run()
    world.now += HOUR_MS // 2 + 1
    world.stage.decider.sweeper.next_at_ms = None  # type: ignore[attr-defined] # the sweeper has not come so far yet
    of_others = [key for key in world.slots() if not key.startswith(PLACE_PREFIX + b"u:") or b"x" in key]
    assert len(of_others) == len(others)
    world.forget("u")
    while not world.log.records(TOPICS.answers):
        if crash != "none":
            world.stage.step(crash)
            world.stage.decider.sweeper.next_at_ms = None  # type: ignore[attr-defined] # nor for a new owner
        world.stage.step()
    (answer,) = world.read(TOPICS.answers, "ForgetAnswer")
    until = NOW + HOUR_MS // 2 + HOUR_MS
    found = {name: answer[name] for name in ("stage", "removed", "kept", "slots_kept_until")}
    assert found == {"stage": "suppress", "removed": {"slots": 2}, "kept": {"slots": 1}, "slots_kept_until": until}
    assert [each["round"] for each in world.read(TOPICS.scheduled, "Forget")] == [0]
    assert world.slots() == sorted([*of_others, PLACE_PREFIX + b"u:b\0001"])
    free, taken = world.event("u", "b"), world.event("u", "b")
    world.run()
    states = {each["notification_id"]: each["state"] for each in world.read(TOPICS.statuses, "Status")}
    assert (states[free], states[taken]) == ("ADMITTED", "SUPPRESSED")
    world.now += 2 * HOUR_MS
    world.run()
    assert world.slots() == []


def test_a_verdict_in_the_same_step_counts(tmp_path: Path) -> None:
    """What is freed right before the command is no slot that is kept, and what is accepted right before it is one."""
    world = Suppressing(tmp_path)
    freed, accepted = world.event("u", "a"), world.event("u", "b")
    world.run()
    world.verdict("u", "a", freed, "FREED")
    world.verdict("u", "b", accepted, "ACCEPTED")
    world.forget("u")
    again = world.event("u", "a")
    world.run()
    (answer,) = world.read(TOPICS.answers, "ForgetAnswer")
    assert (answer["removed"], answer["kept"], answer["slots_kept_until"]) == (
        {"slots": 1},
        {"slots": 1},
        NOW + HOUR_MS,
    )
    assert [each["state"] for each in world.read(TOPICS.statuses, "Status") if each["notification_id"] == again] == [
        "ADMITTED"
    ]
    assert world.slots() == [PLACE_PREFIX + b"u:a", PLACE_PREFIX + b"u:b"]


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
