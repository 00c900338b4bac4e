"""schedule: holds what is not due yet, and releases it when it is: never early, in due order.

Reads `scheduled`; keeps `schedule`, in due order; writes `due` (deferred notifications), `outbox` (retries), `answers`,
`statuses`, `dead-letters`. Guarantee: a notification that was taken is pending, released, cancelled or expired, exactly
one of them: its row, the ledger, the outputs and the answer to a command are one transaction. A crash before the commit
leaves it as it was; after it, as the answer says.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schemas.codec import Codec
from schemas.keys import partition_of, split_slot_key
from schemas.poison import PoisonError
from streams.lane.chunk import Chunk, Record
from streams.lane.step import Step
from streams.metrics import Buckets
from streams.policies.pacing import Bucket, next_token_at, refill, spend
from streams.policies.scheduling import Counts
from streams.stages.blocks import Sweeper
from streams.stages.dead_letters import VALUE_BYTES_MAX, dead_letter, letter_key
from streams.stages.forgetting import ROWS_MAX, Forget, rows_of_user, write_answer, write_forget
from streams.stages.origin import origin_of, with_origin
from streams.stages.schedule_ledger import Ledger, RowCount, RowCounter, read_ledger, write_ledger
from streams.stages.schedule_metrics import LATENESS_BOUNDS_MS
from streams.stages.schedule_queue import DueQueue
from streams.stages.schedule_step import ScheduleStep
from streams.stages.schedule_table import DEFERRALS, INDEX, LEDGER_KEY, RETRIES, ScheduleTable
from streams.stages.scheduled_rows import Command, Deferral, Retry, read_scheduled
from streams.stages.traced_rows import with_trace
from streams.topics import TopicNames
from streams.tracing import Tracer

logger = logging.getLogger(__name__)

RELEASES_MAX = 2_000  # in one step; the next one follows at once
# After a release the next one waits for company for so long: a transaction costs 10 ms or more, however small it is.
COMPANY_MS = 50


_Held = TypeVar("_Held", Deferral, Retry)


@dataclass(frozen=True, slots=True)
class ScheduleOptions:
    """`release_per_second_max`: of one partition; 0: no limit. `lateness` is noted for all partitions of a worker."""

    release_per_second_max: float = 0.0
    lateness: Buckets = field(default_factory=lambda: Buckets(LATENESS_BOUNDS_MS))
    tracer: Tracer | None = None


class ScheduleDecider:
    """The stage on one partition."""

    def __init__(
        self,
        partition: int,
        partitions: int,
        table: ScheduleTable,
        topics: TopicNames,
        codec: Codec,
        options: ScheduleOptions | None = None,
    ) -> None:
        options = options or ScheduleOptions()
        self.partition = partition
        self.partitions = partitions
        self.table = table
        self.topics = topics
        self.codec = codec
        self.headers = {
            "Due": codec.header("Due", topics.due),
            "Delivery": codec.header("Delivery", topics.outbox),
            "Status": codec.header("Status", topics.statuses),
        }
        ledger = read_ledger(table, partition)
        self.counts = ledger.counts
        self.deferrals = DueQueue(table, partition, DEFERRALS, ledger.deferrals_front)
        self.retries = DueQueue(table, partition, RETRIES, ledger.retries_front)
        self.sweeper = Sweeper(table, partition)
        self.lateness = options.lateness
        self.tracer = options.tracer
        self.rows_difference = 0
        self._reported = 0
        self._counter = RowCounter(table, partition)
        self._per_second = options.release_per_second_max
        self._bucket = Bucket(0.0, 0)
        self._resume_at = 0

    def latest_ms(self) -> int:
        """The table holds what is to come, and knows no time of its own."""
        return 0

    @property
    def next_due_at(self) -> int | None:
        """When the next notification is due."""
        return self.deferrals.next_at

    def next_at_ms(self) -> int | None:
        """When the next one may be released, a block swept or rows counted."""
        deferral_at = self.deferrals.next_at
        if deferral_at is not None:
            deferral_at = max(deferral_at, self._resume_at)
        instants = (deferral_at, self.retries.next_at, self.sweeper.next_at_ms, self._counter.next_at_ms())
        return min((at for at in instants if at is not None), default=None)

    def step(self, chunks: Sequence[Chunk], now_ms: int) -> Step:
        """Count, release what is due, then take what is new; what is new and due is released in the next step.

        So a command meets what is due as released, and all before it in its topic as taken.
        """
        counted = self._counter.count((self.deferrals.front, self.retries.front), now_ms)
        if counted is not None:
            self._compare(counted)
        work = ScheduleStep(self, now_ms)
        self._release(work)
        self._take(work, chunks)
        for key, _ in self.sweeper.due(now_ms):
            work.sweep(key)
        step, counts = work.finish()
        changes = step.changes.get(self.table.name)
        if changes:
            self._counter.note(changes.items())
            self._close(counts)
            changes[LEDGER_KEY] = write_ledger(Ledger(counts, self.deferrals.front, self.retries.front), now_ms)
        return step

    # --- out

    def _release(self, work: ScheduleStep) -> None:
        now, rows_max = work.now, RELEASES_MAX
        work.release_retries(self.retries.due(now, RELEASES_MAX))
        if self._per_second:
            self._bucket = refill(self._bucket, now, self._per_second)
            rows_max = min(RELEASES_MAX, int(self._bucket.tokens))
        rows = self.deferrals.due(now, rows_max)
        if rows:
            self._bucket = spend(self._bucket, work.release(rows))
        is_behind = self.deferrals.next_at is not None and self.deferrals.next_at <= now
        if is_behind and self._per_second:
            self._resume_at = max(now + COMPANY_MS, next_token_at(self._bucket, self._per_second))
        elif rows:
            self._resume_at = now if is_behind else now + COMPANY_MS

    # --- in

    def _take(self, work: ScheduleStep, chunks: Sequence[Chunk]) -> None:
        found: list[tuple[Deferral | Retry | Command, Record]] = []
        forgets: list[Forget] = []
        for chunk in chunks:
            for record in chunk.records:
                try:
                    scheduled = read_scheduled(self.codec, record.value, record.key)
                except PoisonError as error:
                    self._give_up(work, error, record)
                    continue
                if isinstance(scheduled, Forget):  # it comes to each partition
                    forgets.append(scheduled)
                    continue
                partition = partition_of(scheduled.slot, self.partitions)
                if partition == self.partition:
                    found.append((scheduled, record))
                else:
                    self._route(work, record, partition)
        if found:
            self._take_all(work, found)
        for forget in forgets:
            self._forget(work, forget)

    def _take_all(self, work: ScheduleStep, found: Sequence[tuple[Deferral | Retry | Command, Record]]) -> None:
        names = iter(work.look_up([scheduled for scheduled, _ in found if not isinstance(scheduled, Retry)]))
        for scheduled, record in found:
            if isinstance(scheduled, Deferral):
                work.take(self._traced(scheduled, record), *next(names), record.offset)
            elif isinstance(scheduled, Retry):
                work.take_retry(self._traced(scheduled, record), record.offset)
            elif scheduled.due_at is None:
                self._answer(work, scheduled, work.cancel(scheduled, *next(names)))
            else:
                outcome = work.move(scheduled, *next(names), scheduled.due_at, record.offset)
                self._answer(work, scheduled, outcome)

    def _traced(self, scheduled: _Held, record: Record) -> _Held:
        """Keep the trace that a record belongs to with what is held of it."""
        if self.tracer is None or not record.headers:
            return scheduled
        return scheduled._replace(row=with_trace(scheduled.row, record.headers, record.timestamp))

    def _forget(self, work: ScheduleStep, forget: Forget) -> None:
        """Do one round of an erasure; the answer comes with the last one."""
        removed: Counter[str] = Counter()
        after: bytes | None = b""
        if forget.round:
            rows, after = rows_of_user(self.table, self.partition, INDEX, forget.user, forget.after, ROWS_MAX)
            for key, row in rows:
                removed[work.forget(key, row, forget.source)] += 1
        done = forget.next(after or b"", {name: removed[name] for name in ("pending", "retries")}, {})
        if after is None:
            topic = self.topics.answers
            value = write_answer(self.codec, done, "schedule", self.partition, work.now, topic)
        else:
            topic = self.topics.scheduled
            value = write_forget(self.codec, done, topic)
        work.step.emit(topic, self.partition, forget.user, value)

    def _answer(self, work: ScheduleStep, command: Command, outcome: dict[str, Any]) -> None:
        user_id, kind = split_slot_key(command.slot)
        answer = {
            "request_id": command.request_id,
            "notification_id": command.notification_id.decode(),
            "user_id": user_id,
            "type": kind,
            "at": work.now,
            **outcome,
        }
        value = self.codec.encode("ScheduleAnswer", answer, self.topics.answers)
        work.step.emit(self.topics.answers, self.partition, command.slot, value)

    def _route(self, work: ScheduleStep, record: Record, partition: int) -> None:
        """Send a record on to the partition that its slot lives in: its producer has another partitioner."""
        size = len(record.value or b"")
        if size > VALUE_BYTES_MAX:
            self._give_up(
                work, PoisonError("TOO_LARGE", f"{size} bytes, at most {VALUE_BYTES_MAX} can be passed on"), record
            )
            return
        headers = with_origin(record, origin_of(record, self.partition))
        work.step.emit(self.topics.scheduled, partition, record.key, record.value, headers)

    def _give_up(self, work: ScheduleStep, error: PoisonError, record: Record) -> None:
        place = (self.topics.scheduled, self.partition)
        letter = dead_letter(self.codec, error, "schedule", place, record, work.now, self.topics.dead_letters)
        work.step.emit(self.topics.dead_letters, self.partition, letter_key(record), letter)

    # --- the ledger

    def _close(self, counts: Counts) -> None:
        difference = counts.difference()
        if difference and difference != self._reported:
            logger.error("schedule-%d: the ledger does not close: %s", self.partition, counts)
        self.counts, self._reported = counts, difference

    def _compare(self, counted: RowCount) -> None:
        counts = self.counts
        difference = abs(counted.deferrals - counts.pending) + abs(counted.retries - counts.retries_pending)
        if difference and difference != self.rows_difference:
            logger.error(
                "schedule-%d: %d deferrals and %d retries are in the table, the ledger says %s",
                self.partition,
                counted.deferrals,
                counted.retries,
                counts,
            )
        self.rows_difference = difference
