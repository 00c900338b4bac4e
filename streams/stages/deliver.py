"""deliver: asks a provider only after the claim is durable, and moves on only after the answer is.

Reads `outbox`, `devices` and `preferences`; keeps `deliveries` and `directory`; writes `verdicts`, `scheduled`,
`statuses`, `dead-letters`. Two commits for each notification:

1. the claims (SENDING), without the offset. A crash before it: nothing was sent, the record is read again.
2. the outcomes, and the offset up to the first record whose outcome is not durable. A crash before it: the next owner
   finds a claim without an outcome, which may have been sent: UNKNOWN, and not sent again.

One transaction carries the outcomes of some and the claims of others. One notification of a user is under way at a
time, so that they reach the provider in order.
"""

from __future__ import annotations

import asyncio
import time

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.lane.chunk import Record
from streams.lane.lane import IDLE_COMMIT_SECONDS, Lane, LaneContext, PartitionClock
from streams.stages.blocks import Sweeper
from streams.stages.deliver_end import end_attempt, note_outcome
from streams.stages.deliver_entry import Entry, UserQueue, read_entry
from streams.stages.deliver_open import open_entries
from streams.stages.deliver_requests import Attempt, Requests
from streams.stages.deliver_step import DeliverStep
from streams.stages.deliver_types import DeliverSettings, DeliverTables
from streams.stages.delivery_rows import devices_key
from streams.stages.directory_rows import directory_row, preferences_key
from streams.stages.offsets import OffsetTracker
from streams.topics import TopicNames

WAITING_MAX = 2_000  # entries in memory that wait for their turn, in one lane
OPENED_MAX = 500  # entries that one step opens: bounds the transaction


