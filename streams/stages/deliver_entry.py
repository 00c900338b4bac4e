"""A record of `outbox` that is being worked on, and the order in which those of a user are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from schemas.local_times import read_local_time
from schemas.notification import Subject, read_delivery, subject_of
from streams.lane.chunk import Record
from streams.stages.deliver_types import REMOVED_TYPE, DeliverPolicy, DeliverSettings
from streams.stages.delivery_rows import NO_STATE, DeliveryState, state_key


@dataclass(slots=True, eq=False)
class Entry:
    """One record of `outbox` that is being worked on: a Delivery or, where `local` is given, a LocalDeferral."""

    record: Record
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
    local: datetime | None = None


def read_entry(record: Record, codec: Codec, settings: DeliverSettings) -> Entry:
    """Read a record of `outbox`. Raises PoisonError."""
    name, delivery = read_delivery(record.value, codec)
    notification, local = delivery["notification"], None
    if name == "LocalDeferral":
        local = read_local_time(notification["send_at_local"] or "")
        delivery = {**delivery, "admitted_at": delivery["asked_at"], "attempt": 1}
    notification_id, kind = notification["notification_id"], notification["type"]
    slot = slot_key(notification["user_id"], kind)
    user = notification["user_id"].encode()
    return Entry(
        record,
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
    )


class UserQueue:
    """Entries in their order, one of each user at a time."""

    def __init__(self) -> None:
        self.waiting = 0  # entries in memory that are not done
        self._ready: deque[Entry] = deque()
        self._behind: dict[bytes, deque[Entry] | None] = {}  # users with one under way, and what waits behind it

    @property
    def can_open(self) -> bool:
        """Whether there is an entry whose turn it is."""
        return bool(self._ready)

    def add(self, entry: Entry) -> None:
        """Take an entry; its turn comes when those of its user before it are done."""
        self.waiting += 1
        if entry.user not in self._behind:
            self._behind[entry.user] = None
            self._ready.append(entry)
            return
        behind = self._behind[entry.user]
        if behind is None:  # of most users there is only one: a queue of their own would be half of what an entry takes
            behind = self._behind[entry.user] = deque()
        behind.append(entry)

    def next(self, count: int) -> list[Entry]:
        """Return at most so many entries whose turn it is."""
        ready = self._ready
        return [ready.popleft() for _ in range(min(count, len(ready)))]

    def done(self, entry: Entry) -> None:
        """An entry is done: the user's next one may follow."""
        self.waiting -= 1
        behind = self._behind[entry.user]
        if behind:
            self._ready.append(behind.popleft())
        else:
            del self._behind[entry.user]
