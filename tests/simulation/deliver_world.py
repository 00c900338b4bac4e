"""The deliver stage on one partition: the real lane and real tables over an in-memory log and a scripted connector."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from connectors.outcome import Accepted, Connector, Device, NotSent, Outcome, ProviderName, Push
from schemas.codec import Codec
from schemas.keys import slot_key
from streams.lane.lane import LaneContext
from streams.lane.letters import NO_LETTER_RULE
from streams.lane.step import Step
from streams.lane.table import LaneTable
from streams.lane.transaction import PartitionTransaction, StepFailedError
from streams.policies.capping import Cap
from streams.policies.rendering import Chosen, TypeTemplate, Variant, VariantKey, compile_source
from streams.policies.retrying import RetryPolicy
from streams.profiles.source import ProfileSource
from streams.stages.deliver import DeliverLane
from streams.stages.deliver_services import Services
from streams.stages.deliver_types import DeliverPolicy, DeliverSettings, DeliverTables
from streams.stages.delivery_rows import write_devices
from streams.topics import TopicNames
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import Crash
from tests.simulation.tables import local_rows, new_table, recover, unstarted_app

TOPICS = TopicNames.with_prefix("")
CODEC = Codec()
GRACE_MS = 30_000
SKEW_MS = 5_000
SEND_WITHIN_MS = 300_000
WAIT_SECONDS_MAX = 20.0
NOW = 1_700_000_000_000


class ScriptedConnector:
    """Answers what the test says; without a word, it accepts. `asked` are the pushes that it was given."""

    name = ProviderName.APNS

    def __init__(self) -> None:
        self.asked: list[Push] = []
        self.answers: deque[Outcome | Awaitable[Outcome] | Exception] = deque()
        self.before: Callable[[Push], None] = lambda push: None

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, push: Push, may_start: Callable[[], bool]) -> Outcome:
        """Ask whether it may start, as real ones do, and answer."""
        if not may_start():
            return NotSent("deadline_passed", retry=False)
        self.before(push)
        self.asked.append(push)
        answer = self.answers.popleft() if self.answers else Accepted(200)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Accepted | NotSent) or not isinstance(answer, Awaitable):
            return answer
        return await answer


class MemoryTransaction:
    """Commits to the log, then to the tables; fails before, or dies between the two, when told to."""

    def __init__(self, world: DeliverWorld) -> None:
        self._world = world

    async def commit(self, step: Step) -> None:
        """As `PartitionTransaction.commit`."""
        world = self._world
        await asyncio.sleep(0)
        crash = world.commit_crash()
        if world.fail_commits or crash == "before the commit":
            raise StepFailedError("told to")
        last = world.log.commit(step, world.tables, 0)
        if crash == "after the commit":
            raise StepFailedError("told to")
        for name, offset in last.items():
            world.tables[name].apply(0, step.changes[name], offset)
        for topic, _ in step.outputs:
            if topic in world.lane.positions():  # what it writes to itself
                world.arrives(topic)
        async with world.committed:
            world.committed.notify_all()


class DeliverWorld:
    """Make it inside a running loop. `start` gives the partition an owner, `crash` takes it away."""

    def __init__(self, directory: Path) -> None:
        self.log = MemoryLog()
        self.connector = ScriptedConnector()
        self.committed = asyncio.Condition()
        self.held: set[str] = set()
        self.away: set[str] = set()  # topics of which nothing arrives
        self.fail_commits = False
        self.commit_crash: Callable[[], Crash] = lambda: "none"
        self.now = NOW
        self.profiles: ProfileSource | None = None
        self.policies: dict[str, DeliverPolicy | None] = {}
        self.connectors: dict[ProviderName, Connector] = {ProviderName.APNS: self.connector}
        self.services = Services({})
        self.in_flight_max = 100
        self.letters = NO_LETTER_RULE
        self.caps: tuple[Cap, ...] = ()
        self.titles: dict[str, str] = {}
        app = unstarted_app(directory, 1)
        self.tables: Mapping[str, LaneTable] = {
            name: new_table(app, LaneTable, name) for name in ("deliveries", "directory")
        }
        self.lane: DeliverLane
        self.task: asyncio.Task[None]
        self._telling: asyncio.Task[None] | None = None

    def policy(self, type: str) -> DeliverPolicy | None:
        """The rules of a type: those that the test set, or two attempts with back-off."""
        usual = DeliverPolicy(
            retry=RetryPolicy(attempts=2, backoff_ms_first=1_000, backoff_ms_max=60_000),
            ttl_seconds=3_600,
            urgent=True,
            newest_device=False,
            resend_unknown=False,
        )
        return self.policies.get(type, usual)

    def choose(self, type: str, locale: str | None, provider: str) -> Chosen:
        """What a type says: the title that the test set, or its name."""
        title = compile_source(self.titles.get(type, "{{ type }}"))
        return TypeTemplate(type, "1", "test", {VariantKey(): Variant(title=title)}).choose(locale, provider)

    def start(self) -> None:
        """A new owner: recover, and read from the committed offsets on."""
        for table in self.tables.values():
            recover(table, self.log, 0)
        directory = (TOPICS.devices, TOPICS.device_changes, TOPICS.preferences, TOPICS.profiles)
        sources = (TOPICS.outbox, TOPICS.outbox_bulk, *directory, TOPICS.templates)
        positions = {topic: self.log.committed.get((topic, 0), 0) for topic in sources}
        context = LaneContext(
            stage="deliver",
            partition=0,
            transaction=cast(PartitionTransaction, MemoryTransaction(self)),
            positions=positions,
            hold=lambda topic, partition: self.held.add(topic),
            release=lambda topic, partition: self._release(topic),
            wall_ms=lambda: self.now,
            commit_seconds_max=WAIT_SECONDS_MAX,
            last=frozenset((TOPICS.outbox_bulk,)),
            letters=self.letters,
            ends={topic: self.log.end(topic, 0) for topic in sources},
        )
        self.held.clear()
        settings = DeliverSettings(
            partitions=1,
            in_flight_max=self.in_flight_max,
            claim_seconds=60.0,
            grace_ms=GRACE_MS,
            chance=lambda: 0.5,
            connectors=self.connectors,
            policy_of=self.policy,
            profiles=self.profiles,
            services=self.services,
            caps=self.caps,
            skew_ms=SKEW_MS,
            choose=self.choose,
        )
        tables = DeliverTables(self.tables["deliveries"], self.tables["directory"])
        self.lane = DeliverLane(context, tables, TOPICS, settings, CODEC)
        self.task = asyncio.create_task(self.lane.run())
        self.task.add_done_callback(self._ended)
        for topic, position in positions.items():
            self._offer(topic, position)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whoever waits for something to be committed looks again: it may be in vain."""

        async def tell() -> None:
            async with self.committed:
                self.committed.notify_all()

        if not task.cancelled() and task.exception() is not None:
            self._telling = asyncio.create_task(tell())

    async def crash(self) -> None:
        """The owner dies: requests under way have no outcome, and the tables keep what was committed."""
        self.task.cancel()
        await asyncio.wait([self.task], timeout=WAIT_SECONDS_MAX)

    def _release(self, topic: str) -> None:
        self.held.discard(topic)
        self._offer(topic, self.lane.positions()[topic])

    def arrives(self, topic: str) -> None:
        """What is on the topic reaches the lane."""
        self._offer(topic, self.lane.positions()[topic])

    def _offer(self, topic: str, position: int) -> None:
        if topic in self.held | self.away:
            return
        chunk = self.log.chunk(topic, 0, position)
        if chunk is not None:
            self.lane.offer(chunk)

    def append(self, topic: str, key: bytes | None, value: bytes | None) -> int:
        """A record arrives; return its offset."""
        offset = self.log.append(topic, 0, key, value, [])
        if hasattr(self, "lane"):
            self._offer(topic, offset)
        return offset

    def devices(self, user: str, *devices: Device) -> None:
        """The devices of a user; without any, one phone."""
        listed = list(devices) or [phone(user)]
        self.append(TOPICS.devices, user.encode(), write_devices(user, listed))

    def preferences(self, user: str = "u", **wishes: Any) -> None:
        """What a user wants; the fields of Preferences."""
        self.append(TOPICS.preferences, user.encode(), CODEC.encode("Preferences", {"user_id": user, **wishes}))

    def profile(self, user: str = "u", **known: Any) -> None:
        """What is known of a user; the fields of Profile."""
        self.append(TOPICS.profiles, user.encode(), CODEC.encode("Profile", {"user_id": user, **known}))

    def delivery(self, notification_id: str, user: str = "u", **changes: Any) -> int:
        """An admitted notification arrives; `changes` are fields of Delivery or of its Notification, and the topic."""
        topic = changes.pop("topic", TOPICS.outbox)
        notification: dict[str, Any] = {
            "notification_id": notification_id,
            "user_id": user,
            "type": "t",
            "created_at": self.now,
            **{name: changes.pop(name) for name in ("type", "data", "expires_at") if name in changes},
        }
        delivery = {
            "admitted_at": self.now,
            "send_by": self.now + SEND_WITHIN_MS,
            "attempt": 1,
            "origin_partition": 0,
            "origin_offset": self.log.end(topic, 0),
            "notification": notification,
            **changes,
        }
        return self.append(topic, user.encode(), CODEC.encode("Delivery", delivery))

    def read(self, topic: str) -> list[dict[str, Any]]:
        """The records that were committed on a topic."""
        names = ("Status", "Verdict", "Retry", "DeadLetter", "Delivery", "Deferral")
        return [CODEC.decode(record.value, names).record for record in self.log.records(topic)]

    def states(self, notification_id: str) -> list[str]:
        """The states that a notification went through."""
        return [
            status["state"] for status in self.read(TOPICS.statuses) if status["notification_id"] == notification_id
        ]

    def verdicts(self) -> list[tuple[str, str, int]]:
        """(notification, outcome, at) of each verdict, the time since the start of the world."""
        return [(each["notification_id"], each["outcome"], each["at"] - NOW) for each in self.read(TOPICS.verdicts)]

    def rows(self, table: str) -> dict[bytes, bytes]:
        """What a table holds."""
        return local_rows(self.tables[table], 0)

    async def until(self, ready: Callable[[], object]) -> None:
        """Wait until what was committed is so. Raises TimeoutError, and what the lane failed with."""
        async with asyncio.timeout(WAIT_SECONDS_MAX), self.committed:
            while not ready():
                if self.task.done():
                    self.task.result()
                waiter = asyncio.ensure_future(self.committed.wait())
                await waiter

    async def until_state(self, notification_id: str, state: str) -> None:
        """Wait until a notification is in this state."""
        await self.until(lambda: self.states(notification_id)[-1:] == [state])

    async def until_committed(self, topic: str = TOPICS.outbox) -> None:
        """Wait until everything on the topic is done and committed."""
        await self.until(lambda: self.log.committed.get((topic, 0)) == self.log.end(topic, 0))


@contextmanager
def pending() -> Iterator[asyncio.Future[Outcome]]:
    """An answer that the test gives later."""
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    yield future
    future.cancel()


def phone(user: str, **changes: Any) -> Device:
    """A device with an address of its own."""
    device = Device("phone", ProviderName.APNS, f"address of {user}", None, None, NOW)
    return replace(device, **changes)


def slot(user: str = "u") -> bytes:
    """The slot of a user's notifications."""
    return slot_key(user, "t")
