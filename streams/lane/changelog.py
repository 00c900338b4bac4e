"""Reads changelogs into local tables, each from where its local rows end.

With a consumer of our own: through Faust's it costs an event for each record, its buffers hold thousands of records
back, and an end that is a transaction marker is never reached.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka
from aiokafka.structs import TopicPartition
from faust.types import TP

from streams.kafka_consumer import stop_consumer

from .chunk import Chunk
from .table import LaneTable

logger = logging.getLogger(__name__)

RECORDS_MAX = 10_000
FETCH_BYTES_MAX = 4 * 1024 * 1024
FETCH_WAIT_MS = 100


class ChangelogReader:
    """One consumer over the changelogs of some table partitions. `read` is how many records were applied.

    `wait_ms`: for how long the broker may wait until there are `bytes_min` to answer a fetch with.
    """

    def __init__(
        self,
        consumer_options: Mapping[str, Any],
        tables: Mapping[TP, LaneTable],
        wait_ms: int = FETCH_WAIT_MS,
        bytes_min: int = 1,
    ) -> None:
        self._tables = {TopicPartition(*tp): table for tp, table in tables.items()}
        self._consumer = aiokafka.AIOKafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=wait_ms,
            fetch_min_bytes=bytes_min,
            **consumer_options,
        )
        self._positions: dict[TopicPartition, int] = {}
        self._halted = False
        self.read = 0

    @property
    def partitions(self) -> list[TopicPartition]:
        """What is read."""
        return list(self._tables)

    async def start(self) -> None:
        """Connect, and seek each changelog to where the local rows end; rows that cannot be continued are wiped."""
        await self._consumer.start()
        self._consumer.assign(self.partitions)
        first, ends = await self.first_offsets(), await self.ends()
        for tp, table in self._tables.items():
            self._positions[tp] = start = _start(tp, table, first[tp], ends[tp])
            self._consumer.seek(tp, start)

    async def first_offsets(self) -> dict[TopicPartition, int]:
        """Where each changelog begins."""
        return dict(await self._consumer.beginning_offsets(self.partitions))

    async def ends(self) -> dict[TopicPartition, int]:
        """Where each changelog ends now, for readers of what is committed."""
        return dict(await self._consumer.end_offsets(self.partitions))

    def behind(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """How many offsets are missing up to these ends, by those of which any are."""
        return {tp: end - self._positions[tp] for tp, end in ends.items() if end > self._positions[tp]}

    async def apply_next(self, partitions: Iterable[TopicPartition], wait_ms: int) -> bool:
        """Apply what has arrived of these. Returns whether anything had; markers count."""
        wanted = list(partitions)
        got = await self._consumer.getmany(*wanted, timeout_ms=wait_ms, max_records=RECORDS_MAX)
        moved = False
        for tp in wanted:
            position = await self._consumer.position(tp)
            if position > self._positions[tp]:
                self._apply(tp, position, got.get(tp, []))
                moved = True
        return moved

    def _apply(self, tp: TopicPartition, position: int, records: list[Any]) -> None:
        if self._halted:
            return
        chunk = Chunk(tp.topic, tp.partition, self._positions[tp], position, records)
        self._tables[tp].apply_chunk(chunk)
        self.read += len(records)
        self._positions[tp] = position

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch no more of these."""
        self._consumer.pause(*partitions)

    def halt(self) -> None:
        """Write nothing more, from now on."""
        self._halted = True

    async def stop(self) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)


def _start(tp: TopicPartition, table: LaneTable, first: int, end: int) -> int:
    persisted = table.persisted_offset(TP(*tp))
    if persisted is None:
        return first
    if persisted >= end:
        logger.warning("%s-%d: local state is ahead of the changelog, read anew", tp.topic, tp.partition)
    elif persisted + 1 < first:
        # What was deleted meanwhile may have left no trace in a compacted changelog.
        logger.warning("%s-%d: local state is older than the changelog, read anew", tp.topic, tp.partition)
    else:
        return persisted + 1
    table.wipe(tp.partition)
    return first
