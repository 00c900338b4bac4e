"""Kafka as the stages see it, in memory: partitions with offsets, and transactions that happen whole or not at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from streams.lane.chunk import Chunk, Record
from streams.lane.step import Headers, Step
from streams.lane.table import LaneTable


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record as aiokafka hands it out."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class MemoryLog:
    """All topics, and the committed offsets of one group. A transaction leaves a marker in each partition it wrote."""

    partitions: dict[tuple[str, int], list[LogRecord | None]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, int], int] = field(default_factory=dict)

    def append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers, timestamp: int = 0
    ) -> int:
        """Append one record and return its offset."""
        log = self.partitions[topic, partition]
        log.append(LogRecord(len(log), timestamp, key, value, headers))
        return len(log) - 1

    def commit(self, step: Step, tables: Mapping[str, LaneTable], partition: int) -> dict[str, int]:
        """Make a step durable; return for each of its tables the offset of the last change in the changelog."""
        wrote: set[tuple[str, int]] = set()
        for (topic, number), outputs in step.outputs.items():
            for key, value, headers in outputs:
                self.append(topic, number, key, value, headers)
                wrote.add((topic, number))
        last: dict[str, int] = {}
        for name, changes in step.changes.items():
            for key, value in changes.items():
                last[name] = self.append(tables[name].changelog, partition, key, value, [])
                wrote.add((tables[name].changelog, partition))
        self.committed.update(step.offsets)
        for place in wrote:
            self.partitions[place].append(None)
        return last

    def end(self, topic: str, partition: int) -> int:
        """The offset that the next record will have."""
        return len(self.partitions[topic, partition])

    def chunk(self, topic: str, partition: int, start: int, records_max: int = 1_000) -> Chunk | None:
        """The records from this position on, as a consumer that reads committed records gives them."""
        taken = self.partitions[topic, partition][start : start + records_max]
        if not taken:
            return None
        records = cast("list[Record]", [record for record in taken if record is not None])
        return Chunk(topic, partition, start, start + len(taken), records)

    def records(self, topic: str) -> list[LogRecord]:
        """All records of a topic, partition by partition."""
        return [
            record
            for (name, _), log in sorted(self.partitions.items(), key=lambda item: item[0])
            if name == topic
            for record in log
            if record is not None
        ]
