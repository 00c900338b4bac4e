"""The sink: reads `statuses` and writes the history; where to go on reading is written with what was read.

Any number of these may run. Kafka shares the partitions among them, as the consumer group `<app id>-history`; the
database sees to it that each is written by its present owner only (see Database). A crash at any point leaves whole
transactions, each with its offsets. One batch is written while the next is read, and no more is in memory than these
two and what aiokafka has fetched ahead; a slow database slows the reading, and one that is down stops it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import aiokafka
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.audit.reading import decoder
from streams.history.database import (
    Batch,
    Claim,
    Database,
    DatabaseDownError,
    DatabaseRefusesError,
    FencedError,
)
from streams.history.rows import StatusRow, states_of, status_row
from streams.kafka_consumer import stop_consumer
from streams.settings import Settings, kafka_client_options
from streams.topics import DAY_MS, TopicNames

logger = logging.getLogger(__name__)

RECORDS_MAX: Final = 5_000  # in one transaction
FETCH_BYTES_MAX: Final = 1024 * 1024  # of each partition that is fetched ahead
WAIT_MS: Final = 500
FEW_RECORDS: Final = 500
COMPANY_SECONDS: Final = 0.2  # few wait for more: a transaction costs the server as much for one as for hundreds
PRUNED_MAX: Final = 5_000  # in one transaction
LOOK_SECONDS: Final = 60.0  # between two looks for what is too old, where nothing is known to be
COMMIT_SECONDS: Final = 5.0
SESSION_SECONDS: Final = 10.0
KAFKA_AGAIN_SECONDS: Final = 5.0
AGAIN_SECONDS_MAX: Final = 30.0
AWAY_MS_MAX: Final = 24 * 3_600_000  # a database may be down for so long before Kafka gives the partitions to another
STOP_SECONDS_MAX: Final = 15.0
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """How a sink runs. `say`: to the person who started it. `wall_ms`: the time, by which is forgotten."""

    say: Callable[[str], None]
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    again_seconds: float = 0.5


class Assigned(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """What Kafka has assigned, and how often that has changed. Nothing is read before it is claimed."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.partitions: frozenset[int] = frozenset()
        self.changes = 0

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Called before partitions move."""
        self.partitions = frozenset()
        self.changes += 1

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Called when they have."""
        self._consumer.pause(*assigned)
        self.partitions = frozenset(tp.partition for tp in assigned)
        self.changes += 1


