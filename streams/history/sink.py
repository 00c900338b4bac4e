"""The sink: reads `statuses` and writes the history; where to go on reading is written with what was read.

Any number of these may run. Kafka shares the partitions among those that write the same database, as one consumer
group; the database sees to it that each is written by its present owner only (see Database). A crash at any point
leaves whole transactions, each with its offsets. One batch is written while the next is read, and no more is in memory
than these two and what aiokafka has fetched ahead; a slow database slows the reading, and one that is down stops it.

Commands to erase a user are read from `device-changes` in the same way. What they remove goes in transactions of its
own, the first of which notes the erasure; only the last one moves the offset.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.registry import RegistryError
from streams.history.database import (
    Batch,
    Claim,
    Database,
    DatabaseDownError,
    FencedError,
    Outdated,
    Part,
    Source,
)
from streams.history.erasing import MARKS_KEPT_MS, Erasure
from streams.history.records import Records
from streams.history.rows import StatusRow
from streams.history.sink_database import SinkDatabase, wait
from streams.history.sink_parts import Assigned, SinkParts
from streams.kafka_consumer import stop_consumer
from streams.settings import Settings, kafka_client_options
from streams.topics import DAY_MS, TopicNames

logger = logging.getLogger(__name__)

FETCH_BYTES_MAX: Final = 1024 * 1024  # of each partition that is fetched ahead
WAIT_MS: Final = 500
FEW_RECORDS: Final = 500
COMPANY_SECONDS: Final = 0.2  # few wait for more: a transaction costs the server as much for one as for hundreds
PRUNED_MAX: Final = 5_000  # in one transaction
LOOK_SECONDS: Final = 60.0  # between two looks for what is too old, where nothing is known to be
COMMIT_SECONDS: Final = 5.0
SESSION_SECONDS: Final = 10.0
KAFKA_AGAIN_SECONDS: Final = 5.0
AWAY_MS_MAX: Final = 24 * 3_600_000  # a database may be down for so long before Kafka gives the partitions to another
STOP_SECONDS_MAX: Final = 15.0


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """How a sink runs. `say`: to the person who started it. `wall_ms`: the time, by which is forgotten.

    `rest`: the part of its time in which it does nothing, for the sake of what else the process does.
    """

    say: Callable[[str], None]
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    again_seconds: float = 0.5
    records_max: int = 5_000  # in one transaction
    rest: float = 0.0


class Read(NamedTuple):
    """What was read: what is written at once, and users to erase, each with the claim that says so."""

    batch: Batch
    erasures: list[tuple[Claim, Erasure]]


class HistorySink:
    """One process of the sink. `written`: statuses since it was made; `erased`: statuses and events removed."""

    def __init__(self, settings: Settings, codec: Codec, database: Database, options: SinkOptions) -> None:
        self._settings = settings
        self._topics = TopicNames.of(settings)
        self._records = Records(codec, int(settings.clock_skew_seconds_max * 1000), options.wall_ms)
        self._database = SinkDatabase(database, options.again_seconds)
        self._options = options
        self._keep_ms = settings.history_keep_days * DAY_MS
        self._looked_at: dict[Part, tuple[int | None, float]] = {}
        self._durable: dict[TopicPartition, int] = {}
        self._committed_at = 0.0
        self._kafka_failed: str | None = None
        self._is_ready = False
        self.written = 0
        self.erased = 0

    def counts(self) -> tuple[int, int, int]:
        """Return how many statuses were written, erased and passed over."""
        return self.written, self.erased, self._records.poison

    @property
    def down(self) -> bool:
        """Whether the database could not be used when it was asked last."""
        return self._database.down

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop. Raises DatabaseRefusesError."""
        try:
            while not stop.is_set():
                try:
                    await self._run(stop)
                except DatabaseDownError as error:
                    await self._database.outage(error, stop)
                except (KafkaError, RegistryError, OSError) as error:
                    if self._kafka_failed != repr(error):
                        self._kafka_failed = repr(error)
                        logger.warning("history: %r; tried again every %g s", error, KAFKA_AGAIN_SECONDS)
                    await wait(stop, KAFKA_AGAIN_SECONDS)
        finally:
            self._database.close()

    async def _run(self, stop: asyncio.Event) -> None:
        source = Source(self._topics.statuses, self._settings.partitions, await self._cluster())
        history_id = await self._database.ask(lambda database: database.open(source))
        consumer = aiokafka.AIOKafkaConsumer(
            # A database of its own is a group of its own: a second one, beside the first, has all of it too.
            group_id=f"{self._settings.app_id}-history-{history_id[:12]}",
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # what Kafka has removed unread is noticed, and said
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            max_poll_interval_ms=AWAY_MS_MAX,
            **kafka_client_options(self._settings),
        )
        try:
            await consumer.start()
            assigned = Assigned(consumer)
            parts = SinkParts(self._topics, self._database, consumer, assigned)
            consumer.subscribe(parts.topics, listener=assigned)
            await self._follow(consumer, parts, stop)
        finally:
            self._durable.clear()
            await stop_consumer(consumer)

    async def _cluster(self) -> str | None:
        admin = AIOKafkaAdminClient(**kafka_client_options(self._settings))
        try:
            await admin.start()
            cluster = (await admin.describe_cluster()).get("cluster_id")
            return None if cluster is None else str(cluster)
        finally:
            await admin.close()

    async def _follow(self, consumer: Any, parts: SinkParts, stop: asyncio.Event) -> None:
        """Write one batch while the next is read. What fails is read again, from where the database says."""
        writing: asyncio.Task[None] | None = None
        again = False
        try:
            while not stop.is_set():
                try:
                    if again:
                        await parts.resume()
                        again = False
                    await parts.take_over()
                    self._say_ready(parts)
                    got = await consumer.getmany(timeout_ms=WAIT_MS, max_records=self._options.records_max)
                    started_at = time.monotonic()
                    if parts.moved:
                        continue  # read for whoever had the partitions before; it is read again
                    read = self._read(parts, got)
                    if writing is not None:
                        done, writing = writing, None
                        await done
                    if parts.moved:
                        continue
                    writing = asyncio.create_task(self._write(parts, read))
                    await self._commit(consumer, parts)
                    if len(read.batch.statuses) < FEW_RECORDS:
                        await wait(stop, COMPANY_SECONDS)
                    elif self._options.rest:
                        await asyncio.wait([writing])
                        worked = time.monotonic() - started_at
                        await wait(stop, worked * self._options.rest / (1 - self._options.rest))
                except NoOffsetForPartitionError:
                    continue  # of the group, before the database was asked; each part is sought when it is claimed
                except (FencedError, DatabaseDownError, OffsetOutOfRangeError) as error:
                    again = True
                    if writing is not None:
                        failed, writing = writing, None
                        await asyncio.wait([failed])
                        failed.exception()  # looked at: it fails for the same reason
                    if isinstance(error, DatabaseDownError):
                        await self._database.outage(error, stop)
        finally:
            if writing is not None:
                await asyncio.wait([writing], timeout=STOP_SECONDS_MAX)
                if not writing.done():
                    self._database.interrupt()
                    await asyncio.wait([writing], timeout=STOP_SECONDS_MAX)
                if writing.done():
                    writing.exception()  # what was not written is read again

    def _say_ready(self, parts: SinkParts) -> None:
        if not self._is_ready and parts.claims:
            self._is_ready = True
            numbers = sorted(part.number for part in parts.claims if part.stream == "statuses")
            self._options.say(f"ready: partitions {','.join(map(str, numbers))}")
        if parts.claims:
            self._kafka_failed = None

    def _read(self, parts: SinkParts, got: Mapping[TopicPartition, Sequence[Any]]) -> Read:
        claims: list[Claim] = []
        rows: list[StatusRow] = []
        erasures: list[tuple[Claim, Erasure]] = []
        for tp, records in got.items():
            claim = parts.claims.get(parts.part(tp))
            if claim is None or not records:
                continue
            claims.append(claim._replace(next_offset=records[-1].offset + 1))
            if claim.part.stream == "statuses":
                rows += [row for record in records if (row := self._records.status(record)) is not None]
            else:
                found = [erasure for record in records if (erasure := self._records.erasure(record)) is not None]
                erasures += [(claim, erasure) for erasure in found]
        return Read(Batch(claims, rows), erasures)

    async def _write(self, parts: SinkParts, read: Read) -> None:
        for claim, erasure in read.erasures:
            while removed := await self._database.ask(lambda each, e=erasure, c=claim: each.erase(e, c)):  # type: ignore[misc] # mypy cannot infer a lambda with defaults
                self.erased += removed
        batch = read.batch
        if batch.claims:
            passed_over = await self._database.ask(lambda database: database.write(batch))
            self.written += len(batch.statuses) - passed_over
            for claim in batch.claims:
                self._durable[parts.partition(claim.part)] = claim.next_offset or 0
        await self._prune(list(parts.claims.values()))

    async def _prune(self, claims: Sequence[Claim]) -> None:
        """Remove what is too old, some of it at a time, of one partition."""
        now, wall_ms = time.monotonic(), self._options.wall_ms()
        outdated = Outdated(wall_ms - self._keep_ms, wall_ms - MARKS_KEPT_MS, PRUNED_MAX)
        for claim in claims:
            if claim.part.stream != "statuses":
                continue
            oldest, looked_at = self._looked_at.get(claim.part, (None, float("-inf")))
            if (oldest is not None and oldest < outdated.said_before_ms) or now - looked_at > LOOK_SECONDS:
                left = await self._database.ask(lambda database, c=claim: database.prune(c, outdated))  # type: ignore[misc] # as above
                self._looked_at[claim.part] = (left, now)
                return

    async def _commit(self, consumer: Any, parts: SinkParts) -> None:
        """Tell Kafka as well how far it is, for tools that show the lag of a group; nobody reads on from there."""
        now = time.monotonic()
        ours = {tp: offset for tp, offset in self._durable.items() if parts.part(tp) in parts.claims}
        if ours and now - self._committed_at > COMMIT_SECONDS:
            self._committed_at = now
            try:
                await consumer.commit(ours)
            except KafkaError as error:
                logger.debug("history: %r", error)
