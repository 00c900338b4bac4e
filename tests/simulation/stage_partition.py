"""One stage on one partition, worked on in the order of a real lane, with a crash wherever one can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from streams.lane.chunk import Chunk
from streams.lane.clock import PartitionClock
from streams.lane.lane import Decider
from streams.lane.table import LaneTable
from tests.simulation.memory_log import MemoryLog
from tests.simulation.tables import recover

Crash = Literal["none", "before the commit", "after the commit"]


class StagePartition:
    """Reads committed records, decides, commits, applies. Each new owner starts from what is committed.

    `new_decider` is asked for one whenever the partition changes its owner; `wall_ms` is the clock of the owner.
    """

    def __init__(
        self,
        log: MemoryLog,
        topics: Sequence[str],
        partition: int,
        table: LaneTable,
        new_decider: Callable[[], Decider],
        wall_ms: Callable[[], int],
    ) -> None:
        self.log = log
        self.topics = topics
        self.partition = partition
        self.table = table
        self._new_decider = new_decider
        self._wall_ms = wall_ms
        self.take_over()

    def take_over(self, disk_lost: bool = False) -> None:
        """A new owner: recover the table, then read from the committed offsets on."""
        if disk_lost:
            self.table.wipe(self.partition)
        recover(self.table, self.log, self.partition)
        self.decider = self._new_decider()
        self.clock = PartitionClock(self._wall_ms, self.decider.latest_ms())
        self.positions = {topic: self.log.committed.get((topic, self.partition), 0) for topic in self.topics}

    def has_work(self) -> bool:
        """Whether a step would do anything now."""
        next_at = self.decider.next_at_ms()
        waiting = any(self.log.end(topic, self.partition) > at for topic, at in self.positions.items())
        return waiting or (next_at is not None and next_at <= self.clock.now_ms())

    def step(self, crash: Crash = "none", records_max: int = 1_000) -> None:
        """Take one step of at most so many records of each topic."""
        chunks: list[Chunk] = []
        for topic, position in self.positions.items():
            chunk = self.log.chunk(topic, self.partition, position, records_max)
            if chunk is not None:
                chunks.append(chunk)
        step = self.decider.step([chunk for chunk in chunks if chunk.records], self.clock.now_ms())
        step.offsets = {(chunk.topic, self.partition): chunk.end for chunk in chunks}
        if crash == "before the commit":
            self.take_over()
            return
        last = self.log.commit(step, {self.table.name: self.table}, self.partition)
        if crash == "after the commit":
            self.take_over()
            return
        for name, offset in last.items():
            self.table.apply(self.partition, step.changes[name], offset)
        self.positions.update({chunk.topic: chunk.end for chunk in chunks})