class HistorySink:
    """One process of the sink. `written`: statuses since it was made."""

    def __init__(self, settings: Settings, codec: Codec, database: Database, options: SinkOptions) -> None:
        self._settings = settings
        self._topic = TopicNames.of(settings).statuses
        self._decode = decoder(codec, "Status")
        self._database = database
        self._options = options
        self._keep_ms = settings.history_keep_days * DAY_MS
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._asking = asyncio.Lock()
        self._claims: dict[int, Claim] = {}
        self._changes = 0  # those of the assignment that the claims are for
        self._blocked_until: dict[int, float] = {}
        self._looked_at: dict[int, tuple[int | None, float]] = {}
        self._durable: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._down_since: float | None = None
        self._pause = 0.0
        self._is_ready = False
        self.written = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop. Raises DatabaseRefusesError."""
        await self._open(stop)
        while not stop.is_set():
            consumer = aiokafka.AIOKafkaConsumer(
                group_id=f"{self._settings.app_id}-history",
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=FETCH_BYTES_MAX,
                session_timeout_ms=int(SESSION_SECONDS * 1000),
                max_poll_interval_ms=AWAY_MS_MAX,
                **kafka_client_options(self._settings),
            )
            try:
                await consumer.start()
                assigned = Assigned(consumer)
                consumer.subscribe([self._topic], listener=assigned)
                self._changes = assigned.changes
                await self._follow(consumer, assigned, stop)
            except (KafkaError, RegistryError) as error:
                logger.warning("history: %r; again in %g s", error, KAFKA_AGAIN_SECONDS)
                await _wait(stop, KAFKA_AGAIN_SECONDS)
            finally:
                self._claims.clear()
                await stop_consumer(consumer)
        await asyncio.to_thread(self._database.close)

    async def _follow(self, consumer: Any, assigned: Assigned, stop: asyncio.Event) -> None:
        """Write one batch while the next is read. What fails is read again, from where the database says."""
        writing: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                try:
                    await self._take_over(consumer, assigned)
                    got = await consumer.getmany(timeout_ms=WAIT_MS, max_records=RECORDS_MAX)
                    batch = self._batch(got)
                    if writing is not None:
                        done, writing = writing, None
                        await done
                    if self._changes != assigned.changes:
                        continue  # read for whoever had the partitions before; it is read again
                    writing = asyncio.create_task(self._write(batch))
                    await self._commit(consumer)
                    if len(batch.statuses) < FEW_RECORDS:
                        await _wait(stop, COMPANY_SECONDS)
                except (FencedError, DatabaseDownError) as error:
                    if writing is not None:
                        await asyncio.wait([writing])
                        writing.exception()  # looked at: it fails for the same reason
                        writing = None
                    if isinstance(error, DatabaseDownError):
                        await self._outage(error, stop)
                    await self._resume(consumer, assigned, stop)
        finally:
            if writing is not None:
                await asyncio.wait([writing], timeout=STOP_SECONDS_MAX)
                if writing.done():
                    writing.exception()  # what was not written is read again

    # --- partitions

    async def _take_over(self, consumer: Any, assigned: Assigned) -> None:
        """Claim what was assigned since, and go on reading where the database says."""
        if self._changes != assigned.changes:
            self._changes = assigned.changes
            self._claims.clear()
            self._blocked_until.clear()
            self._durable.clear()
        now = time.monotonic()
        free = [each for each in assigned.partitions if self._blocked_until.get(each, 0.0) <= now]
        wanted = sorted(set(free) - set(self._claims))
        if not wanted:
            return
        claims = await self._ask(lambda: self._database.claim(wanted, self._owner))
        await self._seek(consumer, assigned, claims)
        if not self._is_ready and self._claims:
            self._is_ready = True
            self._options.say(f"ready: partitions {','.join(map(str, sorted(self._claims)))}")

    async def _seek(self, consumer: Any, assigned: Assigned, claims: Sequence[Claim]) -> None:
        places = [TopicPartition(self._topic, claim.partition) for claim in claims]
        starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        if self._changes != assigned.changes:
            return
        for claim, tp in zip(claims, places, strict=True):
            position, start, end = claim.next_offset, starts[tp], ends[tp]
            if position is not None and position > end:
                raise DatabaseRefusesError(
                    f"{self._topic}-{tp.partition} ends at {end}, and was read up to {position}: it is not the topic "
                    "that this history is of. Was it made anew? Then the history needs another database"
                )
            if position is not None and position < start:
                logger.error("history: %s-%d: Kafka removed %d to %d unread", *tp, position, start - 1)
            consumer.seek(tp, max(start, position or 0))
            consumer.resume(tp)
            self._claims[claim.partition] = claim

    async def _resume(self, consumer: Any, assigned: Assigned, stop: asyncio.Event) -> None:
        """What was under way may be written or not, and a partition may have got another owner: the database knows.

        Where it has, Kafka will say so too, or it was somebody who had lost it; then it is claimed once more.
        """
        while not stop.is_set() and self._changes == assigned.changes:
            held = list(self._claims.values())
            try:
                claims = await self._ask(partial(self._database.resume, held))
            except DatabaseDownError as error:
                await self._outage(error, stop)
                continue
            if self._changes != assigned.changes:
                return
            lost = set(self._claims) - {claim.partition for claim in claims}
            if lost:
                logger.warning("history: another process has claimed the partitions %s", sorted(lost))
                consumer.pause(*(TopicPartition(self._topic, partition) for partition in lost))
                self._blocked_until.update(dict.fromkeys(lost, time.monotonic() + 2 * SESSION_SECONDS))
            self._claims.clear()
            await self._seek(consumer, assigned, claims)
            return

    # --- rows

    def _batch(self, got: Mapping[TopicPartition, Sequence[Any]]) -> Batch:
        claims: list[Claim] = []
        rows: list[StatusRow] = []
        for tp, records in got.items():
            claim = self._claims.get(tp.partition)
            if claim is None or not records:
                continue
            for record in records:
                try:
                    rows.append(status_row(tp.partition, record.offset, self._decode(record.value)))
                except PoisonError as error:
                    logger.error("history: %s-%d@%d is no status, and passed over: %s", *tp, record.offset, error)
            claims.append(claim._replace(next_offset=records[-1].offset + 1))
        return Batch(claims, rows, states_of(rows))

    async def _write(self, batch: Batch) -> None:
        if batch.claims:
            await self._ask(lambda: self._database.write(batch))
            self.written += len(batch.statuses)
            for claim in batch.claims:
                self._durable[TopicPartition(self._topic, claim.partition)] = claim.next_offset or 0
        await self._prune()

    async def _prune(self) -> None:
        """Remove what is too old, some of it at a time, of one partition."""
        now, before_ms = time.monotonic(), self._options.wall_ms() - self._keep_ms
        for partition, claim in list(self._claims.items()):
            oldest, looked_at = self._looked_at.get(partition, (None, float("-inf")))
            if (oldest is not None and oldest < before_ms) or now - looked_at > LOOK_SECONDS:
                left = await self._ask(partial(self._database.prune, claim, before_ms, PRUNED_MAX))
                self._looked_at[partition] = (left, now)
                return

    async def _commit(self, consumer: Any) -> None:
        """Tell Kafka as well how far it is, for tools that show the lag of a group; nobody reads on from there."""
        now = time.monotonic()
        if self._durable and now - self._committed_at > COMMIT_SECONDS:
            self._committed_at = now
            try:
                await consumer.commit(dict(self._durable))
            except KafkaError as error:
                logger.debug("history: %r", error)

    # --- the database

    async def _open(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._ask(lambda: self._database.open(self._topic))
                return
            except DatabaseDownError as error:
                await self._outage(error, stop)

    async def _ask(self, work: Callable[[], Done]) -> Done:
        """Do it on a thread, one at a time."""
        async with self._asking:
            done = await asyncio.to_thread(work)
        if self._down_since is not None:
            logger.warning("history: the database answers again, after %.0f s", time.monotonic() - self._down_since)
            self._down_since, self._pause = None, 0.0
        return done

    async def _outage(self, error: DatabaseDownError, stop: asyncio.Event) -> None:
        """Wait before the next try, longer each time; it is said once."""
        if self._down_since is None:
            self._down_since = time.monotonic()
            logger.error("history: the database cannot be used, and is waited for: %s", error)
        self._pause = min(AGAIN_SECONDS_MAX, max(self._options.again_seconds, 2 * self._pause))
        await _wait(stop, self._pause)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
