"""aiokafka's clients as far as a worker uses them, over the simulated broker, with the way there and back between.

A request that has left arrives, whatever becomes of its process meanwhile. `Link.edge` is told before a request leaves
and after it took effect: there a fault can strike that no clock would hit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from random import Random
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.lane.step import Headers
from tests.simulation.simulated_broker import SimulatedBroker
from tests.simulation.simulated_loop import ACTOR, SimulatedLoop

T = TypeVar("T")
BATCH_RECORDS_MAX = 500


class Link:
    """The connection of one process to the broker. `latency`: seconds of one way, drawn anew each time."""

    def __init__(
        self, loop: SimulatedLoop, broker: SimulatedBroker, chance: Random, edge: Callable[[str], None]
    ) -> None:
        self.loop = loop
        self.broker = broker
        self._chance = chance
        self._edge = edge
        self._outside: Context = loop.outside.context

    def latency(self) -> float:
        """Usually a millisecond or so, seldom much more."""
        return self._chance.choice((0.0005, 0.001, 0.002, 0.004, 0.01, 0.05 if self._chance.random() < 0.1 else 0.001))

    def send(self, name: str, effect: Callable[[], T], not_before: float = 0.0) -> tuple[asyncio.Future[T], float]:
        """Let a request leave; return its answer, and when it arrives at the broker."""
        answer: asyncio.Future[T] = self.loop.create_future()
        self._edge(f"before {name}")
        if ACTOR.get().dead:
            return answer, not_before
        at = max(self.loop.time() + self.latency(), not_before)
        self.loop.call_at(at, self._arrive, name, effect, answer, context=self._outside)
        return answer, at

    async def call(self, name: str, effect: Callable[[], T]) -> T:
        """Ask, and wait for the answer."""
        return await self.send(name, effect)[0]

    def _arrive(self, name: str, effect: Callable[[], T], answer: asyncio.Future[T]) -> None:
        away_until = self.broker.away_until
        if away_until > self.loop.time():
            self.loop.call_at(away_until, self._arrive, name, effect, answer, context=self._outside)
            return
        result: T | KafkaError
        try:
            result = effect()
        except KafkaError as error:
            result = error
        self._edge(f"after {name}")
        self.loop.call_later(self.latency(), self._answer, answer, result, context=self._outside)

    @staticmethod
    def _answer(answer: asyncio.Future[T], result: T | KafkaError) -> None:
        if answer.done():
            return
        if isinstance(result, KafkaError):
            answer.set_exception(result)
            answer.exception()  # several may fail at once, and only the first is looked at
        else:
            answer.set_result(result)


class Metadata(NamedTuple):
    """What is known of a batch once it is written."""

    offset: int
    timestamp: int
    timestamp_type: int


class Batch:
    """aiokafka's BatchBuilder, and the builder in it."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Headers]] = []
        self._relative_offset = 0

    @property
    def _builder(self) -> Batch:
        return self

    def append(
        self, offset: int, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Headers
    ) -> object | None:
        """Add a record, None: it is full."""
        if len(self.records) >= BATCH_RECORDS_MAX:
            return None
        assert offset == len(self.records), "one after the other"
        self.records.append((key, value, headers))
        return self

    def close(self) -> None:
        """Nothing more comes."""


class SimulatedProducer:
    """aiokafka.AIOKafkaProducer with a transactional id, of the process in whose context it is made."""

    def __init__(self, *, transactional_id: str, transaction_timeout_ms: int, **options: Any) -> None:
        process: Any = ACTOR.get()
        self._link: Link = process.link
        self._wall_ms: Callable[[], int] = process.wall_ms
        self._name = transactional_id
        self._seconds_max = transaction_timeout_ms / 1000
        self._epoch = -1
        self._begun = False
        self._next_at = 0.0

    def _writer(self) -> tuple[str, int, float]:
        return self._name, self._epoch, self._seconds_max

    async def start(self) -> None:
        """InitProducerId."""
        self._epoch = await self._link.call("fence", lambda: self._link.broker.fence(self._name))

    async def stop(self) -> None:
        """An open transaction is left as it is."""

    async def begin_transaction(self) -> None:
        """Locally."""
        assert self._epoch >= 0, "not started"
        self._begun = True

    def create_batch(self) -> Batch:
        """An empty batch."""
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Metadata]:
        """Let it leave; what it returns ends with the acknowledgement."""
        created_at, broker, writer = self._wall_ms(), self._link.broker, self._writer()

        def append() -> Metadata:
            offset, appended_at = broker.append((topic, partition), batch.records, created_at, writer)
            return Metadata(offset, appended_at, int(appended_at >= 0))

        answer, self._next_at = self._link.send(f"append {topic}", append, self._next_at)
        return answer

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, Any], group: str) -> None:
        """With the transaction they take effect."""
        ends = {(tp.topic, tp.partition): known.offset for tp, known in offsets.items()}
        writer = self._writer()
        await self._link.call("offsets", lambda: self._link.broker.add_offsets(ends, writer))

    async def commit_transaction(self) -> None:
        """EndTxn; one that wrote nothing does not ask the broker."""
        name, epoch, _ = self._writer()
        await self._link.call(f"commit {name}", lambda: self._link.broker.commit(name, epoch))
        self._begun = False


class SimulatedConsumer:
    """aiokafka.AIOKafkaConsumer as the replay of changelogs uses it."""

    def __init__(self, *, isolation_level: str, **options: Any) -> None:
        process: Any = ACTOR.get()
        self._link: Link = process.link
        self._committed_only = isolation_level == "read_committed"
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Read these."""
        self._positions = dict.fromkeys(partitions, 0)

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Nothing is ever deleted here."""
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offsets, or the ends."""
        broker, committed_only = self._link.broker, self._committed_only
        return await self._link.call(
            "ends", lambda: {tp: broker.end((tp.topic, tp.partition), committed_only) for tp in partitions}
        )

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read from here on."""
        self._positions[partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        """Read these no more."""
        self._paused.update(partitions)

    async def position(self, partition: TopicPartition) -> int:
        """Where it is."""
        return self._positions[partition]

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        """What there is."""
        broker, committed_only = self._link.broker, self._committed_only
        got: dict[Any, list[Any]] = {}
        for tp in partitions:
            if tp in self._paused:
                continue
            place, start = (tp.topic, tp.partition), self._positions[tp]
            chunk = await self._link.call(
                "replay",
                lambda place=place, start=start: broker.fetch(place, start, max_records, committed_only),  # type: ignore[misc] # bound at once
            )
            if chunk is not None:
                got[tp] = list(chunk.records)
                self._positions[tp] = chunk.end
        if not got:
            await asyncio.sleep(timeout_ms / 1000)
        return got
