"""The events of a run: repeats, schedules, expiries, duplicates that come late, wrong partitions, poison, bursts."""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from schemas.codec import Codec
from schemas.keys import slot_key
from streams.demo.workload import user_id

KINDS = ("flash", "quick", "burst", "sure")
KIND_WEIGHTS = (5, 3, 2, 2)
SCHEDULED, EXPIRING, DUPLICATES, POISON, MISPLACED = 0.05, 0.03, 0.03, 0.004, 0.02
REMEMBERED = 5_000  # a duplicate may come this many events late


@dataclass(frozen=True, slots=True)
class Workload:
    """How many events for how many users, in partitions of which number."""

    seed: int
    events: int
    users: int
    partitions: int


class Message(NamedTuple):
    """One record to produce; `partition` is None where the partitioner decides."""

    key: bytes | None
    value: bytes | None
    partition: int | None


class Events:
    """Makes the events of a workload, one after the other. The same seed makes the same ones but for the instants."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._chance = random.Random(f"events {workload.seed}")
        self._codec = Codec()
        self._past: deque[Message] = deque(maxlen=REMEMBERED)
        self._made = 0

    def make(self, now: int, user: int | None = None) -> Message:
        """Make the next event at `now`, for a given user or any."""
        chance, workload = self._chance, self._workload
        self._made += 1
        if chance.random() < POISON:
            return self._poison(now)
        if self._past and chance.random() < DUPLICATES:
            return chance.choice(self._past)._replace(partition=None)
        number = chance.randrange(workload.users) if user is None else user
        message = self._event(now, number)
        if chance.random() < MISPLACED:
            message = message._replace(partition=chance.randrange(workload.partitions))
        self._past.append(message)
        return message

    def burst(self, now: int, count: int) -> Iterator[Message]:
        """Make many at once for a few users."""
        users = [self._chance.randrange(self._workload.users) for _ in range(5)]
        for _ in range(count):
            yield self.make(now, self._chance.choice(users))

    def _event(self, now: int, number: int) -> Message:
        chance, user = self._chance, user_id(number)
        kind = chance.choices(KINDS, KIND_WEIGHTS)[0]
        notification = {
            "notification_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "user_id": user,
            "type": kind,
            "created_at": now - chance.randrange(5_000),
            "send_at": now + chance.randrange(1_000, 9_000) if chance.random() < SCHEDULED else None,
            "expires_at": now + chance.randrange(500, 8_000) if chance.random() < EXPIRING else None,
            "data": {"number": str(self._made)},
        }
        return Message(slot_key(user, kind), self._codec.encode("Notification", notification), None)

    def _poison(self, now: int) -> Message:
        good = self._event(now, self._chance.randrange(self._workload.users))
        assert good.value is not None, "just made"
        broken = (
            good._replace(value=b"\x01\x02 not avro"),
            good._replace(value=good.value[:-3]),
            good._replace(key=b"somebody:else"),
            good._replace(key=None),
            good._replace(value=None),
        )
        return broken[self._made % len(broken)]
