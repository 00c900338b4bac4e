"""schedule: holds what is not due yet, and releases it when it is: never early, in due order.

Reads `scheduled`; keeps `schedule`, ordered by due time; writes `due` (deferred notifications) and `outbox` (retries).
Guarantee: a record that was taken is either in the table or released, never both and never neither: release and
removal are one transaction. A crash before the commit leaves it pending; after it, it is released.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.codec import Codec
from schemas.keys import partition_of, split_slot_key
from schemas.notification import StatusWriter, write_due
from schemas.poison import PoisonError
from streams.lane.chunk import Chunk, Record
from streams.lane.table import LaneTable
from streams.lane.transaction import Step
from streams.stages.dead_letters import dead_letter, letter_key
from streams.stages.scheduled_rows import Scheduled, read_scheduled
from streams.topics import TopicNames

DUE_PREFIX = b"d"
DUE_END = b"e"
RELEASES_MAX = 1_000  # in one step; the next one follows at once


class Pending(NamedTuple):
    """A row of the table: when it is due, the offset of the record that brought it, and whose it is."""

    due_at: int
    offset: int
    slot: bytes


def pending_key(pending: Pending) -> bytes:
    """Return the row's key: in due order, then in the order of arrival."""
    return DUE_PREFIX + pending.due_at.to_bytes(8, "big") + pending.offset.to_bytes(8, "big") + pending.slot


def read_pending(key: bytes) -> Pending:
    """Read a row's key."""
    return Pending(int.from_bytes(key[1:9], "big"), int.from_bytes(key[9:17], "big"), key[17:])


class ScheduleDecider:
    """The stage on one partition."""

    def __init__(self, partition: int, partitions: int, table: LaneTable, topics: TopicNames, codec: Codec) -> None:
        self.partition = partition
        self.partitions = partitions
        self.table = table
        self.topics = topics
        self.codec = codec
        self._headers = {
            "Due": codec.header("Due", topics.due),
            "Delivery": codec.header("Delivery", topics.outbox),
            "Status": codec.header("Status", topics.statuses),
        }
        # Everything before this key was released: a scan from the very front would walk over its tombstones.
        self._front = DUE_PREFIX
        self._next_at = self._first_due_at()

    def _first_due_at(self) -> int | None:
        rows = self.table.scan(self.partition, self._front, DUE_END, 1)
        return read_pending(rows[0][0]).due_at if rows else None

    def latest_ms(self) -> int:
        """The table holds what is to come, and knows no time of its own."""
        return 0

    def next_at_ms(self) -> int | None:
        """When the first one is due."""
        return self._next_at

    def step(self, chunks: Sequence[Chunk], now_ms: int) -> Step:
        """Release what is due, then take what is new; what is new and due already is released in the next step."""
        step = Step()
        changes: dict[bytes, bytes | None] = {}
        if self._next_at is not None and self._next_at <= now_ms:
            self._release(step, changes, now_ms)
        for chunk in chunks:
            for record in chunk.records:
                self._take(step, changes, record, now_ms)
        if changes:
            step.changes[self.table.name] = changes
        return step

    def _take(self, step: Step, changes: dict[bytes, bytes | None], record: Record, now: int) -> None:
        try:
            if record.key is None:
                raise PoisonError("NO_KEY", "the record has no key; it must be user_id:type")
            split_slot_key(record.key)
            due_at = read_scheduled(self.codec, record.value).due_at
        except PoisonError as error:
            place = (self.topics.scheduled, self.partition)
            letter = dead_letter(self.codec, error, "schedule", place, record, now, self.topics.dead_letters)
            step.emit(self.topics.dead_letters, self.partition, letter_key(record), letter)
            return
        pending = Pending(max(0, due_at), record.offset, record.key)
        key = pending_key(pending)
        changes[key] = record.value
        if key < self._front:
            self._front = key
        if self._next_at is None or pending.due_at < self._next_at:
            self._next_at = pending.due_at

    def _release(self, step: Step, changes: dict[bytes, bytes | None], now: int) -> None:
        rows = self.table.scan(self.partition, self._front, DUE_END, RELEASES_MAX + 1)
        writers: dict[int, StatusWriter] = {}
        self._next_at = None
        for number, (key, value) in enumerate(rows):
            pending = read_pending(key)
            if number == RELEASES_MAX or pending.due_at > now:
                self._next_at = pending.due_at
                break
            self._front = key + b"\0"
            changes[key] = None
            scheduled = read_scheduled(self.codec, value)
            if scheduled.is_retry:
                user = pending.slot.rpartition(b":")[0]
                partition = partition_of(user, self.partitions)
                step.emit(self.topics.outbox, partition, user, self._headers["Delivery"] + scheduled.body)
                continue
            self._emit_due(step, writers, pending, scheduled, now)

    def _emit_due(
        self, step: Step, writers: dict[int, StatusWriter], pending: Pending, scheduled: Scheduled, now: int
    ) -> None:
        partition, offset = scheduled.origin
        value = write_due(pending.due_at, now, partition, offset, scheduled.body, self._headers["Due"])
        step.emit(self.topics.due, self.partition, pending.slot, value)
        writer = writers.get(partition)
        if writer is None:
            writer = writers[partition] = StatusWriter("schedule", now, partition, self._headers["Status"])
        status = writer.write(scheduled.notification_id, pending.slot, "RELEASED", b"due", offset)
        step.emit(self.topics.statuses, self.partition, pending.slot, status)
