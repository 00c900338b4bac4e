"""All lanes of one worker: which stages there are, and what becomes of their partitions in a rebalance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from streams.logs import lane_of_record
from streams.metrics import Buckets

from .chunk import Chunk
from .lane import Lane, LaneContext
from .letters import NO_LETTER_RULE, LetterBudget, LetterRule
from .pace import StepPace
from .table import LaneTable
from .transaction import ClockRule, PartitionTransaction

logger = logging.getLogger(__name__)

STEPS_AT_ONCE = 4  # enough to decide while others commit; more only make transactions smaller and dearer
FENCES_AT_ONCE = 8  # each is a handful of round trips; more at once only queue at the transaction coordinator


class AssignmentError(Exception):
    """The topics of a stage are not assigned together: their partition counts differ."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage, as it is installed in the app."""

    name: str
    topics: tuple[str, ...]
    tables: tuple[LaneTable, ...]
    new_lane: Callable[[LaneContext], Lane]
    patient: frozenset[str] = frozenset()
    last: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """What lanes need to know of the settings."""

    group: str
    producer_options: Mapping[str, Any]
    transaction_timeout_ms: int
    wall_ms: Callable[[], int]
    drain_seconds_max: float
    clock_off_ms_max: int
    letters: LetterRule = NO_LETTER_RULE


