"""One Kafka transaction for each step of one stage on one partition, with the fence that goes with it.

The transactional id is `<app>-<stage>-<partition>`. Starting the producer (InitProducerId, KIP-98) raises the epoch:
the old owner's open transaction is aborted and everything that it sends from then on is refused. A worker that was
paused and wakes up can therefore neither admit nor claim nor write state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from .filling import fill
from .step import NO_HEADERS, Changes, Output, Step

LOG_APPEND_TIME = 1  # the timestamp type of a record whose time is the broker's

BATCH_BYTES_MAX = 512 * 1024  # below the broker's 1 MiB default for a batch, so that none is refused for its size
RECORDS_AT_ONCE = 500  # put together in half a millisecond; then the loop has its turn, which others wait for


class StepFailedError(Exception):
    """A step did not commit, or nobody knows whether it did. The partition must be recovered before it goes on."""


class ClockOffError(Exception):
    """The clock of this worker and that of the broker differ by more than is allowed: nothing may be decided here."""


@dataclass(slots=True)
class ClockRule:
    """`wall_ms`: the clock that this worker decides by. `off_ms_max`: by how much it may differ from the broker's.
    `off_ms`: by how much it was at least ahead when it was compared last."""

    wall_ms: Callable[[], int]
    off_ms_max: int
    off_ms: int = 0

    def check(self, appended_at: int, before: int, after: int) -> None:
        """Compare an instant of the broker with those between which it must lie. Raises ClockOffError."""
        off = before - appended_at if before > appended_at else min(0, after - appended_at)
        self.off_ms = off
        if abs(off) > self.off_ms_max:
            raise ClockOffError(
                f"the clock of this worker is at least {abs(off) / 1000:.3f} s {'ahead of' if off > 0 else 'behind'} "
                f"that of the broker, {self.off_ms_max / 1000:g} s are allowed: set it right"
            )


class LocalTable(Protocol):
    """Where the changes of a step go once they are durable in Kafka."""

    @property
    def changelog(self) -> str: ...

    def apply(self, partition: int, changes: Mapping[bytes, bytes | None], offset: int) -> None: ...


class Batch(NamedTuple):
    """A batch of records on its way. The acknowledgement names the offset of its first record only."""

    ack: asyncio.Future[Any]
    records: int
    topic: str

    def last_offset(self) -> int:
        """The offset of its last record, once it is acknowledged."""
        return int(self.ack.result().offset) + self.records - 1


class PartitionTransaction:
    """The transactional producer of one stage on one partition, and the order in which a step takes effect."""

    def __init__(
        self,
        stage: str,
        partition: int,
        group: str,
        tables: Sequence[tuple[str, LocalTable]],
        producer_options: Mapping[str, Any],
        transaction_timeout_ms: int,
        clock: ClockRule | None = None,
    ) -> None:
        self._clock = clock
        self.stage = stage
        self.partition = partition
        self._group = group
        self._tables = dict(tables)
        self._producer = AIOKafkaProducer(
            transactional_id=f"{group}-{stage}-{partition}",
            transaction_timeout_ms=transaction_timeout_ms,
            acks="all",
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=2 * BATCH_BYTES_MAX,
            **producer_options,
        )

    async def fence(self) -> None:
        """Take the partition: from here on, no earlier owner can commit anything for this stage."""
        await self._producer.start()

    async def commit(self, step: Step) -> None:
        """Make a step durable, all of it or nothing.

        A crash after 1, 2, 3 or 4 leaves a transaction that the next owner's fence aborts: nothing happened.
        A crash after 5 leaves the local store behind the changelog: recovery reads the rest from there.
        Raises StepFailedError: the outcome is nothing or unknown, and this producer is of no further use.
        Raises ClockOffError: nothing happened, and nothing must be decided by this clock.
        """
        # A partition's time does not go back: where the clock was ahead for a moment, it still is, and must not count.
        before = 0 if self._clock is None else max(self._clock.wall_ms(), step.decided_at)
        producer = self._producer
        applied: list[tuple[LocalTable, Changes, list[Batch]]] = []
        sent: list[Batch] = []
        try:
            await producer.begin_transaction()
            # 1. What the step says to others.
            for (topic, partition), records in step.outputs.items():
                sent += await self._send(topic, partition, records)
            # 2. What it will remember, in the changelog.
            for name, changes in step.changes.items():
                if changes:
                    table = self._tables[name]
                    records = [(key, value, NO_HEADERS) for key, value in changes.items()]
                    batches = await self._send(table.changelog, self.partition, records)
                    applied.append((table, changes, batches))
                    sent += batches
            # 3. Every record is acknowledged; one that is not must never be committed around.
            await asyncio.gather(*(batch.ack for batch in sent))
            self._check_clock(before, [batch.ack for _, _, batches in applied for batch in batches])
            # 4. How far it has read, in the same transaction.
            if step.offsets:
                offsets = {TopicPartition(*tp): OffsetAndMetadata(end, "") for tp, end in step.offsets.items()}
                await producer.send_offsets_to_transaction(offsets, self._group)
            # 5. Now it has happened.
            await producer.commit_transaction()
        except (KafkaError, AssertionError, OSError) as error:
            refused_by = next((batch.topic for batch in sent if _failed_with(batch.ack, error)), None)
            for batch in sent:
                batch.ack.cancel()
            said = f"{error!r}" if refused_by is None else f"{refused_by} refuses: {error!r}"
            raise StepFailedError(f"{self.stage}-{self.partition}: step not committed: {said}") from error
        # 6. The local store follows what Kafka knows, and never leads it.
        for table, changes, batches in applied:
            table.apply(self.partition, changes, max(batch.last_offset() for batch in batches))

    def _check_clock(self, before: int, acks: Sequence[asyncio.Future[Any]]) -> None:
        """The changelogs have the broker's time on their records, and the broker says it with each acknowledgement."""
        if self._clock is None:
            return
        after = self._clock.wall_ms()
        for ack in acks:
            appended = ack.result()
            if appended.timestamp_type == LOG_APPEND_TIME:
                self._clock.check(appended.timestamp, before, after)

    async def _send(self, topic: str, partition: int, records: Sequence[Output]) -> list[Batch]:
        producer, sent, first = self._producer, [], 0
        while first < len(records):
            building, end = producer.create_batch(), first
            while end < len(records):
                put = fill(building, records, end, RECORDS_AT_ONCE)
                end += put
                if put < RECORDS_AT_ONCE:
                    break
                await asyncio.sleep(0)
            if end == first:
                raise StepFailedError(f"{topic}: one record exceeds {BATCH_BYTES_MAX} bytes, key {records[first][0]!r}")
            building.close()
            sent.append(Batch(await producer.send_batch(building, topic, partition=partition), end - first, topic))
            first = end
        return sent

    async def close(self, timeout_seconds: float) -> None:
        """Let go of the producer; an open transaction is left to the next owner's fence."""
        try:
            await asyncio.wait_for(self._producer.stop(), timeout_seconds)
        except (TimeoutError, KafkaError, asyncio.CancelledError):
            return  # a producer that cannot say goodbye is fenced by the next one


def _failed_with(ack: asyncio.Future[Any], error: BaseException) -> bool:
    return ack.done() and not ack.cancelled() and ack.exception() is error
