"""deliver: asks a provider only after the claim is durable, and moves on only after the answer is.

Reads `outbox` and `devices`; keeps `deliveries` and `directory`; writes `verdicts`, `scheduled`, `statuses`,
`dead-letters`. Two commits for each notification:

1. the claims (SENDING), without the offset. A crash before it: nothing was sent, the record is read again.
2. the outcomes, and the offset up to the first record whose outcome is not durable. A crash before it: the next owner
   finds a claim without an outcome, which may have been sent: UNKNOWN, and not sent again.

One transaction carries the outcomes of some and the claims of others. One notification of a user is under way at a
time, so that they reach the provider in order.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from connectors.outcome import Connector, Device, NotSent, Outcome, Push, Unknown
from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from schemas.poison import PoisonError
from streams.lane.chunk import Record
from streams.lane.lane import IDLE_COMMIT_SECONDS, Lane, LaneContext, PartitionClock
from streams.policies.delivering import SEND_BY_PASSED, NoDevice, NothingToDo, conclude, plan
from streams.policies.identity import collapse_id, push_id
from streams.policies.rendering import RenderFailed, Text, render
from streams.stages.blocks import Sweeper
from streams.stages.deliver_step import DeliverStep, Entry
from streams.stages.deliver_types import REMOVED_TYPE, DeliverSettings, DeliverTables
from streams.stages.delivery_rows import EARLIER_MS, NO_STATE, read_devices, state_key
from streams.stages.offsets import OffsetTracker
from streams.topics import TopicNames

WAITING_MAX = 2_000  # entries in memory that wait for their turn, in one lane
OPENED_MAX = 500  # entries that one step opens: bounds the transaction

Attempt = tuple[Entry, Device, Push, float]
Finished = tuple[Entry, Device, Outcome, int]


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
        self._clock = PartitionClock(context.wall_ms)
        self._offsets = {topic: OffsetTracker(position) for topic, position in context.positions.items()}
        self._ready: deque[Entry] = deque()
        self._behind: dict[bytes, deque[Entry]] = {}  # users with one under way, and what waits behind it
        self._waiting = 0
        self._finished: deque[Finished] = deque()
        self._requests: set[asyncio.Task[None]] = set()
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
                    self._start(attempt)
        finally:
            for request in self._requests:
                request.cancel()

    async def _step(self) -> list[Attempt] | None:
        """Take one step; return the requests that may leave now, or None when drained."""
        work = DeliverStep(self, self._clock.now_ms())
        self._settle(work)
        attempts: list[Attempt] = []
        if not self.draining:
            self._take(work)
            attempts = self._open(work)
            for key, block in self.sweeper.due(work.now):
                work.forget(key, block)
        step = work.finish()
        offsets = self._pending_offsets()
        if step.is_empty() and not self._is_time_for_offsets(offsets):
            drained = self.draining and not self._requests and not self._finished
            return None if drained else []
        step.offsets = offsets
        await self.commit(step)
        self._offsets_at = None
        for (topic, _), offset in offsets.items():
            self._offsets[topic].committed(offset)
        return attempts

    async def _wait_for_work(self) -> None:
        now = time.monotonic()
        can_take = self._take_at is not None and self._take_at <= now and self._waiting < WAITING_MAX
        can_open = bool(self._ready) and len(self._requests) < self.settings.in_flight_max
        drained = self.draining and not self._requests
        if self._finished or drained or (not self.draining and (can_take or can_open)):
            await asyncio.sleep(0)  # let the other lanes run
            return
        seconds = None
        if self.sweeper.next_at_ms is not None:
            seconds = max(0.0, (self.sweeper.next_at_ms - self._clock.now_ms()) / 1000)
        if self._offsets_at is not None:
            wait = max(0.0, self._offsets_at - now)
            seconds = wait if seconds is None else min(seconds, wait)
        if self._take_at is not None and self._waiting < WAITING_MAX:
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
        if self._waiting >= WAITING_MAX:
            return
        for chunk in self.take(WAITING_MAX):
            for record in chunk.records:
                self._offsets[chunk.topic].opened(record.offset)
                if chunk.topic == self.topics.devices:
                    self._take_devices(work, record)
                else:
                    self._take_delivery(work, record)
            self._offsets[chunk.topic].reached(chunk.end)

    def _take_devices(self, work: DeliverStep, record: Record) -> None:
        try:
            if record.key is None:
                raise PoisonError("NO_KEY", "the record has no key; it must be the user_id")
            if record.value is not None:
                user_id = self.codec.decode(record.value, ("Devices",)).record["user_id"]
                if user_id.encode() != record.key:
                    raise PoisonError("KEY_MISMATCH", f"the key {record.key!r} is not the user_id {user_id!r}")
            work.put_devices(record.key, record.value)
        except PoisonError as error:
            work.poison(error, record, self.topics.devices)
        self._offsets[self.topics.devices].done(record.offset)

    def _take_delivery(self, work: DeliverStep, record: Record) -> None:
        try:
            delivery = self.codec.decode(record.value, ("Delivery",)).record
            notification = delivery["notification"]
            slot = slot_key(notification["user_id"], notification["type"])
            policy = self.settings.policy_of(notification["type"]) or REMOVED_TYPE
        except PoisonError as error:
            work.poison(error, record, self.topics.outbox)
            self._offsets[self.topics.outbox].done(record.offset)
            return
        user = notification["user_id"].encode()
        key = state_key(slot, notification["notification_id"])
        slot_partition = partition_of(slot, self.settings.partitions)
        entry = Entry(record, delivery, user, slot, key, policy, NO_STATE, slot_partition)
        self._waiting += 1
        behind = self._behind.get(user)
        if behind is None:
            self._behind[user] = deque()
            self._ready.append(entry)
        else:
            behind.append(entry)

    # --- claims

    def _open(self, work: DeliverStep) -> list[Attempt]:
        room = min(OPENED_MAX, self.settings.in_flight_max - len(self._requests))
        entries: list[Entry] = []
        while self._ready and len(entries) < room:
            entries.append(self._ready.popleft())
        if not entries:
            return []
        states = work.states([entry.key for entry in entries])
        devices = work.device_rows([entry.user for entry in entries])
        attempts: list[Attempt] = []
        for entry, state, row in zip(entries, states, devices, strict=True):
            # An id that is used again when suppress has forgotten it is another notification.
            is_earlier = state.at + EARLIER_MS < entry.delivery["admitted_at"]
            entry.state = NO_STATE if is_earlier else state
            attempts += self._open_entry(work, entry, self._targets(entry, read_devices(row)))
        return attempts

    @staticmethod
    def _targets(entry: Entry, devices: list[Device]) -> list[Device]:
        wanted = entry.delivery["devices"]
        if wanted:
            return [device for device in devices if device.device_id in wanted]
        if entry.policy.newest_device and devices:
            return [max(devices, key=lambda device: device.registered_at_ms)]
        return devices

    def _open_entry(self, work: DeliverStep, entry: Entry, targets: list[Device]) -> list[Attempt]:
        state = entry.state
        send_by: int = entry.delivery["send_by"]
        named = [(device.device_id, device.provider.value) for device in targets]
        todo = plan(
            entry.attempt, state.concluded_attempt, state.claims, named, work.now, send_by, self.settings.grace_ms
        )
        if isinstance(todo, NothingToDo):
            self._close(entry)
            return []
        if isinstance(todo, NoDevice):
            if state.claims:
                work.conclude(entry, conclude(list(state.claims.values()), work.now))
            else:
                work.end_unsent(entry, "NO_DEVICE", "the user has no device")
            self._close(entry)
            return []
        for claim in todo.settled:
            work.note_unsent(entry, claim)
        text = self._render(entry)
        if todo.claim and isinstance(text, PoisonError):
            if any(claim.phase != "NOT_SENT" for claim in entry.state.claims.values()):
                # Another device has it, or may have it: the slot is not free, whatever keeps it from this one.
                work.conclude(entry, conclude(list(entry.state.claims.values()), work.now))
            else:
                work.end_unsent(entry, "DEAD", f"{text.code}: {text.reason}")
            work.dead(entry, text)
            self._close(entry)
            return []
        if not todo.claim:
            work.end_attempt(entry)
            self._close(entry)
            return []
        assert isinstance(text, Text), "the other case was dealt with"
        claimed = [device for device in targets if device.device_id in todo.claim]
        work.claim(entry, claimed)
        entry.under_way = len(claimed)
        start_by = time.monotonic() + min(self.settings.claim_seconds, (send_by - work.now) / 1000)
        return [(entry, device, self._push(entry, device, text, work.now), start_by) for device in claimed]

    @staticmethod
    def _render(entry: Entry) -> Text | PoisonError:
        notification, policy = entry.delivery["notification"], entry.policy
        if policy is REMOVED_TYPE:
            return PoisonError("UNKNOWN_TYPE", f"no type {notification['type']!r} in the types file any more")
        data = notification["data"]
        values = {"data": data, "user_id": notification["user_id"], "type": notification["type"], **data}
        text = render(notification["title"], notification["body"], policy.title, policy.body, values)
        return PoisonError("RENDER_FAILED", text.reason) if isinstance(text, RenderFailed) else text

    @staticmethod
    def _push(entry: Entry, device: Device, text: Text, now: int) -> Push:
        notification, policy = entry.delivery["notification"], entry.policy
        ttl_seconds = policy.ttl_seconds
        if notification["expires_at"] is not None:
            ttl_seconds = max(0, min(ttl_seconds, (notification["expires_at"] - now) // 1000))
        return Push(
            push_id=push_id(entry.slot, entry.notification_id, device.device_id),
            notification_id=entry.notification_id,
            type=notification["type"],
            device=device,
            title=text.title,
            body=text.body,
            data=notification["data"],
            ttl_seconds=ttl_seconds,
            collapse_id=collapse_id(entry.slot),
            urgent=policy.urgent,
        )

    # --- requests

    def _start(self, attempt: Attempt) -> None:
        request = asyncio.create_task(self._ask(*attempt))
        self._requests.add(request)
        request.add_done_callback(self._ended)

    def _ended(self, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        self._wake.set()  # there is room for another one, or the lane is drained

    async def _ask(self, entry: Entry, device: Device, push: Push, start_by: float) -> None:
        connector: Connector | None = self.settings.connectors.get(device.provider)

        def may_start() -> bool:
            return not self.draining and time.monotonic() < start_by

        outcome: Outcome
        if connector is None:
            outcome = NotSent("provider_not_configured", retry=False, provider_wide=True)
        else:
            try:
                outcome = await connector.send(push, may_start)
            except Exception as error:  # a connector must not raise; if one does, nobody knows how far it came
                outcome = Unknown(f"connector_failed: {type(error).__name__}")
        self._finished.append((entry, device, outcome, self._clock.now_ms()))
        self._wake.set()

    # --- outcomes

    def _settle(self, work: DeliverStep) -> None:
        while self._finished:
            entry, device, outcome, at = self._finished.popleft()
            if isinstance(outcome, NotSent) and outcome.reason == "deadline_passed":
                # No request left: it may be sent later, by whoever owns the partition then, if there is time.
                late = work.now >= entry.delivery["send_by"]
                outcome = NotSent(SEND_BY_PASSED if late else outcome.reason, retry=not late)
            work.outcome(entry, device, outcome, at)
            entry.under_way -= 1
            if entry.under_way == 0:
                work.end_attempt(entry)
                self._close(entry)

    def _close(self, entry: Entry) -> None:
        """The entry is done with the commit of this step; the user's next one may follow."""
        self._offsets[self.topics.outbox].done(entry.record.offset)
        self._waiting -= 1
        behind = self._behind[entry.user]
        if behind:
            self._ready.append(behind.popleft())
        else:
            del self._behind[entry.user]