class Lanes:
    """Fences, opens and closes the lanes of the assigned partitions, and hands them their chunks."""

    def __init__(
        self,
        options: LaneOptions,
        hold: Callable[[TP], None],
        release: Callable[[TP], None],
        on_failure: Callable[[BaseException], Awaitable[None]],
    ) -> None:
        self.stages: dict[str, Stage] = {}
        self._options = options
        self._hold = hold
        self._release = release
        self._on_failure = on_failure
        self._transactions: dict[tuple[str, int], PartitionTransaction] = {}
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._by_topic: dict[tuple[str, int], Lane] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._gate = asyncio.Semaphore(STEPS_AT_ONCE)
        self.clock = ClockRule(options.wall_ms, options.clock_off_ms_max)
        self.commit_ms: dict[str, Buckets] = {}
        self._paces: dict[str, StepPace] = {}
        # The ends of their topics, as the watchdog saw them last.
        self.ends: Mapping[TP, int] = {}
        # Set while the assigned partitions are fenced, recovered and worked on.
        self.opened = asyncio.Event()

    def add(self, stage: Stage) -> None:
        """Make a stage known, before the worker starts."""
        self.stages[stage.name] = stage
        self.commit_ms[stage.name] = Buckets()
        self._paces[stage.name] = StepPace()

    def describe(self) -> str:
        """Return which partitions are worked on, for people."""
        found = ((name, sorted(self.lanes(name))) for name in self.stages)
        return "; ".join(f"{name} {','.join(map(str, partitions)) or 'none'}" for name, partitions in found)

    def lanes(self, stage: str) -> dict[int, Lane]:
        """Return the open lanes of one stage by partition."""
        return {partition: lane for (name, partition), lane in self._lanes.items() if name == stage}

    def letters(self) -> dict[tuple[str, int], LetterBudget]:
        """Return what each open lane may still write to the dead letters."""
        return {place: lane.letters for place, lane in self._lanes.items()}

    def all(self) -> list[Lane]:
        """Return the open lanes of all stages."""
        return list(self._lanes.values())

    async def fence(self, assigned: Iterable[TP]) -> None:
        """Take the assigned partitions: when it returns, no earlier owner can commit anything for them."""
        async with self._changing:
            await self._close(0.0)
            assigned = set(assigned)
            wanted = [
                (stage, partition) for stage in self.stages.values() for partition in _partitions(stage, assigned)
            ]
            for stage, partition in wanted:
                self._transactions[stage.name, partition] = self._transaction(stage, partition)
            gate = asyncio.Semaphore(FENCES_AT_ONCE)

            async def fence(transaction: PartitionTransaction) -> None:
                async with gate:
                    await transaction.fence()

            await asyncio.gather(*(fence(transaction) for transaction in self._transactions.values()))

    def _transaction(self, stage: Stage, partition: int) -> PartitionTransaction:
        options = self._options
        return PartitionTransaction(
            stage.name,
            partition,
            options.group,
            [(table.name, table) for table in stage.tables],
            options.producer_options,
            options.transaction_timeout_ms,
            self.clock,
        )

    async def open(self, offsets: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        """Start the lanes of the fenced and recovered partitions at these positions; their topics end there now."""
        async with self._changing:
            self.ends = dict(ends)
            for name, pace in self._paces.items():
                pace.lanes = sum(stage == name for stage, _ in self._transactions)
            for (name, partition), transaction in self._transactions.items():
                stage = self.stages[name]
                context = LaneContext(
                    stage=name,
                    partition=partition,
                    transaction=transaction,
                    positions={topic: offsets[TP(topic, partition)] for topic in stage.topics},
                    hold=lambda topic, number: self._hold(TP(topic, number)),
                    release=lambda topic, number: self._release(TP(topic, number)),
                    wall_ms=self._options.wall_ms,
                    commit_seconds_max=self._options.transaction_timeout_ms / 1000,
                    gate=self._gate,
                    patient=stage.patient,
                    last=stage.last,
                    letters=self._options.letters,
                    ends={topic: ends.get(TP(topic, partition), 0) for topic in stage.topics},
                    commit_ms=self.commit_ms[name],
                    pace=self._paces[name],
                )
                lane = stage.new_lane(context)
                self._lanes[name, partition] = lane
                for topic in stage.topics:
                    self._by_topic[topic, partition] = lane
                task = asyncio.create_task(self._watch(lane.run(), f"{name}-{partition}"), name=f"{name}-{partition}")
                self._tasks[name, partition] = task
            self.opened.set()

    async def _watch(self, run: Coroutine[Any, Any, None], name: str) -> None:
        lane_of_record.set(name)  # of this task, and of those that it starts
        try:
            await run
        except (asyncio.CancelledError, GeneratorExit):
            raise  # told to end, or thrown away with its loop
        except BaseException as error:
            logger.error("%r", error)
            end = asyncio.ensure_future(self._on_failure(error))
            self._ends.add(end)  # keeps the task alive until it is done
            end.add_done_callback(self._ends.discard)

    async def offer(self, chunk: Chunk) -> None:
        """Hand a chunk to its lane; one for a partition that is no longer ours is dropped, and read by its owner."""
        lane = self._by_topic.get((chunk.topic, chunk.partition))
        if lane is None:
            return
        try:
            lane.offer(chunk)
        except BaseException as error:
            logger.error("%r", error)
            await self._on_failure(error)

    async def close(self) -> None:
        """Let go of all partitions: finish what is under way within the limit, then stop."""
        async with self._changing:
            await self._close(self._options.drain_seconds_max)

    async def _close(self, drain_seconds: float) -> None:
        self.opened.clear()
        tasks = list(self._tasks.values())
        if tasks and drain_seconds > 0:
            await asyncio.gather(*(lane.drain() for lane in self._lanes.values()))
            await asyncio.wait(tasks, timeout=drain_seconds)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        self._by_topic.clear()
        self._lanes.clear()
        self._tasks.clear()
        transactions, self._transactions = list(self._transactions.values()), {}
        await asyncio.gather(*(transaction.close(5.0) for transaction in transactions))


def _partitions(stage: Stage, assigned: set[TP]) -> list[int]:
    by_topic = {topic: {tp.partition for tp in assigned if tp.topic == topic} for topic in stage.topics}
    partitions = by_topic[stage.topics[0]]
    for topic, found in by_topic.items():
        if found != partitions:
            raise AssignmentError(
                f"{stage.name}: {topic} and {stage.topics[0]} are not assigned together ({sorted(found)} and "
                f"{sorted(partitions)}): give all topics the same number of partitions (`ringonce topics --check`)"
            )
    return sorted(partitions)
