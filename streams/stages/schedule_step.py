"""One step of schedule: what it releases, takes, cancels and moves, laid over what the table holds."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from schemas.keys import partition_of
from schemas.notification import StatusWriters, write_due
from schemas.records import State
from streams.lane.step import NO_HEADERS, Headers, Output, Step
from streams.policies import scheduling
from streams.policies.identity import seen_digest
from streams.policies.scheduling import REMEMBERED_MS, Counts, Ended, Ending
from streams.stages.blocks import Block
from streams.stages.forgetting import ERASED_HEADER
from streams.stages.origin import Origin
from streams.stages.schedule_table import (
    ENDING_MARKS,
    RETRIES,
    Pending,
    index_key,
    key_at,
    key_of_index,
    pending_key,
    read_ended,
    read_index,
    read_pending,
)
from streams.stages.scheduled_rows import Command, Deferral, Held, Retry, read_delivery_body, read_held
from streams.stages.slots_table import ID_PREFIX
from streams.stages.traced_rows import traced
from streams.tracing import StepSpans

if TYPE_CHECKING:
    from streams.stages.schedule import ScheduleDecider

EXPIRED_REASON = b"of no use any more before it is due"


class ScheduleStep:
    """Collects the effects of one step. A later decision of the step sees what an earlier one has changed."""

    def __init__(self, stage: ScheduleDecider, now: int) -> None:
        self.step = Step()
        self.now = now
        self._stage = stage
        self._partition = stage.partition
        self._changes: dict[bytes, bytes | None] = {}
        self._index: dict[bytes, Pending | None] = {}
        self._ended: dict[bytes, Ended] = {}
        self._retried: set[tuple[bytes, bytes]] = set()
        self._ids: list[bytes] = []
        self._counted: Counter[str] = Counter()
        self._writers = StatusWriters("schedule", now, stage.headers["Status"])
        self._statuses: list[Output] = []
        self._headers = NO_HEADERS  # of all that comes of the row that is worked on
        self._spans: StepSpans | None = None
        if stage.tracer is not None:
            self._spans = StepSpans(stage.tracer, "schedule", stage.partition)
            self.step.committed.append(self._spans.committed)

    # --- traces

    def _waited(self, row: bytes, pending: Pending, how: str) -> Headers:
        """Say that it has waited until now. Returns the headers that go on with it."""
        tracer = self._stage.tracer
        if tracer is None or self._spans is None:
            return NO_HEADERS
        found = traced(row)
        if not found.headers:
            return NO_HEADERS
        hop = tracer.begin(found.headers, pending.slot, pending.notification_id, found.at)
        if hop.is_sampled:
            attributes: dict[str, str | int | float | bool] = {
                "ringonce.notification_id": pending.notification_id.decode(errors="replace"),
                "ringonce.type": pending.slot.rpartition(b":")[2].decode(errors="replace"),
                "ringonce.decision": how,
                "ringonce.due_at": pending.due_at,
            }
            self._spans.add(hop.own("schedule", attributes))
        return hop.headers

    # --- what is due

    def release_retries(self, rows: list[tuple[bytes, bytes]], headers: Headers = NO_HEADERS) -> None:
        """Put deliveries on `outbox` again."""
        stage, header = self._stage, self._stage.headers["Delivery"]
        for key, row in rows:
            pending = read_pending(key)
            user = pending.slot.rpartition(b":")[0]
            partition = partition_of(user, stage.partitions)
            said = [*headers, *self._waited(row, pending, "RELEASED")]
            self.step.emit(stage.topics.outbox, partition, user, header + read_delivery_body(row), said)
            self._changes[key] = None
            self._end(seen_digest(pending.slot, pending.notification_id), "RELEASED")
        self._counted["retries_released"] += len(rows)
        self._counted["retries_pending"] -= len(rows)

    def release(self, rows: list[tuple[bytes, bytes]]) -> int:
        """Put notifications on `due`, or end those that are of no use any more. Returns how many were released."""
        stage, header, now = self._stage, self._stage.headers["Due"], self.now
        emitted: list[Output] = []
        late_ms: list[int] = []
        for key, row in rows:
            pending = read_pending(key)
            due_at, _, slot, notification_id = pending
            held = read_held(row, slot)
            digest = seen_digest(slot, notification_id)
            self._remove(key)
            expired = held.expires_at is not None and held.expires_at <= now
            self._headers = self._waited(row, pending, "EXPIRED" if expired else "RELEASED")
            if expired:
                self._expire(slot, notification_id, digest, held.origin)
                continue
            value = write_due(due_at, now, *held.origin, held.body, header)
            emitted.append((slot, value, self._headers))
            self._status(held.origin, slot, notification_id, "RELEASED", b"due")
            self._end(digest, "RELEASED")
            late_ms.append(now - due_at)
        self._headers = NO_HEADERS
        if emitted:
            self.step.outputs[stage.topics.due, self._partition] = emitted
            self.step.committed.append(partial(stage.lateness.note, late_ms))
        self._counted["released"] += len(emitted)
        return len(emitted)

    # --- what arrives

    def look_up(self, records: list[Deferral | Command]) -> list[tuple[bytes, bytes]]:
        """Read all that is known of the ids of these records, in one go. Returns the (index key, digest) of each."""
        indexes = [index_key(record.slot, record.notification_id) for record in records]
        digests = [seen_digest(record.slot, record.notification_id) for record in records]
        rows = self._stage.table.read(self._partition, indexes + [ID_PREFIX + digest for digest in digests])
        for record, known, row in zip(records, indexes, rows, strict=False):
            if row is not None:
                self._index.setdefault(known, read_index(row, record.slot, record.notification_id))
        for digest, row in zip(digests, rows[len(indexes) :], strict=True):
            if row is not None:
                self._ended.setdefault(digest, read_ended(row))
        return list(zip(indexes, digests, strict=True))

    def take_retry(self, retry: Retry, offset: int) -> None:
        """Hold a delivery until its next attempt."""
        pending = Pending(retry.due_at, offset, retry.slot, retry.notification_id)
        key = pending_key(pending, RETRIES)
        self._changes[key] = retry.row
        self._retried.add((retry.slot, retry.notification_id))
        self._stage.retries.put(key, retry.due_at)
        self._counted["retries_taken"] += 1
        self._counted["retries_pending"] += 1

    def take(self, deferral: Deferral, known: bytes, digest: bytes, offset: int) -> None:
        """Hold a notification until it is due, unless it has ended before it came."""
        slot, notification_id, due_at, expires_at, origin, row = deferral
        before = self._index.get(known)
        same = None if before is None else self._held(before).origin == origin
        decision = scheduling.take(due_at, expires_at, same, self._ended.get(digest), self.now)
        if isinstance(decision, scheduling.Duplicate):
            self._counted["duplicates"] += 1
            self._status(origin, slot, notification_id, "DUPLICATE", b"scheduled before", notification_id)
            return
        if before is not None:  # the same event again: in place of what it was
            self._remove(pending_key(before))
            self._counted["moved"] += 1
        else:
            self._counted["scheduled"] += 1
        if isinstance(decision, scheduling.CancelledBefore):
            self._counted["cancelled"] += 1
            self._status(origin, slot, notification_id, "CANCELLED", b"its id was cancelled before it came here")
            self._end(digest, "CANCELLED")
        elif isinstance(decision, scheduling.Expire):
            self._expire(slot, notification_id, digest, origin)
        else:
            self._put(Pending(due_at, offset, slot, notification_id), known, row)

    def cancel(self, command: Command, known: bytes, digest: bytes) -> dict[str, Any]:
        """Cancel, if it is not too late. Returns the fields of the answer."""
        slot, notification_id = command.slot, command.notification_id
        pending, ended = self._index.get(known), self._ended.get(digest)
        retry_waits = pending is None and self._retry_waits(slot, notification_id)
        due_at = None if pending is None else pending.due_at
        decision = scheduling.cancel(due_at, retry_waits, ended, self.now)
        if isinstance(decision, scheduling.Cancelled):
            assert pending is not None, "it has a due time"
            held = self._held(pending)
            self._headers = self._waited(self._row(pending), pending, "CANCELLED")
            self._remove(pending_key(pending))
            self._counted["cancelled"] += 1
            reason = f"cancelled by {command.requested_by or 'an unnamed caller'} ({command.request_id})"
            self._status(held.origin, slot, notification_id, "CANCELLED", reason.encode())
            self._headers = NO_HEADERS
            self._end(digest, "CANCELLED")
            return {"outcome": "CANCELLED", "due_at_before": decision.due_at}
        if isinstance(decision, scheduling.Unknown):
            self._end(digest, "AWAITED")
        return _not_done(decision)

    def move(self, command: Command, known: bytes, digest: bytes, to: int, offset: int) -> dict[str, Any]:
        """Give it another time, if it is not too late. Returns the fields of the answer."""
        slot, notification_id = command.slot, command.notification_id
        pending, ended = self._index.get(known), self._ended.get(digest)
        retry_waits = pending is None and self._retry_waits(slot, notification_id)
        held = None if pending is None else self._held(pending)
        decision = scheduling.move(
            None if pending is None else pending.due_at,
            to,
            None if held is None else held.expires_at,
            retry_waits,
            ended,
            self.now,
        )
        if isinstance(decision, scheduling.Moved):
            assert pending is not None and held is not None, "it has a due time"
            row = self._row(pending)
            self._remove(pending_key(pending))
            self._put(Pending(to, offset, slot, notification_id), known, row)
            self._counted["moved"] += 1
            self._status(held.origin, slot, notification_id, "DEFERRED", b"moved", None, to)
            return {"outcome": "MOVED", "due_at_before": decision.before, "due_at_after": decision.after}
        if isinstance(decision, scheduling.WouldExpire):
            return {"outcome": "WOULD_EXPIRE", "due_at_before": decision.due_at, "due_at_after": decision.due_at}
        return _not_done(decision)

    def forget(self, index: bytes, row: bytes, source: str) -> str:
        """End what waits under this row of the index, whose user is erased. Returns what it was: pending, retries, or
        gone. Of a retry something may have been sent: deliver knows, and ends it, as the user has no device any more.
        """
        size = int.from_bytes(index[1:3], "big")
        slot, is_retry, name = index[3 : 3 + size], index[3 + size] == 1, index[4 + size :]
        pending = read_index(row, slot, name[:-8] if is_retry else name)
        if is_retry:
            key = pending_key(pending, RETRIES)
            value = self._stage.table.read(self._partition, [key])[0]
            if value is None or self._changes.get(key, b"") is None:
                return "gone"
            self.release_retries([(key, value)], [(ERASED_HEADER, b"1")])
            return "retries"
        known = index_key(slot, pending.notification_id)
        current = self._index.get(known, pending)
        if current is None:
            return "gone"
        self._index[known] = current
        held = self._held(current)
        self._remove(pending_key(current))
        self._counted["cancelled"] += 1
        reason = f"the user was erased ({source})".encode()
        self._status(held.origin, slot, pending.notification_id, "CANCELLED", reason)
        self._end(seen_digest(slot, pending.notification_id), "CANCELLED")
        return "pending"

    # --- rows

    def _retry_waits(self, slot: bytes, notification_id: bytes) -> bool:
        if (slot, notification_id) in self._retried:
            return True
        return self._stage.table.retry(self._partition, slot, notification_id) is not None

    def _row(self, pending: Pending) -> bytes:
        key = pending_key(pending)
        row = self._changes.get(key) or self._stage.table.read(self._partition, [key])[0]
        assert row is not None, f"the index names a row that is not there: {key!r}"
        return row

    def _held(self, pending: Pending) -> Held:
        return read_held(self._row(pending), pending.slot)

    def _put(self, pending: Pending, known: bytes, row: bytes) -> None:
        key = key_at(pending.due_at, pending.offset, known)
        self._changes[key] = row
        self._index[known] = pending
        self._stage.deferrals.put(key, pending.due_at)
        self._counted["pending"] += 1

    def _remove(self, key: bytes) -> None:
        if self._changes.get(key) is not None:
            del self._changes[key]  # it came in this very step, and was never there
        else:
            self._changes[key] = None
        self._index[key_of_index(key)] = None
        self._counted["pending"] -= 1

    def _end(self, digest: bytes, how: Ending) -> None:
        self._ended[digest] = Ended(how, self.now)
        self._ids.append(digest + ENDING_MARKS[how])

    def _expire(self, slot: bytes, notification_id: bytes, digest: bytes, origin: Origin) -> None:
        self._counted["expired"] += 1
        self._status(origin, slot, notification_id, "EXPIRED", EXPIRED_REASON)
        self._end(digest, "EXPIRED")

    def _status(
        self,
        origin: Origin,
        slot: bytes,
        notification_id: bytes,
        state: State,
        reason: bytes,
        by: bytes | None = None,
        until: int | None = None,
    ) -> None:
        writer = self._writers[origin[0]]
        value = writer.write(notification_id, slot, state, reason, origin[1], 0, by, until)
        self._statuses.append((slot, value, self._headers))

    def sweep(self, key: bytes) -> None:
        """Forget a block."""
        self._changes[key] = None

    def finish(self) -> tuple[Step, Counts]:
        """Return the step with its changes, and what the ledger says after it."""
        stage, counted = self._stage, self._counted
        counts = stage.counts
        if counted:
            counts = Counts(*(value + counted[name] for name, value in zip(Counts._fields, counts, strict=True)))
        if self._statuses:
            self.step.outputs[stage.topics.statuses, self._partition] = self._statuses
        if self._ids:
            block = Block(self.now, self.now + REMEMBERED_MS, b"".join(self._ids), [])
            stage.sweeper.put(self._changes, block)
        if self._changes:
            self.step.changes[stage.table.name] = self._changes
        return self.step, counts


def _not_done(decision: scheduling.TooLate | scheduling.Unknown) -> dict[str, Any]:
    if isinstance(decision, scheduling.TooLate):
        return {"outcome": f"ALREADY_{decision.how}", "ended_at": decision.at}
    return {"outcome": "UNKNOWN_ID", "holds_until": decision.holds_until}
