"""schedule on one or more partitions over a log in memory, with a clock that the test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.policies.scheduling import Counts
from streams.stages.schedule import ScheduleDecider, ScheduleOptions
from streams.stages.schedule_table import ScheduleTable
from streams.topics import TopicNames
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import StagePartition
from tests.simulation.tables import new_table, unstarted_app

TOPICS = TopicNames.with_prefix("")
CODEC = Codec()
START = 1_700_000_000_000


class Scheduling:
    """The stage; `run` takes the steps that are to be taken now."""

    def __init__(self, directory: Path, partitions: int = 1, per_second: float = 0.0) -> None:
        self.log, self.now, self.partitions = MemoryLog(), START, partitions
        self.table = new_table(unstarted_app(directory, partitions), ScheduleTable, "schedule")
        options = ScheduleOptions(per_second)

        def stage(partition: int) -> StagePartition:
            return StagePartition(
                self.log,
                (TOPICS.scheduled,),
                partition,
                self.table,
                lambda: ScheduleDecider(partition, partitions, self.table, TOPICS, CODEC, options),
                lambda: self.now,
            )

        self.stages = [stage(partition) for partition in range(partitions)]
        self.origins = 0
        self.requests = 0

    @property
    def deciders(self) -> list[ScheduleDecider]:
        """Those of the owners right now."""
        return [cast(ScheduleDecider, stage.decider) for stage in self.stages]

    @property
    def counts(self) -> Counts:
        """The ledger over all partitions."""
        return Counts(*(sum(values) for values in zip(*(each.counts for each in self.deciders), strict=True)))

    def close(self) -> None:
        """Let go of the stores."""
        for stage in self.stages:
            self.table.store.close_partition(stage.partition)

    def defer(
        self, name: str, due_in: int, expires_in: int | None = None, origin: int | None = None, user: str = "u"
    ) -> int:
        """suppress defers an event; returns its offset of origin."""
        if origin is None:
            self.origins += 1
            origin = self.origins
        notification = self._notification(name, user)
        notification["expires_at"] = None if expires_in is None else self.now + expires_in
        deferral = {
            "due_at": self.now + due_in,
            "origin_partition": 0,
            "origin_offset": origin,
            "notification": notification,
        }
        self.write("Deferral", deferral, user)
        return origin

    def retry(self, name: str, due_in: int, user: str = "u") -> None:
        """deliver wants another attempt."""
        delivery = {
            "admitted_at": self.now,
            "send_by": self.now + 60_000,
            "attempt": 2,
            "origin_partition": 0,
            "origin_offset": 0,
            "notification": self._notification(name, user),
        }
        self.write("Retry", {"due_at": self.now + due_in, "delivery": delivery}, user)

    def command(self, name: str, to_in: int | None = None, user: str = "u", partition: int | None = None) -> str:
        """Somebody cancels (no time) or moves; returns the id of the request."""
        self.requests += 1
        command = {
            "notification_id": name,
            "user_id": user,
            "type": "t",
            "request_id": f"r-{self.requests}",
            "requested_by": "ops",
            "requested_at": self.now,
        }
        if to_in is not None:
            command["due_at"] = self.now + to_in
        self.write("Cancel" if to_in is None else "Move", command, user, partition)
        return f"r-{self.requests}"

    def write(self, contract: str, record: dict[str, Any], user: str = "u", partition: int | None = None) -> None:
        """Put a record on `scheduled`."""
        slot = slot_key(user, "t")
        partition = partition_of(slot, self.partitions) if partition is None else partition
        self.log.append(TOPICS.scheduled, partition, slot, CODEC.encode(contract, record), [])

    def run(self, later_ms: int = 0) -> None:
        """Let time pass, then take all steps that are to be taken."""
        self.now += later_ms
        for _ in range(1_000):
            busy = [stage for stage in self.stages if stage.has_work()]
            if not busy:
                return
            for stage in busy:
                stage.step()
        raise AssertionError("never comes to rest")

    def take_over(self, disk_lost: bool = False) -> None:
        """Another worker has the partitions now."""
        for stage in self.stages:
            stage.take_over(disk_lost)

    def read(self, topic: str, contract: str) -> list[dict[str, Any]]:
        """The records of a topic."""
        return [CODEC.decode(record.value, (contract,)).record for record in self.log.records(topic)]

    def answer(self, request_id: str) -> dict[str, Any]:
        """The only answer to a request."""
        (found,) = [each for each in self.read(TOPICS.answers, "ScheduleAnswer") if each["request_id"] == request_id]
        return found

    def states(self, name: str) -> list[str]:
        """All that was said of a notification."""
        return [each["state"] for each in self.read(TOPICS.statuses, "Status") if each["notification_id"] == name]

    def released(self) -> list[str]:
        """The ids on `due`, in their order."""
        return [each["notification"]["notification_id"] for each in self.read(TOPICS.due, "Due")]

    def _notification(self, name: str, user: str) -> dict[str, Any]:
        return {"notification_id": name, "user_id": user, "type": "t", "created_at": self.now}
