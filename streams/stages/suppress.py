"""suppress: at most one notification of a slot within any window.

Reads `notifications`, `due` and `verdicts`; keeps places and ids in `slots`; writes `outbox`, `scheduled`, `statuses`,
`answers`, `dead-letters`. Guarantee: each record read ends in exactly one outcome; outcome, state and offset are one
transaction. A crash before the commit leaves nothing of a step, after it all of it; there is nothing in between. What
quiet hours hold comes back by `verdicts`: that it frees its slot and that it is scheduled are one step, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.codec import Codec
from schemas.heads import checked_head
from schemas.keys import split_slot_key
from schemas.notification import RE_ENCODE, Head, current_body, read_due_head, read_heads
from schemas.poison import PoisonError
from streams.lane.chunk import Chunk, Record
from streams.lane.step import NO_HEADERS, Step
from streams.policies.suppression import SlotPolicy
from streams.stages.blocks import Sweeper
from streams.stages.forgetting import ROWS_MAX, Forget, read_forget, slots_of_user, write_answer, write_forget
from streams.stages.origin import origin_of
from streams.stages.slots_table import PLACE_PREFIX, SlotsTable
from streams.stages.suppress_metrics import SuppressCounts
from streams.stages.suppress_step import Event, SuppressStep
from streams.topics import TopicNames
from streams.tracing import Tracer, passed_on

INSTANT_MAX = 10**15  # the year 33658; a sum with any window still fits into 64 bits


class SuppressDecider:
    """The stage on one partition. Changes of a step are in the table only once the step is committed."""

    def __init__(
        self,
        partition: int,
        partitions: int,
        table: SlotsTable,
        topics: TopicNames,
        policy_of: Callable[[bytes], SlotPolicy | None],
        codec: Codec,
        counts: SuppressCounts | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.table = table
        self.topics = topics
        self.policy_of = policy_of
        self.codec = codec
        self.counts = counts or SuppressCounts()  # of all partitions of the worker
        self.tracer = tracer
        self.headers = {
            "Deferral": codec.header("Deferral", topics.scheduled),
            "LocalDeferral": codec.header("LocalDeferral", topics.outbox),
            "Status": codec.header("Status", topics.statuses),
        }
        self.outbox = (topics.outbox, codec.header("Delivery", topics.outbox))
        self.bulk = (topics.outbox_bulk, codec.header("Delivery", topics.outbox_bulk))
        self.sweeper = Sweeper(table, partition)

    def latest_ms(self) -> int:
        """One later than the last decision that the table knows of."""
        return self.table.latest_ms(self.partition) + 1

    def next_at_ms(self) -> int | None:
        """When the next block may be swept."""
        return self.sweeper.next_at_ms

    def step(self, chunks: Sequence[Chunk], now_ms: int) -> Step:
        """Verdicts first, because they free slots; then what is due; then what is new; then what has run out."""
        work = SuppressStep(self, now_ms)
        for chunk in chunks:
            if chunk.topic == self.topics.verdicts:
                self._verdicts(work, chunk)
        for chunk in chunks:
            if chunk.topic == self.topics.due:
                self._due(work, chunk)
        for chunk in chunks:
            if chunk.topic == self.topics.notifications:
                self._notifications(work, chunk)
        for key, block in self.sweeper.due(now_ms):
            work.sweep(key, block)
        return work.finish()

    def _notifications(self, work: SuppressStep, chunk: Chunk) -> None:
        records = chunk.records
        heads = read_heads([record.value for record in records], [record.key for record in records], self.codec)
        events: list[Event] = []
        partition, body_of = chunk.partition, self._body_of_notification
        for record, head in zip(records, heads, strict=True):
            origin = (partition, record.offset) if not record.headers else origin_of(record, partition)
            if isinstance(head, PoisonError):
                work.give_up(head, record, origin, record.key or b"", None)
            else:
                assert record.key is not None, "a head is read only where the key is that of the body"
                events.append((head, record.key, record, origin, body_of))
        work.decide_all(events, released=False)

    def _body_of_notification(self, record: Record, head: Head) -> bytes:
        assert record.value is not None, "a head was read from it"
        if head.body_start == RE_ENCODE:
            return current_body(self.codec, record.value)
        return record.value[head.body_start :]

    def _due(self, work: SuppressStep, chunk: Chunk) -> None:
        events: list[Event] = []
        for record in chunk.records:
            try:
                due = read_due_head(record.value, record.key, self.codec)
            except PoisonError as error:
                work.give_up(error, record, (-1, -1), record.key or b"", None, self.topics.due)
                continue
            assert record.key is not None, "a head is read only where the key is that of the body"
            origin = (due.origin_partition, due.origin_offset)
            events.append((due.head, record.key, record, origin, self._body_of_notification))
        work.decide_all(events, released=True)

    def _verdicts(self, work: SuppressStep, chunk: Chunk) -> None:
        for record in chunk.records:
            try:
                if record.key is None:
                    raise PoisonError("NO_KEY", "the verdict has no key; it must be user_id:type")
                name, verdict = self.codec.decode(record.value, ("Verdict", "Deferral", "Forget"))
                if name == "Forget":
                    self._forget(work, read_forget(verdict, record.key))
                    continue
                split_slot_key(record.key)
                instant = "at" if name == "Verdict" else "due_at"
                if abs(verdict[instant]) > INSTANT_MAX:
                    raise PoisonError("INVALID_FIELD", f"{instant}: {verdict[instant]} is no instant in milliseconds")
                if name == "Deferral":
                    checked_head(verdict["notification"], record.key, RE_ENCODE)
            except PoisonError as error:
                work.give_up(error, record, (-1, -1), record.key or b"", None, self.topics.verdicts)
                continue
            if name == "Verdict":
                work.settle(record.key, verdict["notification_id"].encode(), verdict["outcome"], verdict["at"])
            else:
                value = self.codec.encode("Deferral", verdict, self.topics.scheduled)
                headers = NO_HEADERS if self.tracer is None else passed_on(record.headers)
                work.hold_back(record.key, verdict["notification"]["notification_id"].encode(), value, headers)

    def _forget(self, work: SuppressStep, forget: Forget) -> None:
        """Do one round of an erasure; the answer comes with the last one.

        What is before the command here has changed no rows but those that there are, so the first round sees them all.
        """
        topics, codec, user = self.topics, self.codec, forget.user
        if forget.round == 0:  # on its way to schedule, behind what deliver has given back before
            work.step.emit(topics.scheduled, self.partition, user, write_forget(codec, forget, topics.scheduled))
        rows, after = slots_of_user(self.table, self.partition, PLACE_PREFIX, user, forget.after, ROWS_MAX)
        kept = work.forget(rows)
        counts = {"slots": len(rows) - len(kept)}, {"slots": len(kept)}
        done = forget.next(after or b"", *counts, max(kept, default=None))
        if after is None:
            value = write_answer(codec, done, "suppress", self.partition, work.now, topics.answers)
            work.step.emit(topics.answers, self.partition, user, value)
        else:
            work.step.emit(topics.verdicts, self.partition, user, write_forget(codec, done, topics.verdicts))
