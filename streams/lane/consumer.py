"""Faust's consumer, reading committed records in chunks and leaving the offsets to the transactions.

Holes of Faust 0.15.3 that are closed here:
- it reads uncommitted records, and its fetches wait 1.5 s on idle partitions while others have work;
- paused partitions are only ignored, not paused in the client, so that their fetches hold up the rest;
- it commits past an event that is still in flight (upstream #606): nothing is committed here at all;
- it takes a coordinator that is still loading for one that knows nothing, and begins at the beginning (group_offsets);
- a partition without a committed offset is not sought after recovery, and what was fetched meanwhile is lost;
- records fetched before a rebalance reach the streams after it: they are dropped, and sought again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import aiokafka
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.group_offsets import offsets_of_member
from streams.kafka_consumer import stop_consumer

from .chunk import CHUNK_RECORDS_MAX, Chunk
from .garbage import collect_seldom
from .held import HeldPartitions
from .slices import take_records

if TYPE_CHECKING:
    from .app import LaneApp

FETCH_WAIT_MS = 50  # a long wait on idle partitions delays the next fetch of the busy ones: one is in flight per node
FETCH_BYTES_MAX = 256 * 1024  # by partition, some two thousand small records; with 60 partitions 15 MiB at the most
POLL_SECONDS = 0.05


class LaneConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which the client lives."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            check_crcs=conf.broker_check_crcs,
            **cast("LaneApp", self.app).client_options,
        )

    async def on_thread_stop(self) -> None:
        """Stop the thread's method queue and the client, also in the middle of a rebalance."""
        await super(driver.AIOKafkaConsumerThread, self).on_thread_stop()  # Faust's own would stop the client
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TP, list[Chunk]]:
        """Take what is fetched, as chunks that tell where they start and end, markers included."""
        if not self.consumer.flow_active:
            return {}
        fetcher: Fetcher = consumer._fetcher
        with fetcher._subscriptions.fetch_context():
            got = self._take(fetcher, active_partitions)
            if not got and timeout:
                await asyncio.wait([fetcher._create_fetch_waiter()], timeout=timeout)
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                got = self._take(fetcher, active_partitions)
        return got

    def _take(self, fetcher: Fetcher, active: set[TP]) -> dict[TP, list[Chunk]]:
        got: dict[TP, list[Chunk]] = {}
        if fetcher._subscriptions.reassignment_in_progress:
            return got
        for tp in list(fetcher._records):
            result = fetcher._records[tp]
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
                continue
            if TP(tp.topic, tp.partition) not in active:
                continue
            if not isinstance(result, FetchResult):
                del fetcher._records[tp]
                fetcher._notify(fetcher._wait_consume_future)
                result.check_raise()
                continue
            state = result._assignment.state_value(tp)
            chunks = got.setdefault(TP(tp.topic, tp.partition), [])
            while result.has_more() and len(chunks) < 2:
                start = state.position
                records = take_records(result, CHUNK_RECORDS_MAX)
                if state.position > start:
                    chunks.append(Chunk(tp.topic, tp.partition, start, state.position, records))
            if not result.has_more():
                del fetcher._records[tp]
                fetcher._notify(fetcher._wait_consume_future)
        return {tp: chunks for tp, chunks in got.items() if chunks}


