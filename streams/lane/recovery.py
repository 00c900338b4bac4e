"""Recovery: fence, replay, seek, start, in this order.

Fence first: as long as the old owner can commit, the changelog has no end that one could replay up to, and an open
transaction of his would hold back every read-committed reader. Then the changelogs are replayed with a consumer of our
own: through Faust's it costs an event for each record, and its end is never reached when the last record is a
transaction marker. Then the streams are sought, and only then does anything flow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, cast

import aiokafka
from aiokafka.structs import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from streams.kafka_consumer import stop_consumer

from .chunk import Chunk
from .table import LaneTable

if TYPE_CHECKING:
    from .app import LaneApp
    from .consumer import LaneConsumer

logger = logging.getLogger(__name__)

REPLAY_RECORDS_MAX = 10_000
REPLAY_FETCH_BYTES_MAX = 4 * 1024 * 1024
REPLAY_SILENCE_SECONDS_MAX = 60.0
PROGRESS_SECONDS = 5.0
PARK_SECONDS_MAX = 30.0


class ReplayStalledError(Exception):
    """The changelog has more, but nothing arrives."""


class ChangelogReplay:
    """Brings local tables up to the end of their changelogs."""

    def __init__(self, consumer_options: Mapping[str, Any]) -> None:
        self._consumer_options = dict(consumer_options)
        self.replayed = 0
        self.remaining = 0
        self.seconds = 0.0

    async def run(self, tables: Mapping[TP, LaneTable]) -> None:
        """Replay every table partition from its persisted offset up to the end that the broker gives now."""
        if not tables:
            return
        started_at = time.monotonic()
        consumer = aiokafka.AIOKafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=REPLAY_FETCH_BYTES_MAX,
            fetch_max_wait_ms=100,
            **self._consumer_options,
        )
        await consumer.start()
        try:
            await self._replay(consumer, tables)
        finally:
            await stop_consumer(consumer)
        self.seconds = time.monotonic() - started_at
        logger.info("recovery: %d changelog records applied in %.1f s", self.replayed, self.seconds)

    def describe(self) -> str:
        """Return how it goes, or how it went, for people."""
        if self.remaining:
            return f"{self.replayed:,} changelog records applied, {self.remaining:,} to go"
        return f"{self.replayed:,} changelog records applied in {self.seconds:.1f} s"

    async def _replay(self, consumer: aiokafka.AIOKafkaConsumer, tables: Mapping[TP, LaneTable]) -> None:
        partitions = [TopicPartition(*tp) for tp in tables]
        consumer.assign(partitions)
        first, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        open_ends: dict[TopicPartition, int] = {}
        for tp in partitions:
            start = self._start(TP(*tp), tables[TP(*tp)], first[tp], ends[tp])
            consumer.seek(tp, start)
            if start < ends[tp]:
                open_ends[tp] = ends[tp]
            else:
                consumer.pause(tp)
        loop = asyncio.get_running_loop()
        heard_at = reported_at = loop.time()
        positions = {tp: await consumer.position(tp) for tp in open_ends}
        while open_ends:
            got = await consumer.getmany(*open_ends, timeout_ms=500, max_records=REPLAY_RECORDS_MAX)
            for tp in list(open_ends):
                position = await consumer.position(tp)
                if position > positions[tp]:
                    chunk = Chunk(tp.topic, tp.partition, positions[tp], position, got.get(tp, []))
                    tables[TP(*tp)].apply_chunk(chunk)
                    self.replayed += len(chunk.records)
                    positions[tp], heard_at = position, loop.time()
                if position >= open_ends[tp]:
                    del open_ends[tp]
                    consumer.pause(tp)
            self.remaining = sum(end - positions[tp] for tp, end in open_ends.items())
            if loop.time() - heard_at > REPLAY_SILENCE_SECONDS_MAX:
                raise ReplayStalledError(f"nothing read for {REPLAY_SILENCE_SECONDS_MAX} s, {self.remaining} to go")
            if loop.time() - reported_at > PROGRESS_SECONDS:
                reported_at = loop.time()
                logger.warning("recovery: %s", self.describe())

    @staticmethod
    def _start(tp: TP, table: LaneTable, first: int, end: int) -> int:
        persisted = table.persisted_offset(tp)
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


class FencedRecovery(Recovery):
    """Faust's recovery with the order above; standbys stay as Faust has them."""

    app: LaneApp

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        # Faust goes on as if all were well when its time-out strikes; a rebalance or a stop ends the wait as before.
        await super()._wait(coro)

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        if title == "active":
            await self.app.lanes.fence(consumer.assignment())
            replay = self.app.replay = ChangelogReplay(self.app.client_options)
            await replay.run({tp: cast(LaneTable, self.tp_to_table[tp]) for tp in tps})
        await super()._build_highwaters(consumer, tps, destination, title)

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        if title != "active":
            await super()._build_offsets(consumer, tps, destination, title)
            return
        for tp in tps:  # the replay is complete: Faust must find nothing left to recover
            destination[tp] = self.active_highwaters[tp]

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Stop the flow and wait until the reader holds nothing, then let Faust seek and start."""
        consumer = cast("LaneConsumer", self.app.consumer)
        consumer.stop_flow()
        self.app.flow_control.suspend()
        if self.app._fetcher.started:
            parked: Awaitable[Any] = asyncio.wait_for(consumer.parked.wait(), PARK_SECONDS_MAX)
            await self._wait(parked)
        await super().on_recovery_completed(generation_id)
        if self.completed.is_set() and not consumer.assignment():
            # With nothing to seek Faust opens nothing; a worker that is one too many is ready too, for the next change.
            await self.app.lanes.open({})


class LaneTableManager(TableManager):
    """Faust's table manager with our recovery."""

    @property
    def recovery(self) -> FencedRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = FencedRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return cast(FencedRecovery, self._recovery)

    async def on_start(self) -> None:
        """Start at once: Faust waits a second for tables that may still be added, and all of ours are there."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()
