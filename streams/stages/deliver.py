"""deliver: asks a provider only after the claim is durable, and moves on only after the answer is.

Reads `outbox`, `devices`, `device-changes`, `preferences`, `profiles` and, only to check it, `templates`; keeps
`deliveries` and `directory`; writes `verdicts`, `scheduled`, `statuses`, `devices`, `dead-letters`. Two commits for
each notification:

1. the claims (SENDING), without the offset. A crash before it: nothing was sent, the record is read again.
2. the outcomes, and the offset up to the first record whose outcome is not durable. A crash before it: the next owner
   finds a claim without an outcome, which may have been sent: UNKNOWN, and not sent again.

One transaction carries the outcomes of some and the claims of others. One notification of a user is under way at a
time, so that they reach the provider in order.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.lane.chunk import Chunk, Record
from streams.lane.clock import PartitionClock
from streams.lane.lane import IDLE_COMMIT_SECONDS, Lane, LaneContext
from streams.lane.step import Step
from streams.stages.blocks import Sweeper
from streams.stages.deliver_entry import Entry, forget_entry
from streams.stages.deliver_forget import Forgetting, forget_user
from streams.stages.deliver_gate import Gate, Parked
from streams.stages.deliver_intake import Intake
from streams.stages.deliver_open import Opening, open_entries
from streams.stages.deliver_profiles import Lookups
from streams.stages.deliver_requests import Attempt, Requests
from streams.stages.deliver_services import Service, Wait
from streams.stages.deliver_settle import settle
from streams.stages.deliver_step import DeliverStep
from streams.stages.deliver_types import DeliverSettings, DeliverTables
from streams.stages.directory_first import DirectoryFirst
from streams.stages.directory_rows import RowName, directory_row, preferences_key, profile_key
from streams.stages.forgetting import Forget
from streams.templates.records import check_record
from streams.topics import TopicNames

# Entries in memory that wait for their turn, in one lane, before the last chunk: what several steps open. More would be
# read long before their turn, and be what the garbage collector walks over.
WAITING_MAX = 2_000
BULK_MAX = 1_000  # of them, of what is sent when nothing else is to be
LOOKED_AT_MAX = 64  # beyond those that have a place: some of them may be for a service that has one
OPENED_MAX = 1_000  # entries that one step opens: bounds the transaction
# A whole step takes longer than many an answer does. After so many entries, 1 to 2 ms, the loop has its turn: what was
# answered meanwhile makes room for the next requests, and a commit of another lane takes twenty turns or more.
ENTRIES_AT_ONCE = 32
COMPANY_MAX = 100  # outcomes that make a step worth its price


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
        self._intake = Intake(context.positions, codec, settings)
        self._offsets, self._queue = self._intake.offsets, self._intake.queue
        self._parked = Parked()
        self._requests = Requests(settings.connectors, settings.in_flight_max, self._clock.now_ms, self._wake.set)
        self._deliveries = frozenset((topics.outbox, topics.outbox_bulk))
        self._lookups = Lookups(settings.profiles, self._clock.now_ms, self._wake.set)
        self._directory: dict[str, tuple[RowName, Callable[[bytes], bytes]]] = {
            topics.preferences: ("Preferences", preferences_key),
            topics.profiles: ("Profile", profile_key),
        }
        self._settled: Counter[Service] = Counter()
        self._forgets_held: set[int] = set()
        self._forgets_queued = 0
        self._forgetting: list[Forgetting] = []
        self._offsets_at: float | None = None
        self.sweeper = Sweeper(tables.deliveries, self.partition)
        self._devices_topics = (topics.devices, topics.device_changes)
        self.devices_position = context.positions[topics.devices]
        self._directory_first = DirectoryFirst(context, (*self._deliveries, topics.device_changes))

    @property
    def directory_is_read(self) -> bool:
        """Whether what the directory does not have is not there, rather than not read yet."""
        return not self._directory_first.is_missing

    def offer(self, chunk: Chunk) -> None:
        """See Lane; while others wait for the directory, nothing of it waits for company."""
        super().offer(chunk)
        if self._directory_first.is_missing and self._inbox:
            self._inbox.take_at = time.monotonic()

    async def run(self) -> None:
        """Work until cancelled; when draining, until every request under way has its outcome noted."""
        try:
            while True:
                await self._wait_for_work()
                await self.rest(len(self._requests.finished) >= COMPANY_MAX)
                self._wake.clear()
                attempts = await self._step()
                if attempts is None:
                    return
                await self._start(attempts)
        except GeneratorExit:
            raise  # thrown away with its loop: there is nobody left to give anything back to
        except BaseException:
            self._requests.cancel()
            self._lookups.cancel()
            raise

    async def drain(self) -> None:
        """See Lane; what has not left yet does not leave any more."""
        self._requests.drain()
        self._lookups.cancel()
        await super().drain()

    async def _start(self, attempts: list[Attempt]) -> None:
        """Let requests leave whose claims are durable; between two handfuls others have their turn."""
        started = 0
        try:
            while started < len(attempts):
                if started:
                    await asyncio.sleep(0)
                self._requests.start(attempts[started : started + ENTRIES_AT_ONCE])
                started += ENTRIES_AT_ONCE
        except BaseException:
            _give_back(attempts[started:])
            raise

    async def _step(self) -> list[Attempt] | None:
        """Take one step; return the requests that may leave now, or None when drained."""
        attempts: list[Attempt] = []
        try:
            async with AsyncExitStack() as inside:
                # One lane after the other: side by side each would only take longer, and so would every turn of the
                # loop. Who waits for that is not inside the gate yet, and keeps no other from its step.
                async with self.settings.deciding:
                    await inside.enter_async_context(self.context.gate)
                    work = DeliverStep(self, self._clock.now_ms(), time.monotonic())
                    step = await self._decide(work, attempts)
                offsets = self._intake.pending(self.partition)
                if step.is_empty() and not self._is_time_for_offsets(offsets):
                    drained = self.draining and not self._requests.under_way and not self._requests.finished
                    return None if drained else []
                step.offsets, step.decided_at = offsets, work.now
                await self.commit(step)
        except (Exception, asyncio.CancelledError):
            _give_back(attempts)
            raise
        self._offsets_at = None
        self.settings.device_changes.update(work.devices.counts)
        for (topic, _), offset in offsets.items():
            self._offsets[topic].committed(offset)
        return attempts

    async def _decide(self, work: DeliverStep, attempts: list[Attempt]) -> Step:
        settled = await self._settle(work)
        if not self.draining:
            await self._take(work)
            await self._open(work, settled, attempts)
            for key, block in self.sweeper.due(work.now):
                work.forget(key, block)
        return work.finish()

    async def _wait_for_work(self) -> None:
        now = time.monotonic()
        take_at = None if self.draining else self._take_at()
        seconds = [] if take_at is None else [take_at - now]
        drained = self.draining and not self._requests.under_way
        can_open = (self._queue.can_open or self._lookups.finished) and not self.draining
        can_open = can_open and not self._parked.holds_up(self._clock.now_ms())
        if self._requests.finished or drained or (can_open and not self.letters.is_paused):
            seconds.append(0.0)
        if not self.draining:  # then nothing is opened or swept, however long it is due
            seconds += self._parked_seconds()
            if self.sweeper.next_at_ms is not None:
                seconds.append((self.sweeper.next_at_ms - self._clock.now_ms()) / 1000)
        if self._offsets_at is not None:
            seconds.append(self._offsets_at - now)
        left = min(seconds, default=None)
        if left is not None and left <= 0:
            await asyncio.sleep(0)  # let the other lanes run
            return
        try:
            async with asyncio.timeout(left):
                await self._wake.wait()
        except TimeoutError:
            return

    def _take_at(self) -> float | None:
        """When there is something to take that has room here (monotonic seconds)."""
        if self._queue.waiting >= WAITING_MAX:
            return None
        return self.take_at(last_too=self._queue.bulk < BULK_MAX)

    def _parked_seconds(self) -> list[float]:
        """When entries that wait for a place may be opened; where that depends on others, those wake the lane."""
        seconds, now, share = [], self._clock.now_ms(), self.settings.services.share()
        for service in self._parked.services():
            answer = service.look(now, share)
            if not isinstance(answer, Wait):
                # Its places may all be taken by this lane, which then is woken by the end of one.
                if self._requests.of(service) < self.settings.in_flight_max:
                    seconds.append(0.0)
            elif answer.at is not None:
                seconds.append((answer.at - now) / 1000)
            else:
                service.waiters.add(self._wake.set)
        return seconds

    def _is_time_for_offsets(self, offsets: dict[tuple[str, int], int]) -> bool:
        """Offsets that only pass transaction markers wait for company, but not for long."""
        if not offsets:
            self._offsets_at = None
            return False
        if self._offsets_at is None:
            self._offsets_at = time.monotonic() + IDLE_COMMIT_SECONDS
        return self.draining or time.monotonic() >= self._offsets_at

    # --- what comes in

    async def _take(self, work: DeliverStep) -> None:
        if self._queue.waiting >= WAITING_MAX or self.letters.is_paused:
            return
        for chunk in self.take(WAITING_MAX - self._queue.waiting, last_too=self._queue.bulk < BULK_MAX):
            if chunk.topic in self._deliveries:
                await self._take_deliveries(work, chunk)
            elif chunk.topic in self._devices_topics:
                await self._take_devices(work, chunk)
            else:
                await self._take_others(work, chunk)
            self._offsets[chunk.topic].reached(chunk.end)
            self._directory_first.reached(chunk.topic, chunk.end)

    async def _take_deliveries(self, work: DeliverStep, chunk: Chunk) -> None:
        for start in range(0, len(chunk.records), ENTRIES_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            self._intake.take(work, chunk.records[start : start + ENTRIES_AT_ONCE], chunk.topic)

    async def _take_others(self, work: DeliverStep, chunk: Chunk) -> None:
        for count, record in enumerate(chunk.records, 1):
            self._offsets[chunk.topic].opened(record.offset)
            if chunk.topic == self.topics.templates:
                self._take_template(work, record)
                await asyncio.sleep(0)  # compiling a large one takes a third of a second
            else:
                self._take_directory(work, record, chunk.topic)
                if count % ENTRIES_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _take_directory(self, work: DeliverStep, record: Record, topic: str) -> None:
        name, key_of = self._directory[topic]
        try:
            row = directory_row(record, self.codec, name)
            assert record.key is not None, "directory_row refuses it"
            work.put_directory(key_of(record.key), row)
        except PoisonError as error:
            work.poison(error, record, topic)
        self._offsets[topic].done(record.offset)

    def _take_template(self, work: DeliverStep, record: Record) -> None:
        """Each worker reads all of them for itself (`TemplateFollower`); what is wrong with one is said here, once."""
        try:
            check_record(record.key, record.value, self.codec)
        except PoisonError as error:
            work.poison(error, record, self.topics.templates)
        self._offsets[self.topics.templates].done(record.offset)

    async def _take_devices(self, work: DeliverStep, chunk: Chunk) -> None:
        devices, offsets = work.devices, self._offsets[chunk.topic]
        for record in chunk.records:
            offsets.opened(record.offset)
        take = devices.take_whole if chunk.topic == self.topics.devices else devices.take_changes
        for start in range(0, len(chunk.records), ENTRIES_AT_ONCE):
            take(chunk.records[start : start + ENTRIES_AT_ONCE])
            await asyncio.sleep(0)
        held = self._forgets_held if chunk.topic == self.topics.device_changes else ()
        for record in chunk.records:
            if record.offset not in held:
                offsets.done(record.offset)
        if chunk.topic == self.topics.devices:
            self.devices_position = chunk.end

    # --- users who are erased

    def queue_forget(self, record: Record, forget: Forget) -> None:
        """A user is to be erased, once it is the turn of the command among the notifications of that user."""
        self._forgets_held.add(record.offset)
        self._forgets_queued += 1
        self._queue.add(forget_entry(record, self.topics.device_changes, forget))

    def _without_forgets(self, entries: list[Entry]) -> list[Entry]:
        for entry in entries:
            if entry.forget is not None:
                self._forgets_queued -= 1
                until = {topic: self._offsets[topic].taken for topic in self._deliveries}
                self._forgetting.append(Forgetting(entry, entry.forget, until))
        return [entry for entry in entries if entry.forget is None]

    def _forget(self, work: DeliverStep) -> None:
        """Erase users all of whose records so far are passed by the commit of this step."""
        later: list[Forgetting] = []
        for forgetting in self._forgetting:
            entry, forget, until = forgetting
            if any(self._offsets[topic].committable() < offset for topic, offset in until.items()):
                later.append(forgetting)
            elif work.has_changed(forget.user):
                later.append(forgetting)
                self._wake.set()  # the next step sees the rows as they are now
            else:
                forget_user(work, self, forget)
                self._forgets_held.discard(entry.record.offset)
                self._intake.close(entry)
        self._forgetting = later

    # --- claims and outcomes

    async def _open(self, work: DeliverStep, settled: Counter[Service], attempts: list[Attempt]) -> None:
        """Claim for as many as their services and this lane have room for."""
        settings = self.settings
        # One step may come right after another, and find little: the larger of the last two tells how fast it goes.
        gate = Gate(settings.services, self._requests, settings.in_flight_max, settled | self._settled, work.now)
        self._settled = settled
        entries = self._parked.next(gate)
        if not self._parked.holds_up(work.now) and not self.letters.is_paused:
            room = min(OPENED_MAX, gate.places() + LOOKED_AT_MAX)
            entries += self._lookups.take(room - len(entries))
            entries += self._queue.next(room - len(entries))
            if self._forgets_queued:
                entries = self._without_forgets(entries)
        opening = Opening(gate, self._parked, self._intake, [], self._lookups)
        for start in range(0, len(entries), ENTRIES_AT_ONCE):
            if start:
                await asyncio.sleep(0)
                gate.look_anew()
            attempts += open_entries(work, entries[start : start + ENTRIES_AT_ONCE], opening)
        self._queue.put_back(opening.blocked)
        if self._forgetting:
            self._forget(work)

    async def _settle(self, work: DeliverStep) -> Counter[Service]:
        """Note the outcomes that there are at the instant of the step, none that comes after it; return how many of
        each service."""
        finished = self._requests.finished
        settled: Counter[Service] = Counter()
        left = len(finished)
        while left > 0:
            settle(work, [finished.popleft() for _ in range(min(ENTRIES_AT_ONCE, left))], settled, self._intake)
            left -= ENTRIES_AT_ONCE
            if left > 0:
                await asyncio.sleep(0)
        return settled


def _give_back(attempts: list[Attempt]) -> None:
    """These do not leave, and give back their places."""
    for attempt in attempts:
        attempt.service.give_back()
