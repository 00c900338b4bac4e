"""broadcast: tells the users of its own partition, each exactly once, at a pace, until it is told to stop.

Reads `broadcasts`; keeps `broadcasts`; reads rows of deliver's `directory`, and never writes there; writes
`notifications`, `broadcast-reports`, `broadcasts` (how it ended, for the totals), `dead-letters`. The copies of one
step, how far it came and its counts are one transaction: a crash before the commit leaves nothing of the step, after it
the next owner goes on with the user after the last one. There is no central list and nobody who coordinates: every
partition has the same record and works off its own users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.lane.chunk import Chunk, Record
from streams.lane.clock import WallClock
from streams.lane.lane import Decider, LaneContext, StepLane
from streams.lane.step import Step
from streams.lane.table import LaneTable
from streams.policies.broadcasting import Action, Phase, after
from streams.stages.broadcast_book import UNFINISHED_MAX, Book, Broadcasting
from streams.stages.broadcast_records import Control, Definition, Ended, Listed, Start, read_broadcasts
from streams.stages.broadcast_rows import Progress, broadcast_key, list_prefix
from streams.stages.broadcast_step import BroadcastStep
from streams.stages.broadcast_tell import BroadcastOptions, Teller
from streams.stages.broadcast_totals import BroadcastTotals
from streams.stages.broadcast_users import DirectoryUsers, ListedUsers
from streams.stages.dead_letters import dead_letter, letter_key
from streams.topics import TopicNames

REMOVED_MAX: Final = 2_000  # rows of ended lists removed in one step
LIST_RECORDS_MAX: Final = 4  # taken in one step, of at most 1,000 users each: a chunk of lists may hold 100,000 users
QUEUED_RECORDS_MAX: Final = 100  # of at most 1,000 users each; the rest of a list waits in Kafka
_DONE: Final[dict[Action, str]] = {"PAUSE": "paused", "RESUME": "resumed", "CANCEL": "cancelled"}


class BroadcastDecider:
    """The stage on one partition."""

    def __init__(
        self,
        partition: int,
        partitions: int,
        table: LaneTable,
        users: DirectoryUsers,
        topics: TopicNames,
        codec: Codec,
        options: BroadcastOptions,
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.table = table
        self.topics = topics
        self.codec = codec
        self.options = options
        self.book = Book(table, partition, codec, topics.notifications)
        self.teller = Teller(table, partition, partitions, users, options)
        self.totals = BroadcastTotals(table, partition, partitions)
        # Lists whose broadcast has ended, and up to where their rows are removed.
        self._emptying = {name: b"" for name, each in self.book.ended.items() if each.progress.rows}

    def latest_ms(self) -> int:
        """The table knows no time that this one must not be before."""
        return 0

    def next_at_ms(self) -> int | None:
        """When there is something to do without a record."""
        if self._emptying:
            return 0
        instants = [self.totals.next_at_ms(), self.book.forget_at()]
        for each in self.book.unfinished.values():
            instants.append(each.until())
            if each.progress.phase == "RUNNING":
                # Counting goes on beside a pace that leaves time for it.
                counts_on = each.is_uncounted and self.teller.users.is_here()
                instants.append(0 if counts_on else self.teller.resume_at(each))
        return min((at for at in instants if at is not None), default=None)

    def step(self, chunks: Sequence[Chunk], now_ms: int) -> Step:
        """Take what is new, then tell, count and forget. What has just come is told by the next step."""
        work = BroadcastStep(self, now_ms)
        for chunk in chunks:
            for record in chunk.records:
                try:
                    self._take(work, read_broadcasts(self.codec, record))
                except PoisonError as error:
                    self._give_up(work, error, record)
        unfinished = list(self.book.unfinished.values())
        for each in unfinished:
            self._end_by_itself(work, each)
        due = [
            each
            for each in self.book.unfinished.values()
            if each.progress.phase == "RUNNING"
            and self.teller.resume_at(each) <= now_ms
            and each.broadcast_id not in work.begun
        ]
        for each in self.teller.tell(work, due):
            self._move(work, each, "DONE", "every user was looked at")
        self.teller.count(work, [each for each in self.book.unfinished.values() if each.is_uncounted])
        self._empty(work)
        self._forget(work)
        return work.finish()

    # --- what comes in

    def _take(self, work: BroadcastStep, taken: Start | Control | Listed | Ended) -> None:
        if isinstance(taken, Start):
            self._start(work, taken)
        elif isinstance(taken, Control):
            self._control(work, taken)
        elif isinstance(taken, Listed):
            self._list(work, taken)
        else:
            work.add_up(taken)

    def _start(self, work: BroadcastStep, start: Start) -> None:
        each = self.book.find(start.broadcast_id)
        if each is not None and (each.definition is not None or work.broadcast_row(start.broadcast_id) is not None):
            return  # the same id again is the same broadcast
        work.changes[broadcast_key(start.broadcast_id)] = start.row
        if each is not None and each.progress.has_ended:  # its list was cancelled before it came
            work.tell_totals(each)
            return
        definition = self.book.read(start.row)
        phase, reason = self._first_phase(definition, start, is_new=each is None)
        each = each or self.book.add(start.broadcast_id, reason, work.now)
        users = each.progress.rows if definition.audience == "LIST" else None
        each.definition = definition
        each.go_on(work.now)
        work.begun.add(start.broadcast_id)
        work.put(each, each.progress._replace(started_at=work.now, users=users))
        self._move(work, each, phase, reason)

    def _first_phase(self, definition: Definition, start: Start, is_new: bool) -> tuple[Phase, str]:
        kind = definition.type.decode()
        if not self.options.knows_type(kind):
            return "REFUSED", f"the types file has no type {kind!r}"
        if is_new and self.book.is_full:
            return "REFUSED", f"{UNFINISHED_MAX} broadcasts have not ended yet"
        return "RUNNING", f"started by {_who(start.requested_by)}"

    def _control(self, work: BroadcastStep, control: Control) -> None:
        each = self.book.find(control.broadcast_id)
        if each is None:
            work.report_unknown(control)
            return
        phase = after(each.progress.phase, control.action)
        if phase == each.progress.phase:
            work.report(each, control.request_id)
            return
        if phase == "RUNNING":
            each.go_on(work.now)
        reason = f"{_DONE[control.action]} by {_who(control.requested_by)} ({control.request_id})"
        self._move(work, each, phase, reason, control.request_id)

    def _list(self, work: BroadcastStep, listed: Listed) -> None:
        each = self.book.find(listed.broadcast_id)
        if each is None:
            if self.book.is_full:
                raise PoisonError("INVALID_FIELD", f"broadcast_id: {UNFINISHED_MAX} broadcasts have not ended yet")
            each = self.book.add(listed.broadcast_id, "its users are being listed", work.now)
        if each.progress.phase != "LOADING":
            return  # it has begun: whoever writes the list once more, after it was taken, changes nothing
        prefix = list_prefix(listed.broadcast_id)
        new = work.new_of(list(dict.fromkeys(prefix + user for user in listed.users)))
        work.changes.update(dict.fromkeys(new, b""))
        work.listed.add(listed.broadcast_id)
        rows = each.progress.rows + len(new)
        work.put(each, each.progress._replace(rows=rows, users=rows, changed_at=work.now))

    def _give_up(self, work: BroadcastStep, error: PoisonError, record: Record) -> None:
        place = (self.topics.broadcasts, self.partition)
        letter = dead_letter(self.codec, error, "broadcast", place, record, work.now, self.topics.dead_letters)
        work.step.emit(self.topics.dead_letters, self.partition, letter_key(record), letter)

    # --- where it stands

    def _move(
        self, work: BroadcastStep, each: Broadcasting, phase: Phase, reason: str, request_id: str | None = None
    ) -> None:
        """Note where a broadcast stands from now on, and say so."""
        progress: Progress = each.progress._replace(phase=phase, reason=reason, changed_at=work.now)
        work.put(each, progress)
        work.report(each, request_id)
        if not progress.has_ended:
            return
        if each.definition is not None:  # a list that was never started ends only where it is
            work.tell_totals(each, request_id)
        self.book.end(each)
        if progress.rows:
            self._emptying[each.broadcast_id] = b""

    def _end_by_itself(self, work: BroadcastStep, each: Broadcasting) -> None:
        until = each.until()
        if until is None or until > work.now:
            return
        expires_at = None if each.definition is None else each.definition.expires_at
        if expires_at is not None and expires_at <= work.now:
            self._move(work, each, "EXPIRED", "of no use any more to those who were not told yet")
        elif each.progress.phase == "LOADING":
            self._move(work, each, "CANCELLED", "its users were listed, and it was not started within a day")
        else:
            self._move(work, each, "CANCELLED", "paused for a week")

    # --- tidying up

    def _empty(self, work: BroadcastStep) -> None:
        """Remove rows of a list that is done with."""
        broadcast_id, cursor = next(iter(self._emptying.items()), ("", b""))
        if not broadcast_id or broadcast_id in work.listed:
            return  # what came in this very step is in the table after it
        each = self.book.ended[broadcast_id]
        users = ListedUsers(self.table, self.partition, broadcast_id).after(cursor, REMOVED_MAX)
        work.changes.update((user.key, None) for user in users)
        rows = each.progress.rows - len(users)
        if len(users) == REMOVED_MAX:
            self._emptying[broadcast_id] = users[-1].key
        else:
            self.teller.note(abs(rows), f"{rows} rows of the list of {broadcast_id} are missing")
            del self._emptying[broadcast_id]
            rows = 0
        work.put(each, each.progress._replace(rows=rows))

    def _forget(self, work: BroadcastStep) -> None:
        """Forget what ended long ago; its id is a new one then."""
        self.totals.forget(work.now, work.changes)
        forget_at = self.book.forget_at()
        if forget_at is not None and forget_at <= work.now:
            for broadcast_id in self.book.forget(work.now):
                work.forget(broadcast_id)


class BroadcastLane(StepLane):
    """The lane: it takes lists in small pieces, however large the chunks are that they come in."""

    queued_records_max = QUEUED_RECORDS_MAX
    step_records_max = LIST_RECORDS_MAX

    def __init__(self, context: LaneContext, decider: Decider) -> None:
        super().__init__(context, decider, WallClock(context.wall_ms))

    def offer(self, chunk: Chunk) -> None:
        """See Lane; what one step takes is a chunk of its own."""
        start, records = chunk.start, chunk.records
        for first in range(0, len(records), LIST_RECORDS_MAX):
            part = records[first : first + LIST_RECORDS_MAX]
            end = chunk.end if first + LIST_RECORDS_MAX >= len(records) else part[-1].offset + 1
            super().offer(Chunk(chunk.topic, chunk.partition, start, end, part))
            start = end
        if not records:
            super().offer(chunk)


def _who(requested_by: str) -> str:
    return requested_by or "an unnamed caller"
