"""Kafka in memory: partitions, transactions with their fence, what a reader of committed records sees, offsets.

Everything here happens at the broker, at one instant. What lies between it and the workers is in `simulated_clients`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from aiokafka.errors import InvalidTxnState, ProducerFenced

from streams.lane.chunk import Chunk, Record
from streams.lane.step import Headers
from tests.simulation.memory_log import LogRecord
from tests.simulation.simulated_loop import SimulatedLoop

Place = tuple[str, int]
START_MS = 1_700_000_000_000


@dataclass(slots=True, eq=False)
class Transaction:
    """What one producer has written since it began."""

    state: Literal["open", "committed", "aborted"] = "open"
    touched: dict[Place, None] = field(default_factory=dict)
    offsets: dict[Place, int] = field(default_factory=dict)


@dataclass(slots=True)
class Partition:
    """Records and transaction markers (None); beside each the transaction that it belongs to."""

    records: list[LogRecord | None] = field(default_factory=list)
    transactions: list[Transaction | None] = field(default_factory=list)
    open: list[tuple[int, Transaction]] = field(default_factory=list)

    def stable_end(self) -> int:
        """Up to here no transaction is open: the last stable offset."""
        while self.open and self.open[0][1].state != "open":
            self.open.pop(0)
        return self.open[0][0] if self.open else len(self.records)


@dataclass(slots=True)
class _Producer:
    epoch: int = -1
    transaction: Transaction | None = None


class SimulatedBroker:
    """One cluster. `away_until`: it answers nobody before this time of the loop."""

    def __init__(
        self, loop: SimulatedLoop, log_append_time: Callable[[str], bool], say: Callable[[str, str], None]
    ) -> None:
        self._loop = loop
        self._say = say
        self._log_append_time = log_append_time
        self.partitions: dict[Place, Partition] = defaultdict(Partition)
        self.committed: dict[Place, int] = {}
        self._producers: dict[str, _Producer] = defaultdict(_Producer)
        self.readers: dict[Place, dict[Callable[[], None], None]] = defaultdict(dict)
        self.away_until = 0.0

    def now_ms(self) -> int:
        """The broker's clock, which is right."""
        return START_MS + int(self._loop.time() * 1000)

    # --- producers

    def fence(self, name: str) -> int:
        """InitProducerId: abort what is open under this transactional id, and return the new epoch."""
        producer = self._producers[name]
        producer.epoch += 1
        self._say("broker", f"fences {name} at {producer.epoch}")
        self._end(producer, "aborted")
        return producer.epoch

    def append(
        self,
        place: Place,
        records: Sequence[tuple[bytes | None, bytes | None, Headers]],
        created_at: int,
        writer: tuple[str, int, float] | None = None,
    ) -> tuple[int, int]:
        """Append; return the first offset and the time that the broker gave it, -1: none. Raises ProducerFenced.

        `writer`: transactional id, epoch, seconds until the broker aborts the transaction.
        """
        transaction = None
        if writer is not None:
            transaction = self._transaction(*writer)
            transaction.touched[place] = None
        partition = self.partitions[place]
        first = len(partition.records)
        if transaction is not None:
            partition.open.append((first, transaction))
        appended_at = self.now_ms() if self._log_append_time(place[0]) else -1
        for key, value, headers in records:
            at = created_at if appended_at < 0 else appended_at
            partition.records.append(LogRecord(len(partition.records), at, key, value, headers))
            partition.transactions.append(transaction)
        if transaction is None:
            self._tell(place)
        return first, appended_at

    def add_offsets(self, offsets: Mapping[Place, int], writer: tuple[str, int, float]) -> None:
        """Let the offsets take effect with the transaction. Raises ProducerFenced."""
        self._transaction(*writer).offsets.update(offsets)

    def commit(self, name: str, epoch: int) -> None:
        """End the transaction. Raises ProducerFenced, and InvalidTxnState when the broker has aborted it."""
        producer = self._check(name, epoch)
        if producer.transaction is None:
            raise InvalidTxnState()
        self.committed.update(producer.transaction.offsets)
        touched = ", ".join(f"{topic}-{number}" for topic, number in producer.transaction.touched)
        self._say("broker", f"commits {name}@{epoch}: {touched} {producer.transaction.offsets}")
        self._end(producer, "committed")

    def _check(self, name: str, epoch: int) -> _Producer:
        producer = self._producers[name]
        if producer.epoch != epoch:
            raise ProducerFenced()
        return producer

    def _transaction(self, name: str, epoch: int, seconds_max: float) -> Transaction:
        producer = self._check(name, epoch)
        if producer.transaction is None:
            producer.transaction = Transaction()
            self._loop.call_later(seconds_max, self._abort, producer, producer.transaction)
        return producer.transaction

    def _abort(self, producer: _Producer, transaction: Transaction) -> None:
        if producer.transaction is transaction:
            producer.epoch += 1
            self._end(producer, "aborted")

    def _end(self, producer: _Producer, state: Literal["committed", "aborted"]) -> None:
        transaction, producer.transaction = producer.transaction, None
        if transaction is None:
            return
        transaction.state = state
        for place in transaction.touched:
            partition = self.partitions[place]
            partition.records.append(None)
            partition.transactions.append(None)
            self._tell(place)

    def _tell(self, place: Place) -> None:
        for wake in self.readers[place]:
            wake()

    # --- readers

    def end(self, place: Place, committed_only: bool = True) -> int:
        """The offset that a reader gets to."""
        partition = self.partitions[place]
        return partition.stable_end() if committed_only else len(partition.records)

    def fetch(self, place: Place, start: int, records_max: int, committed_only: bool = True) -> Chunk | None:
        """The chunk from this position on, None: there is nothing yet."""
        partition = self.partitions[place]
        end = min(self.end(place, committed_only), start + records_max)
        if end <= start:
            return None
        records = [
            record
            for record, transaction in zip(partition.records[start:end], partition.transactions[start:end], strict=True)
            if record is not None and (transaction is None or transaction.state == "committed" or not committed_only)
        ]
        return Chunk(*place, start, end, cast("list[Record]", records))

    def records(self, topic: str) -> list[tuple[int, LogRecord]]:
        """All committed records of a topic with their partitions, in order of partition and offset."""
        return [
            (place[1], record)
            for place, partition in sorted(self.partitions.items(), key=lambda item: item[0])
            if place[0] == topic
            for record, transaction in zip(partition.records, partition.transactions, strict=True)
            if record is not None and (transaction is None or transaction.state == "committed")
        ]

    def rows(self, changelog: str, partition: int) -> dict[bytes, bytes]:
        """What a changelog says: the last value of each key that was not removed."""
        rows: dict[bytes, bytes] = {}
        log = self.partitions[changelog, partition]
        for record, transaction in zip(log.records, log.transactions, strict=True):
            if record is None or record.key is None or (transaction is not None and transaction.state != "committed"):
                continue
            rows.pop(record.key, None)
            if record.value is not None:
                rows[record.key] = record.value
        return rows
