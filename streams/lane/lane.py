"""A lane: one stage on one partition. It takes chunks in order, keeps its time, and ends each step in a transaction.

Lanes of different partitions run beside each other, so that one commits while another decides. Within a lane one step
follows the other: a decision always sees the state that all earlier ones left behind.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streams.metrics import Buckets

from .chunk import Chunk
from .clock import PartitionClock, WallClock
from .letters import NO_LETTER_RULE, LetterBudget, LetterRule
from .pace import RECORDS_ENOUGH, StepPace
from .progress import LaneProgress
from .step import Step
from .transaction import PartitionTransaction, StepFailedError

QUEUED_RECORDS_MAX = 4_000  # a lane that has this many waiting takes no more; two full fetches
STEP_RECORDS_MAX = 2_000  # bounds the memory and the length of one transaction
IDLE_COMMIT_SECONDS = 5.0  # offsets that only pass transaction markers need no transaction of their own at once
PATIENCE_SECONDS = 0.5  # what nobody waits for is taken together with what follows: a transaction costs 10 ms or more


class RecordsLostError(Exception):
    """Records between two chunks did not arrive. The partition must be read again from what is committed."""


@dataclass(frozen=True, slots=True)
class LaneContext:
    """What a lane is given when its partition is assigned and recovered.

    `gate` lets so many lanes of a worker be in a step at once: those that wait collect more for theirs. `patient` are
    the topics whose records may wait for company, `last` those that are taken only when nothing else is there.
    `positions` and `ends` are where each topic is read from, and how far it went by then. `commit_ms`: how long commits
    take, `pace`: how often they are worth it, of all lanes of the stage.
    """

    stage: str
    partition: int
    transaction: PartitionTransaction
    positions: Mapping[str, int]
    hold: Callable[[str, int], None]
    release: Callable[[str, int], None]
    wall_ms: Callable[[], int]
    commit_seconds_max: float
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    patient: frozenset[str] = frozenset()
    last: frozenset[str] = frozenset()
    letters: LetterRule = NO_LETTER_RULE
    ends: Mapping[str, int] = field(default_factory=dict)
    commit_ms: Buckets = field(default_factory=Buckets)
    pace: StepPace = field(default_factory=StepPace)


class ChunkQueue:
    """Chunks in the order of their arrival, and when the first of them is to be taken."""

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self.records = 0
        self.take_at: float | None = None

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def put(self, chunk: Chunk, take_at: float) -> None:
        """Add a chunk that may wait until `take_at` (monotonic seconds)."""
        self._chunks.append(chunk)
        self.records += len(chunk.records)
        self.take_at = take_at if self.take_at is None else min(take_at, self.take_at)

    def take(self, records_max: int) -> list[Chunk]:
        """Take at least one chunk if there is one, else up to so many records; what is left is taken at once."""
        taken: list[Chunk] = []
        count = 0
        while self._chunks and (not taken or count + len(self._chunks[0].records) <= records_max):
            chunk = self._chunks.popleft()
            taken.append(chunk)
            count += len(chunk.records)
        self.records -= count
        self.take_at = time.monotonic() if self._chunks else None
        return taken


class Lane(ABC):
    """What all lanes share: the queue with its bound, the check that nothing is missing, the commit."""

    queued_records_max = QUEUED_RECORDS_MAX

    def __init__(self, context: LaneContext) -> None:
        self.context = context
        self.partition = context.partition
        self._received = dict(context.positions)
        self.progress = LaneProgress(context.positions)
        self._inbox = ChunkQueue()
        self._inbox_last = ChunkQueue()
        self._held: set[str] = set()
        self._wake = asyncio.Event()
        self._woken = False
        self.draining = False
        self.rests_until = 0.0
        self.commits = 0
        self.letters = LetterBudget(f"{context.stage}-{context.partition}", context.letters)

    @property
    def queued_records(self) -> int:
        """Records that wait to be taken into a step."""
        return self._inbox.records + self._inbox_last.records

    def positions(self) -> dict[str, int]:
        """Return how far each topic has arrived."""
        return dict(self._received)

    def settled(self, topic: str) -> int:
        """Return the offset before which every record of a topic is decided on and committed.

        What only passes transaction markers is committed by and by, and settled at once.
        """
        waits = self.progress.oldest_ms(topic) is not None
        return self.progress.offsets[topic] if waits else self._received[topic]

    def offer(self, chunk: Chunk) -> None:
        """Take a chunk. Raises RecordsLostError when one before it is missing; a chunk seen before is passed over."""
        received = self._received[chunk.topic]
        if chunk.end <= received:
            return
        if chunk.start != received:
            raise RecordsLostError(f"{chunk.topic}-{chunk.partition}: expected offset {received}, got {chunk.start}")
        self._received[chunk.topic] = chunk.end
        self.progress.arrived(chunk)
        queue = self._inbox_last if chunk.topic in self.context.last else self._inbox
        take_at = time.monotonic()
        if not chunk.records:
            take_at += IDLE_COMMIT_SECONDS
        elif chunk.topic in self.context.patient:
            take_at += PATIENCE_SECONDS
        queue.put(chunk, take_at)
        if queue.records >= self.queued_records_max and chunk.topic not in self._held:
            self._held.add(chunk.topic)
            self.context.hold(chunk.topic, self.partition)
        self._wake.set()

    def take(self, records_max: int, last_too: bool = True) -> list[Chunk]:
        """Take chunks from the queue: at least one if there is one, else up to so many records.

        What comes last is taken where nothing else is there, and `last_too`.
        """
        queue = self._inbox
        if not queue and last_too:
            queue = self._inbox_last
        taken = queue.take(records_max)
        for topic in [topic for topic in self._held if self._inbox_of(topic).records < self.queued_records_max // 2]:
            self.context.release(topic, self.partition)
            self._held.discard(topic)
        return taken

    def _inbox_of(self, topic: str) -> ChunkQueue:
        return self._inbox_last if topic in self.context.last else self._inbox

    def take_at(self, last_too: bool = True) -> float | None:
        """When there is something to take (monotonic seconds), None: nothing; not before dead letters allow it."""
        instants = [self._inbox.take_at, self._inbox_last.take_at if last_too else None]
        first = min((at for at in instants if at is not None), default=None)
        return None if first is None else max(first, self.letters.paused_until)

    async def wait(self, seconds: float | None) -> None:
        """Wait until chunks are to be taken, at most so long; return early when woken for another reason."""
        started_at = time.monotonic()
        while not self.draining:
            now = time.monotonic()
            left = None if seconds is None else seconds - (now - started_at)
            take_at = self.take_at()
            if take_at is not None:
                left = take_at - now if left is None else min(left, take_at - now)
            if left is not None and left <= 0:
                await asyncio.sleep(0)  # let the other lanes run
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(left):
                    await self._wake.wait()
            except TimeoutError:
                return
            if self._woken:
                self._woken = False
                return

    async def rest(self, has_enough: bool, seconds_max: float | None = None) -> None:
        """Let more come together after a step, at most so long; not where what is there is worth one, or to be ended.

        See `pace`.
        """
        left = self.rests_until - time.monotonic()
        if seconds_max is not None:
            left = min(left, seconds_max)
        if left > 0 and not has_enough and not self.draining:
            await asyncio.sleep(left)

    def wake(self) -> None:
        """End a wait."""
        self._woken = True
        self._wake.set()

    async def commit(self, step: Step) -> None:
        """Commit a step within the time that a transaction may take."""
        started_at = time.monotonic()
        try:
            async with asyncio.timeout(self.context.commit_seconds_max):
                await self.context.transaction.commit(step)
        except TimeoutError as error:
            raise StepFailedError(
                f"{self.context.stage}-{self.partition}: no commit in {self.context.commit_seconds_max} s"
            ) from error
        self.commits += 1
        ended_at = time.monotonic()
        self.context.commit_ms.note([(ended_at - started_at) * 1000])
        self.context.pace.note(ended_at - started_at)
        self.rests_until = ended_at + self.context.pace.rest_seconds()
        self.progress.committed(step.offsets)
        self.letters.note(step, self.partition)
        for count in step.committed:
            count()

    @abstractmethod
    async def run(self) -> None:
        """Work until cancelled. Raising means that the partition must be recovered before it goes on."""

    async def drain(self) -> None:
        """End well: what is under way is finished, nothing new is begun. Bounded by the caller."""
        self.draining = True
        self._wake.set()


class Decider(Protocol):
    """What a stage does in one step, without waiting: it reads its table and answers with a step."""

    def step(self, chunks: Sequence[Chunk], now_ms: int) -> Step:
        """Decide on the records of the chunks, and on whatever else is due by now. Never raises for a record."""

    def next_at_ms(self) -> int | None:
        """When something is due without a record: the next sweep or release. None: never."""

    def latest_ms(self) -> int:
        """The latest time that the recovered state knows of, milliseconds since the epoch; 0: none."""


class StepLane(Lane):
    """The lane of a stage that decides without waiting: take, decide, commit, again."""

    step_records_max = STEP_RECORDS_MAX

    def __init__(self, context: LaneContext, decider: Decider, clock: WallClock | None = None) -> None:
        super().__init__(context)
        self.decider = decider
        self._clock = clock or PartitionClock(context.wall_ms, decider.latest_ms())

    async def run(self) -> None:
        """Work until cancelled or drained."""
        while not self.draining:
            await self.wait(self._seconds_until_next())
            # What is due by the clock does not wait for company.
            await self.rest(self.queued_records >= RECORDS_ENOUGH, self._seconds_until_next())
            async with self.context.gate:
                chunks = [] if self.letters.is_paused else self.take(self.step_records_max)
                now = self._clock.now_ms()
                step = self.decider.step([chunk for chunk in chunks if chunk.records], now)
                step.decided_at = now
                step.offsets.update({(chunk.topic, chunk.partition): chunk.end for chunk in chunks})
                if not step.is_empty():
                    await self.commit(step)

    def _seconds_until_next(self) -> float | None:
        next_at = self.decider.next_at_ms()
        return None if next_at is None else min(3600.0, max(0.0, (next_at - self._clock.now_ms()) / 1000))
