"""A record of `outbox` that is being worked on, and the order in which those of a user are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from schemas.local_times import read_local_time
from schemas.notification import Subject, read_delivery, subject_of
from streams.lane.chunk import Record
from streams.lane.step import NO_HEADERS, Headers
from streams.policies.capping import Capped
from streams.policies.profiles import Lookup
from streams.stages.deliver_types import REMOVED_TYPE, DeliverPolicy, DeliverSettings, Priority
from streams.stages.delivery_rows import NO_STATE, DeliveryState, state_key
from streams.stages.forgetting import Forget
from streams.tracing import Hop


@dataclass(slots=True, eq=False)
class Entry:
    """One record of `outbox` that is being worked on: a Delivery or, where `local` is given, a LocalDeferral.

    `retry`: the devices that the next attempt is for. `next_newest`: it is for the newest one there is then.
    """

    record: Record
    topic: str
    delivery: dict[str, Any]
    notification_id: str
    attempt: int  # count of this attempt, first = 1
    user: bytes
    slot: bytes
    key: bytes
    subject: Subject
    policy: DeliverPolicy
    state: DeliveryState
    slot_partition: int
    under_way: int = 0
    retry_after_ms: int | None = None
    retry: list[str] = field(default_factory=list)
    excused: int = 0  # how many of `retry` were not sent for reasons of their provider
    next_newest: bool = False
    local: datetime | None = None
    profile: Lookup | None = None  # what the user service said, once it was asked
    hop: Hop | None = None  # where traces are made
    forget: Forget | None = None  # it is no notification: its user is to be erased when its turn comes

    @property
    def headers(self) -> Headers:
        """What goes with all records that come of it."""
        return NO_HEADERS if self.hop is None else self.hop.headers

    @property
    def capped(self) -> Capped:
        """What the frequency cap knows it by."""
        kind: str = self.delivery["notification"]["type"]
        return Capped(kind, self.notification_id, self.delivery["admitted_at"])


def read_entry(record: Record, topic: str, codec: Codec, settings: DeliverSettings) -> Entry:
    """Read a record of `outbox` or `outbox-bulk`. Raises PoisonError."""
    name, delivery = read_delivery(record.value, codec)
    notification, local = delivery["notification"], None
    if name == "LocalDeferral":
        local = read_local_time(notification["send_at_local"] or "")
        delivery = {**delivery, "admitted_at": delivery["asked_at"], "attempt": 1}
    notification_id, kind = notification["notification_id"], notification["type"]
    slot = slot_key(notification["user_id"], kind)
    user = notification["user_id"].encode()
    hop = None
    if settings.tracer is not None:
        hop = settings.tracer.begin(record.headers, slot, notification_id.encode(), record.timestamp)
    return Entry(
        record,
        topic,
        delivery,
        notification_id,
        delivery["attempt"],
        user,
        slot,
        state_key(slot, notification_id),
        subject_of(notification_id.encode(), user, kind.encode(), delivery["origin_offset"], delivery["attempt"]),
        settings.policy_of(kind) or REMOVED_TYPE,
        NO_STATE,
        partition_of(slot, settings.partitions),
        local=local,
        hop=hop,
    )


def forget_entry(record: Record, topic: str, forget: Forget) -> Entry:
    """Return the command to erase a user as an entry, so that it has its turn among those of its user."""
    user = forget.user
    nothing = subject_of(b"", user, b"", 0, 0)
    return Entry(record, topic, {}, "", 0, user, b"", b"", nothing, REMOVED_TYPE, NO_STATE, 0, forget=forget)


class ByPriority:
    """Entries, the most urgent first, and in their order among equals."""

    def __init__(self) -> None:
        self._entries: tuple[deque[Entry], ...] = tuple(deque() for _ in Priority)

    def __len__(self) -> int:
        return sum(map(len, self._entries))

    def add(self, entry: Entry) -> None:
        """Put it behind those of its priority."""
        self._entries[entry.policy.priority].append(entry)

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Put these, in their order, before all others of their priority."""
        for entry in reversed(entries):
            self._entries[entry.policy.priority].appendleft(entry)

    def next(self, count: int) -> list[Entry]:
        """Take at most so many."""
        taken: list[Entry] = []
        for entries in self._entries:
            taken += [entries.popleft() for _ in range(min(max(0, count - len(taken)), len(entries)))]
        return taken


class UserQueue:
    """Entries by priority and in their order, one of each user at a time."""

    def __init__(self) -> None:
        self.waiting = 0  # entries in memory that are not done
        self.bulk = 0  # those of them that are sent when nothing else is to be
        self._ready = ByPriority()
        self._behind: dict[bytes, deque[Entry] | None] = {}  # users with one under way, and what waits behind it

    @property
    def can_open(self) -> bool:
        """Whether there is an entry whose turn it is."""
        return len(self._ready) > 0

    def add(self, entry: Entry) -> None:
        """Take an entry; its turn comes when those of its user before it are done."""
        self.waiting += 1
        self.bulk += entry.policy.priority is Priority.BULK
        if entry.user not in self._behind:
            self._behind[entry.user] = None
            self._ready.add(entry)
            return
        behind = self._behind[entry.user]
        if behind is None:  # of most users there is only one: a queue of their own would be half of what an entry takes
            behind = self._behind[entry.user] = deque()
        behind.append(entry)

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Let these, which were taken in this order, have their turn again before all others of their priority."""
        self._ready.put_back(entries)

    def next(self, count: int) -> list[Entry]:
        """Return at most so many entries whose turn it is."""
        return self._ready.next(count)

    def done(self, entry: Entry) -> None:
        """An entry is done: the user's next one may follow."""
        self.waiting -= 1
        self.bulk -= entry.policy.priority is Priority.BULK
        behind = self._behind[entry.user]
        if behind:
            self._ready.add(behind.popleft())
        else:
            del self._behind[entry.user]
