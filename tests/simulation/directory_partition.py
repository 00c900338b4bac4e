"""The directory of deliver on one partition, worked on step by step: who reads what when is up to the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from streams.lane.chunk import Chunk
from streams.lane.lane import LaneContext
from streams.lane.step import Step
from streams.lane.table import LaneTable
from streams.policies.rendering import RenderFailed
from streams.stages.blocks import Sweeper
from streams.stages.deliver import DeliverLane
from streams.stages.deliver_step import DeliverStep
from streams.stages.deliver_types import DeliverSettings
from streams.stages.delivery_rows import DEVICES_PREFIX, devices_key, read_devices
from streams.stages.directory_first import DirectoryFirst
from streams.stages.user_devices import ECHO_PREFIX
from streams.topics import TopicNames
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import Crash
from tests.simulation.tables import recover

CODEC = Codec()
TOPICS = TopicNames.with_prefix("")


class MemoryTable:
    """What the directory needs of a LaneTable, in memory: a thousand lives of a partition take seconds."""

    name = "directory"
    changelog = "directory-changelog"

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._offset: int | None = None

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """As LaneTable."""
        return [self.rows.get(key) for key in keys]

    def apply(self, partition: int, changes: Mapping[bytes, bytes | None], offset: int) -> None:
        """As LaneTable."""
        for key, value in changes.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self._offset = offset

    def apply_chunk(self, chunk: Chunk) -> None:
        """As LaneTable."""
        self.apply(0, {each.key: each.value for each in chunk.records if each.key is not None}, chunk.end - 1)

    def persisted_offset(self, tp: TP) -> int | None:
        """As LaneTable."""
        return self._offset

    def changelog_position(self, partition: int) -> int:
        """As LaneTable."""
        return 0 if self._offset is None else self._offset + 1

    def scan(self, partition: int, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """As LaneTable."""
        return [(key, self.rows[key]) for key in sorted(self.rows) if start <= key < end][:limit]

    def wipe(self, partition: int) -> None:
        """As LaneTable."""
        self.rows.clear()
        self._offset = None


class DirectoryPartition:
    """Reads `devices` and `device-changes` as the lane does, and is told by providers what is gone."""

    def __init__(self, log: MemoryLog, now: Callable[[], int], devices_max: int = 100, partitions: int = 1) -> None:
        self.log, self.table, self._now = log, MemoryTable(), now
        settings = DeliverSettings(
            partitions=partitions,
            in_flight_max=1,
            claim_seconds=1.0,
            grace_ms=1,
            chance=lambda: 0.5,
            connectors={},
            policy_of=lambda type: None,
            choose=lambda type, locale, provider: RenderFailed("nothing is delivered here"),
            devices_max=devices_max,
        )
        deliveries = MemoryTable()
        self.lane = SimpleNamespace(
            settings=settings,
            topics=TOPICS,
            headers={"Status": b"", "Verdict": b""},
            tables=SimpleNamespace(directory=self.table, deliveries=deliveries),
            partition=0,
            codec=CODEC,
            sweeper=Sweeper(cast(LaneTable, deliveries), 0),
        )
        self.take_over()

    def take_over(self, disk_lost: bool = False) -> None:
        """A new owner: recover the table, then read from the committed offsets on."""
        if disk_lost:
            self.table.wipe(0)
        recover(cast(LaneTable, self.table), self.log, 0)
        topics = (TOPICS.devices, TOPICS.device_changes)
        self.positions = {topic: self.log.committed.get((topic, 0), 0) for topic in topics}
        self.lane.devices_position = self.positions[TOPICS.devices]
        self.held: set[str] = set()
        context = SimpleNamespace(
            partition=0,
            positions=self.positions,
            ends={topic: self.log.end(topic, 0) for topic in topics},
            hold=lambda topic, partition: self.held.add(topic),
            release=lambda topic, partition: self.held.discard(topic),
        )
        self.directory_first = DirectoryFirst(cast(LaneContext, context), (TOPICS.device_changes,))

    def forget_offsets(self) -> None:
        """The group was away for so long that Kafka has forgotten how far it had read `devices`."""
        self.log.committed.pop((TOPICS.devices, 0), None)
        self.take_over()

    def step(
        self,
        topics: Sequence[str] = (TOPICS.devices, TOPICS.device_changes),
        records_max: int = 1_000,
        crash: Crash = "none",
        gone: tuple[str, Device, int] | None = None,
    ) -> Step:
        """Take one step: what is gone, then at most so many records of each of these topics, in this order."""
        work = DeliverStep(cast(DeliverLane, self.lane), self._now(), 0.0)
        if gone is not None:
            user, device, gone_at = gone
            work.devices.gone(user.encode(), device, gone_at, "Unregistered")
        positions = dict(self.positions)
        for topic in topics:
            chunk = None if topic in self.held else self.log.chunk(topic, 0, positions[topic], records_max)
            if chunk is None:
                continue
            if topic == TOPICS.devices:
                work.devices.take_whole(chunk.records)
                self.lane.devices_position = chunk.end
            else:
                work.devices.take_changes(chunk.records)
            positions[topic] = chunk.end
        step = work.finish()
        step.offsets = {(topic, 0): position for topic, position in positions.items()}
        if crash != "before the commit":
            last = self.log.commit(step, {self.table.name: cast(LaneTable, self.table)}, 0)
            if crash == "none":
                for name, offset in last.items():
                    self.table.apply(0, step.changes[name], offset)
                self.positions = positions
                for topic, position in positions.items():
                    self.directory_first.reached(topic, position)
                return step
        self.take_over()
        return step

    def settle(self) -> None:
        """Read everything, what it writes itself included. Fails where that has no end."""
        for _ in range(100):
            if not self.is_behind():
                return
            self.step()
        raise AssertionError("it goes on writing to itself")

    def is_behind(self) -> bool:
        """Whether there is anything to read."""
        return any(self.log.end(topic, 0) > position for topic, position in self.positions.items())

    def known(self, user: str) -> list[Device]:
        """The devices of a user, as a push would be sent to them."""
        return read_devices(self.table.read(0, [devices_key(user.encode())])[0])

    def all_known(self) -> dict[str, list[Device]]:
        """The devices of each user who has any."""
        users = [key[1:].decode() for key in self.table.rows if key.startswith(DEVICES_PREFIX)]
        return {user: devices for user in users if (devices := self.known(user))}

    def echoes(self) -> int:
        """How many users have own records on their way."""
        return sum(key.startswith(ECHO_PREFIX) for key in self.table.rows)

    def said(self) -> dict[str, list[Device]]:
        """What a reader of `devices` who knows nothing of echoes ends with."""
        last: dict[str, list[Device]] = {}
        for record in self.log.records(TOPICS.devices):
            assert record.key is not None
            last[record.key.decode()] = read_devices(record.value)
        return {user: devices for user, devices in last.items() if devices}


def device(device_id: str, address: str | None = None, registered_at: int = 0, **changes: Any) -> Device:
    """An APNs device."""
    return replace(Device(device_id, ProviderName.APNS, address or device_id, None, None, registered_at), **changes)


def change(user: str, device_id: str, requested_at: int, **fields: Any) -> bytes:
    """A DeviceChange; with an address it is registered, else removed."""
    action = "REGISTER" if "address" in fields else "REMOVE"
    asked = {"request_id": "r", "requested_by": "test", "requested_at": requested_at}
    if action == "REGISTER":
        fields.setdefault("provider", "apns")
    return CODEC.encode("DeviceChange", {"user_id": user, "device_id": device_id, "action": action, **asked, **fields})
