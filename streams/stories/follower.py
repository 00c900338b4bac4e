"""Follows `statuses` and writes the stories of the partitions that this worker has, or stands by for.

`statuses` is the changelog of the index: all statuses of a notification are in the partition of its slot, in order, and
only what is committed is read. What a worker does not have it reads, from as long ago as stories are kept, so nothing
of this needs a backup. It has no say in anything: what fails is tried again, and no lane waits for it. While lanes have
much to do it takes a small part of the time of the event loop, falls behind, and says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

import aiokafka
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from streams.kafka_consumer import stop_consumer
from streams.lane.app import LaneApp
from streams.lane.clock import wall_ms
from streams.lane.recovery import LaneTableManager
from streams.lane.slices import RawPartitionRecords
from streams.lane.table import LaneTable
from streams.settings import Settings, kafka_client_options
from streams.since import records_since
from streams.stories.erasures import Erasures
from streams.stories.store import HOUR_MS, StoryStore
from streams.topics import TopicNames

logger = logging.getLogger(__name__)

WAIT_MS: Final = 200
# For company: a fetch costs its worker and the broker as much for one status as for a hundred.
FETCH_WAIT_MS: Final = 100
FETCH_BYTES_MIN: Final = 256 * 1024
FETCH_BYTES_MAX: Final = 512 * 1024  # of each partition; only what is fetched ahead is in memory
SLICE_RECORDS_MAX: Final = 250  # some 2 ms of the event loop, then others have their turn
BUSY_RECORDS: Final = 4_000  # that wait in the lanes of this worker: then they come first
BUSY_SHARE: Final = 1 / 10  # of the time of the event loop
AGAIN_SECONDS: Final = 1.0
AGAIN_SECONDS_MAX: Final = 30.0
LOOK_SECONDS: Final = 60.0
KEPT_SECONDS: Final = 15.0  # longer than most rebalances


class Stories:
    """The stories of this worker. `stores`: open, by partition. `applied`: statuses since it was made. `behind`: the
    offsets that are missing, by what was last heard of the ends."""

    def __init__(self, app: LaneApp, settings: Settings, codec: Codec) -> None:
        topics = TopicNames.of(settings)
        self.keep_ms = int(settings.stories_hours * HOUR_MS)
        self.stores: dict[int, StoryStore] = {}
        self.applied = 0
        self._app = app
        self._codec = codec
        self._options = kafka_client_options(settings)
        self._topic, self._changes = topics.statuses, topics.device_changes
        self._all = [TopicPartition(self._changes, number) for number in range(settings.partitions)]
        self._folder = Path(app.options.data_dir) / "stories"
        self._positions: dict[TopicPartition, int] = {}
        self._asked_for: dict[int, int] = {}  # where each partition ended when it was opened
        self._unwanted_since: dict[int, float] = {}
        self._changes_read: dict[TopicPartition, int] = {}
        self._erasures = Erasures(codec)
        self._moved = asyncio.Event()
        self._looked_at = 0.0
        self.behind = 0

    def position(self, partition: int) -> int | None:
        """Return the offset up to which the stories of a partition are told, None: they are not followed here."""
        return self._positions.get(TopicPartition(self._topic, partition))

    def to_go(self, partition: int) -> int | None:
        """Return how many offsets are missing of what there was when a partition was opened; None: it is not open.

        Before there are none, what is told of it may be of the past.
        """
        position = self.position(partition)
        return None if position is None else max(0, self._asked_for[partition] - position)

    async def until_told(self, partition: int, end: int) -> bool:
        """Wait until the stories of a partition are told up to there; False: it is not followed any more."""
        while (position := self.position(partition)) is not None and position < end:
            await self._moved.wait()
        return position is not None

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = AGAIN_SECONDS
        try:
            while True:
                consumer = aiokafka.AIOKafkaConsumer(
                    isolation_level="read_committed",
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    max_partition_fetch_bytes=FETCH_BYTES_MAX,
                    fetch_max_wait_ms=FETCH_WAIT_MS,
                    fetch_min_bytes=FETCH_BYTES_MIN,
                    **self._options,
                )
                try:
                    await consumer.start()
                    while True:
                        if await self._turn(consumer):
                            pause = AGAIN_SECONDS
                except Exception as error:
                    # Whoever asks is told that it is not known, until it is.
                    logger.warning("stories: %r; again in %g s", error, pause)
                finally:
                    await stop_consumer(consumer)
                    self._close(set(self.stores))
                await asyncio.sleep(pause)
                pause = min(AGAIN_SECONDS_MAX, 2 * pause)
        finally:
            self._close(set(self.stores))

    async def _turn(self, consumer: Any) -> bool:
        wanted = self._wanted()
        if wanted != set(self.stores):
            await self._follow(consumer, wanted)
        if not wanted:
            await asyncio.sleep(WAIT_MS / 1000)
            return False
        for result in consumer._fetcher._records.values():
            # A ConsumerRecord for each costs more than its rows do; nothing of it is needed here.
            if isinstance(result, FetchResult) and result._partition_records is not None:
                result._partition_records.__class__ = RawPartitionRecords
        got = await consumer.getmany(timeout_ms=WAIT_MS, max_records=SLICE_RECORDS_MAX)
        await self._take(consumer, got)
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._look()
        return bool(got)

    def _wanted(self) -> set[int]:
        """The partitions whose slots this worker has, and those whose slots it stands by for.

        Those that move are kept for a while: most of them come back, and opening one takes its time.
        """
        app = self._app
        wanted = set(app.lanes.lanes("suppress"))
        changelog = cast(LaneTable, app.tables["slots"]).changelog
        standby = cast(LaneTableManager, app.tables).recovery.follower.tables
        wanted |= {tp.partition for tp in standby if tp.topic == changelog}
        now = time.monotonic()
        for partition in wanted:
            self._unwanted_since.pop(partition, None)
        for partition in set(self.stores) - wanted:
            if now - self._unwanted_since.setdefault(partition, now) < KEPT_SECONDS:
                wanted.add(partition)
        return wanted

    async def _take(self, consumer: Any, got: dict[TopicPartition, list[Any]]) -> None:
        # First who was erased: what is told of them in the same turn may be of the time before.
        for tp, records in got.items():
            if tp.topic == self._changes:
                self._erase(self._erasures.take(records))
                self._changes_read[tp] = records[-1].offset + 1
        started_at = time.monotonic()
        for tp in list(self._positions):
            if tp.topic != self._topic:
                continue
            position, store = await consumer.position(tp), self.stores[tp.partition]
            records = got.get(tp, [])
            if records:
                store.apply(records, position, wall_ms(), self._erasures.until)
                self.applied += len(records)
            self._positions[tp] = position
        self.behind = sum(
            max(0, (consumer.highwater(tp) or 0) - position)
            for tp, position in self._positions.items()
            if tp.topic == self._topic
        )
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        spent = time.monotonic() - started_at
        busy = sum(lane.queued_records for lane in self._app.lanes.all()) > BUSY_RECORDS
        await asyncio.sleep(spent * (1 / BUSY_SHARE - 1) if busy else 0)

    def _erase(self, erasures: Iterable[tuple[bytes, int]]) -> None:
        for user, at in erasures:
            for store in self.stores.values():
                store.erase(user, at)

    def _look(self) -> None:
        """Drop what is too old, also where nothing is told."""
        self._looked_at = time.monotonic()
        now = wall_ms()
        self._erasures.forget_before(now - self.keep_ms)
        for store in self.stores.values():
            store.look(now)

    # --- partitions

    async def _follow(self, consumer: Any, wanted: set[int]) -> None:
        """Open and close what has changed, and go on reading each where its rows end."""
        self._close(set(self.stores) - wanted)
        statuses = [TopicPartition(self._topic, number) for number in sorted(wanted)]
        consumer.assign(statuses + self._all)
        if not wanted:
            return
        first, ends = await records_since(consumer, statuses + self._all, wall_ms() - self.keep_ms)
        for tp in self._all:
            consumer.seek(tp, max(first[tp], self._changes_read.get(tp, 0)))
        consumer.pause(*statuses)
        while any([await consumer.position(tp) < ends[tp] for tp in self._all]):
            for tp, records in (await consumer.getmany(*self._all, timeout_ms=WAIT_MS)).items():
                self._erase(self._erasures.take(records))
                self._changes_read[tp] = records[-1].offset + 1
        for tp in statuses:
            store = self.stores.get(tp.partition)
            if store is None:
                store = self._open(tp.partition)
                await asyncio.sleep(0)  # opening one takes some milliseconds
            position = store.position
            if position is not None and position > ends[tp]:
                logger.warning("stories: %s-%d ends before what was told of it, and is told anew", *tp)
                store.wipe()
                position = None
            for user, at in self._erasures.until.items():
                store.erase(user, at)
            self.stores[tp.partition] = store
            # What is open already stays as it is: nobody is told that it is being opened.
            self._asked_for.setdefault(tp.partition, ends[tp])
            self._positions[tp] = start = max(position or 0, first[tp])
            consumer.seek(tp, start)
        consumer.resume(*statuses)

    def _open(self, partition: int) -> StoryStore:
        path = self._folder / f"{partition}.db"
        store = StoryStore(path, partition, self._app.budget.options, self.keep_ms, self._codec)
        store.look(wall_ms())
        return store

    def _close(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._positions.pop(TopicPartition(self._topic, partition), None)
            self._asked_for.pop(partition, None)
            self._unwanted_since.pop(partition, None)
            self.stores.pop(partition).close()
        # Who waits for one that is gone is told so.
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