class LaneConsumer(driver.Consumer):
    """The consumer of the worker."""

    app: LaneApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.parked = asyncio.Event()
        self._held = HeldPartitions()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> LaneConsumerThread:
        return LaneConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def hold(self, tp: TP) -> None:
        """Stop handing out chunks of a partition whose lane has enough."""
        self._held.add(tp)

    def release(self, tp: TP) -> None:
        """Hand out chunks of the partition again."""
        self._held.discard(tp)

    async def _wait_next_records(self, timeout: float) -> tuple[dict[TP, list[Chunk]] | None, set[TP] | None]:
        if not self.flow_active:
            self.parked.set()
            try:
                await self.wait(self.can_resume_flow)  # type: ignore[arg-type] # mode accepts asyncio events
            finally:
                self.parked.clear()
        active = self._get_active_partitions() - self._held.partitions
        if not active:
            await asyncio.sleep(POLL_SECONDS)
            return {}, active
        return cast("dict[TP, list[Chunk]]", await self._getmany(active, POLL_SECONDS)), active

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield chunks. What was fetched before the flow stopped is dropped: recovery seeks before it starts again."""
        generation = self.app.consumer_generation_id
        got, _ = await self._wait_next_records(timeout)
        for tp, chunks in (got or {}).items():
            for chunk in chunks:
                if self.should_stop or not self.flow_active or generation != self.app.consumer_generation_id:
                    return
                yield tp, self._chunk_message(tp, chunk)

    def _chunk_message(self, tp: TP, chunk: Chunk) -> ConsumerMessage:
        return ConsumerMessage(
            topic=chunk.topic,
            partition=chunk.partition,
            offset=chunk.offset,
            timestamp=0.0,
            timestamp_type=0,
            headers=None,
            key=None,
            value=cast(Any, chunk),
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def perform_seek(self) -> None:
        """Seek every source partition to what its transactions committed, or to its beginning, and open the lanes."""
        sources = {TopicPartition(*tp) for tp in self.assignment() if not self._is_changelog_tp(tp)}
        offsets: dict[TP, int]
        ends: dict[TP, int]
        offsets, ends = await self._thread.call_thread(self._seek_sources, sources)
        self._read_offset.update(dict.fromkeys(offsets))
        self._held.clear()
        await self.app.lanes.open(offsets, ends)
        collect_seldom()

    async def _seek_sources(self, sources: set[TopicPartition]) -> tuple[dict[TP, int], dict[TP, int]]:
        consumer = self._thread._ensure_consumer()
        if not sources:
            return {}, {}
        committed = await offsets_of_member(consumer._coordinator, sources)
        first = await consumer.beginning_offsets(list(sources))
        ends = await consumer.end_offsets(list(sources))
        offsets: dict[TP, int] = {}
        for tp in sources:
            offset = max(committed.get(tp, 0), first[tp])
            consumer.seek(tp, offset)
            offsets[TP(tp.topic, tp.partition)] = offset
        return offsets, {TP(tp.topic, tp.partition): end for tp, end in ends.items()}

    def pause_partitions(self, tps: Any) -> None:
        """Pause in Faust and in the client."""
        super().pause_partitions(tps)
        self._mirror_pauses()

    def resume_partitions(self, tps: Any) -> None:
        """Resume in Faust and in the client."""
        super().resume_partitions(tps)
        self._mirror_pauses()

    def _mirror_pauses(self) -> None:
        consumer, paused = self._thread._ensure_consumer(), frozenset(self._paused_partitions)

        def apply() -> None:
            for tp in consumer.assignment():
                (consumer.pause if tp in paused else consumer.resume)(tp)

        if not self._thread.thread_loop.is_closed():  # after a crash Faust still pauses on its way out
            self._thread.thread_loop.call_soon_threadsafe(apply)

    def ack(self, message: Any) -> bool:
        """Nothing to note: a chunk's offsets are committed by the transaction of the step that it went into."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing: see `transaction`."""
        return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Ignore gaps: chunks carry their own bounds."""

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: the lane holds its own partition."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing: the lane releases its own partition."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: the watchdog looks at the lanes, which know better than Faust's timers for single events."""

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Nothing: recovery reads with its own consumer."""

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the ends as the broker knows them; the client's idea of them is unknown before its first fetch."""
        consumer = self._thread._ensure_consumer()
        ends: Mapping[TP, int] = await self._thread.call_thread(consumer.end_offsets, partitions)
        return ends


class LaneTransport(driver.Transport):
    """Faust's transport with our consumer."""

    Consumer = LaneConsumer


__all__ = ["LaneConsumer", "LaneTransport"]
