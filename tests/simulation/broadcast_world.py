"""broadcast on partitions over a log in memory, with a directory on real RocksDB and a clock that the test sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from schemas.codec import Codec
from schemas.keys import partition_of
from schemas.records import Preferences, Profile, Provider
from streams.lane.table import LaneTable
from streams.stages.broadcast import BroadcastDecider
from streams.stages.broadcast_rows import Progress
from streams.stages.broadcast_tell import BroadcastOptions
from streams.stages.broadcast_users import DirectoryUsers
from streams.stages.delivery_rows import devices_key
from streams.stages.directory_rows import preferences_key, profile_key
from streams.topics import TopicNames
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import Crash, StagePartition
from tests.simulation.tables import new_table, unstarted_app

TOPICS = TopicNames.with_prefix("")
CODEC = Codec()
START = 1_700_000_000_000
FAST = 1_000_000  # per second: as good as no pace


class Broadcasts:
    """The stage; `run` lets time pass."""

    def __init__(self, directory: Path, partitions: int = 1, per_second: float = FAST, types: str = "t") -> None:
        self.log, self.now, self.partitions = MemoryLog(), START, partitions
        app = unstarted_app(directory, partitions)
        self.table = new_table(app, LaneTable, "broadcasts")
        self.directory = new_table(app, LaneTable, "directory")
        self.is_behind = False
        self.is_here = True
        self._changes = 0
        self._requests = 0
        options = BroadcastOptions(per_second, lambda name: name in types.split(), lambda: self.is_behind)

        def decider(partition: int) -> BroadcastDecider:
            users = DirectoryUsers(self.directory, partition, lambda: self.is_here)
            return BroadcastDecider(partition, partitions, self.table, users, TOPICS, CODEC, options)

        def stage(partition: int) -> StagePartition:
            return StagePartition(
                self.log, (TOPICS.broadcasts,), partition, self.table, lambda: decider(partition), lambda: self.now
            )

        self.stages = [stage(partition) for partition in range(partitions)]

    @property
    def deciders(self) -> list[BroadcastDecider]:
        """Those of the owners right now."""
        return [cast(BroadcastDecider, stage.decider) for stage in self.stages]

    def close(self) -> None:
        """Let go of the stores."""
        for stage in self.stages:
            self.table.store.close_partition(stage.partition)
            self.directory.store.close_partition(stage.partition)

    # --- users

    def register(self, user: str, providers: Sequence[Provider] = ("APNS",)) -> None:
        """Register devices of a user, as deliver writes them."""
        devices = [
            {"device_id": f"{user} {name}", "provider": name, "address": "a", "registered_at": 1} for name in providers
        ]
        self._write(devices_key(user.encode()), user, CODEC.encode("Devices", {"user_id": user, "devices": devices}))

    def remove(self, user: str) -> None:
        """Remove all devices of a user."""
        self._write(devices_key(user.encode()), user, None)

    def prefer(self, user: str, wishes: Preferences) -> None:
        """Say what a user wants."""
        self._write(preferences_key(user.encode()), user, CODEC.encode("Preferences", wishes))

    def describe(self, user: str, profile: Profile) -> None:
        """Say who a user is."""
        self._write(profile_key(user.encode()), user, CODEC.encode("Profile", profile))

    def _write(self, key: bytes, user: str, row: bytes | None) -> None:
        self._changes += 1
        self.directory.apply(partition_of(user.encode(), self.partitions), {key: row}, self._changes)

    # --- what is asked for

    def start(self, name: str, audience: str = "ALL", **others: Any) -> None:
        """Start a broadcast in every partition."""
        record = {
            "broadcast_id": name,
            "type": "t",
            "requested_at": self.now,
            "requested_by": "ops",
            "audience": audience,
            **others,
        }
        self.everywhere("Broadcast", record)

    def list_users(self, name: str, users: Iterable[str]) -> None:
        """Write the users of a list, one record for each partition."""
        parts: dict[int, list[str]] = {}
        for user in users:
            parts.setdefault(partition_of(user.encode(), self.partitions), []).append(user)
        for partition, found in parts.items():
            self.write(partition, "BroadcastUsers", {"broadcast_id": name, "users": found})

    def control(self, name: str, action: str) -> str:
        """Pause, resume or cancel; returns the id of the request."""
        self._requests += 1
        request_id = f"r-{self._requests}"
        record = {
            "broadcast_id": name,
            "action": action,
            "request_id": request_id,
            "requested_by": "ops",
            "requested_at": self.now,
        }
        self.everywhere("BroadcastControl", record)
        return request_id

    def everywhere(self, contract: str, record: dict[str, Any]) -> None:
        """Put the same record on every partition of `broadcasts`."""
        for partition in range(self.partitions):
            self.write(partition, contract, record)

    def write(self, partition: int, contract: str, record: dict[str, Any]) -> None:
        """Put a record on `broadcasts`."""
        key = record["broadcast_id"].encode()
        self.log.append(TOPICS.broadcasts, partition, key, CODEC.encode(contract, record), [])

    # --- what happens

    def run(self, later_ms: int = 100) -> None:
        """Let so much time pass, with all the steps that are to be taken meanwhile, each when it is."""
        until = self.now + later_ms
        for _ in range(20_000):
            busy = [stage for stage in self.stages if stage.has_work()]
            for stage in busy:
                stage.step()
            if busy:
                continue
            soon = min((at for stage in self.stages if (at := stage.decider.next_at_ms()) is not None), default=until)
            if soon > until or self.now == until:
                self.now = until
                return
            self.now = soon
        raise AssertionError("never comes to rest")

    def step(self, partition: int = 0, crash: Crash = "none", records_max: int = 1_000) -> None:
        """One step of one partition."""
        self.stages[partition].step(crash, records_max)

    def read(self, topic: str, contract: str) -> list[dict[str, Any]]:
        """The records of a topic that hold this."""
        found = (CODEC.decode(record.value, CODEC_NAMES) for record in self.log.records(topic))
        return [each.record for each in found if each.name == contract]

    def told(self, name: str) -> Counter[str]:
        """How often each user was told."""
        copies = self.read(TOPICS.notifications, "Notification")
        return Counter(copy["user_id"] for copy in copies if copy["notification_id"] == name)

    def reports(self, name: str) -> list[dict[str, Any]]:
        """All reports of partitions."""
        found = self.read(TOPICS.broadcast_reports, "BroadcastReport")
        return [each for each in found if each["broadcast_id"] == name and each["partition"] is not None]

    def totals(self, name: str) -> list[dict[str, Any]]:
        """All totals; one is as it must be."""
        found = self.read(TOPICS.broadcast_reports, "BroadcastReport")
        return [each for each in found if each["broadcast_id"] == name and each["partition"] is None]

    def progress(self, name: str, partition: int = 0) -> Progress:
        """How far it is in a partition."""
        found = self.deciders[partition].book.find(name)
        assert found is not None, f"{name} is not known"
        return found.progress


CODEC_NAMES = ("Notification", "Broadcast", "BroadcastControl", "BroadcastUsers", "BroadcastReport", "DeadLetter")