class DeliverLane(Lane):
    """The stage on one partition."""

    def __init__(
        self,
        context: LaneContext,
        tables: DeliverTables,
        topics: TopicNames,
        settings: DeliverSettings,
        codec: Codec,
    ) -> None:
        super().__init__(context)
        self.tables = tables
        self.topics = topics
        self.settings = settings
        self.codec = codec
        self.headers = {
            "Status": codec.header("Status", topics.statuses),
            "Verdict": codec.header("Verdict", topics.verdicts),
        }
        self._clock = PartitionClock(context.wall_ms)
        self._offsets = {topic: OffsetTracker(position) for topic, position in context.positions.items()}
        self._queue = UserQueue()
        self._requests = Requests(settings.connectors, settings.in_flight_max, self._clock.now_ms, self._wake.set)
        self._offsets_at: float | None = None
        self.sweeper = Sweeper(tables.deliveries, self.partition)

    async def run(self) -> None:
        """Work until cancelled; when draining, until every request under way has its outcome noted."""
        try:
            while True:
                await self._wait_for_work()
                self._wake.clear()
                async with self.context.gate:
                    attempts = await self._step()
                if attempts is None:
                    return
                for attempt in attempts:
                    self._requests.start(attempt)
        finally:
            self._requests.cancel()

    async def drain(self) -> None:
        """See Lane; what has not left yet does not leave any more."""
        self._requests.drain()
        await super().drain()

    async def _step(self) -> list[Attempt] | None:
        """Take one step; return the requests that may leave now, or None when drained."""
        work = DeliverStep(self, self._clock.now_ms())
        settled = self._settle(work)
        attempts: list[Attempt] = []
        if not self.draining:
            self._take(work)
            attempts = self._open(work, settled)
            for key, block in self.sweeper.due(work.now):
                work.forget(key, block)
        step = work.finish()
        offsets = self._pending_offsets()
        if step.is_empty() and not self._is_time_for_offsets(offsets):
            drained = self.draining and not self._requests.under_way and not self._requests.finished
            return None if drained else []
        step.offsets, step.decided_at = offsets, work.now
        await self.commit(step)
        self._offsets_at = None
        for (topic, _), offset in offsets.items():
            self._offsets[topic].committed(offset)
        return attempts

    async def _wait_for_work(self) -> None:
        now = time.monotonic()
        can_take = self._take_at is not None and self._take_at <= now and self._queue.waiting < WAITING_MAX
        requests = self._requests
        can_open = self._queue.can_open and requests.under_way < self.settings.in_flight_max
        drained = self.draining and not requests.under_way
        if requests.finished or drained or (not self.draining and (can_take or can_open)):
            await asyncio.sleep(0)  # let the other lanes run
            return
        seconds = None
        if self.sweeper.next_at_ms is not None and not self.draining:
            seconds = max(0.0, (self.sweeper.next_at_ms - self._clock.now_ms()) / 1000)
        if self._offsets_at is not None:
            wait = max(0.0, self._offsets_at - now)
            seconds = wait if seconds is None else min(seconds, wait)
        # Draining, nothing is taken or swept, however long it is due: waiting for that would go round in circles.
        if self._take_at is not None and self._queue.waiting < WAITING_MAX and not self.draining:
            wait = max(0.0, self._take_at - now)
            seconds = wait if seconds is None else min(seconds, wait)
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _pending_offsets(self) -> dict[tuple[str, int], int]:
        pending = {topic: tracker.pending() for topic, tracker in self._offsets.items()}
        return {(topic, self.partition): offset for topic, offset in pending.items() if offset is not None}

    def _is_time_for_offsets(self, offsets: dict[tuple[str, int], int]) -> bool:
        """Offsets that only pass transaction markers wait for company, but not for long."""
        if not offsets:
            self._offsets_at = None
            return False
        if self._offsets_at is None:
            self._offsets_at = time.monotonic() + IDLE_COMMIT_SECONDS
        return self.draining or time.monotonic() >= self._offsets_at

    # --- what comes in

    def _take(self, work: DeliverStep) -> None:
        if self._queue.waiting >= WAITING_MAX:
            return
        for chunk in self.take(WAITING_MAX):
            for record in chunk.records:
                self._offsets[chunk.topic].opened(record.offset)
                if chunk.topic == self.topics.outbox:
                    self._take_delivery(work, record)
                else:
                    self._take_directory(work, record, chunk.topic)
            self._offsets[chunk.topic].reached(chunk.end)

    def _take_directory(self, work: DeliverStep, record: Record, topic: str) -> None:
        try:
            if topic == self.topics.devices:
                row, key_of = directory_row(record, self.codec, "Devices"), devices_key
            else:
                row, key_of = directory_row(record, self.codec, "Preferences"), preferences_key
            assert record.key is not None, "directory_row refuses it"
            work.put_directory(key_of(record.key), row)
        except PoisonError as error:
            work.poison(error, record, topic)
        self._offsets[topic].done(record.offset)

    def _take_delivery(self, work: DeliverStep, record: Record) -> None:
        try:
            self._queue.add(read_entry(record, self.codec, self.settings))
        except PoisonError as error:
            work.poison(error, record, self.topics.outbox)
            self._offsets[self.topics.outbox].done(record.offset)

    # --- claims and outcomes

    def _open(self, work: DeliverStep, settled: int) -> list[Attempt]:
        """Claim for as many as have room, and ahead for twice as many as ended since the last step: so many will end
        while these claims are made durable, and as many while the next ones are, and no place stays empty meanwhile.
        Where nothing ends, nothing is claimed ahead."""
        room = min(OPENED_MAX, self.settings.in_flight_max + 2 * settled - self._requests.under_way)
        return open_entries(work, self._queue.next(max(0, room)), self._close)

    def _settle(self, work: DeliverStep) -> int:
        """Note the outcomes that there are; return how many."""
        finished = self._requests.finished
        count = len(finished)
        while finished:
            entry, device, outcome, at = finished.popleft()
            note_outcome(work, entry, device, outcome, at)
            entry.under_way -= 1
            if entry.under_way == 0:
                end_attempt(work, entry)
                self._close(entry)
        return count

    def _close(self, entry: Entry) -> None:
        """The entry is done with the commit of this step; the user's next one may follow."""
        self._offsets[self.topics.outbox].done(entry.record.offset)
        self._queue.done(entry)
