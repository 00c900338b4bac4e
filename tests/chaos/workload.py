"""The events of a run: repeats, schedules, expiries, duplicates that come late, wrong partitions, poison, bursts."""

from __future__ import annotations

import random
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from schemas.codec import Codec
from schemas.keys import slot_key
from streams.demo.workload import user_id
from streams.time_zones import zone_named

KINDS = ("flash", "quick", "burst", "sure")
KIND_WEIGHTS = (5, 3, 2, 2)
SCHEDULED, EXPIRING, DUPLICATES, POISON, MISPLACED = 0.05, 0.03, 0.03, 0.004, 0.02
LOCAL = 0.03  # at a local time; half of them in the user's own zone
ZONES = ("Europe/Berlin", "Asia/Kathmandu", "UTC")
QUIET_MINUTES = 40  # every other one of those to come: quiet hours end again and again while a run lasts
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


def zone_of(number: int) -> str:
    """Where a user lives."""
    return ZONES[number % len(ZONES)]


def preferences(users: int, now: int) -> Iterator[Message]:
    """What each user wants: everybody lives somewhere, some sleep every other minute, some have opted out."""
    codec = Codec()
    for number in range(users):
        zone = zone_of(number)
        wishes: dict[str, Any] = {"user_id": user_id(number), "time_zone": None if zone == "UTC" else zone}
        if number % 10 == 1:
            clock = datetime.fromtimestamp(now // 1000, zone_named(zone))
            first = clock.hour * 60 + clock.minute
            starts = [(first + ahead) % 1440 for ahead in range(number // 10 % 2, QUIET_MINUTES, 2)]
            wishes["quiet_hours"] = [{"start_minute": start, "end_minute": start + 1} for start in starts]
        elif number % 10 == 2:
            wishes["opted_out_types"] = ["quick"]
        elif number % 10 == 3:
            wishes["opted_out_providers"] = ["apns"]
        yield Message(user_id(number).encode(), codec.encode("Preferences", wishes), None)


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
        when: dict[str, Any] = {}
        if chance.random() < LOCAL:
            # In the user's zone, who lives where `zone_of` says; a zone that is named is the same one.
            at = datetime.fromtimestamp(now // 1000 + chance.randrange(-2, 9), zone_named(zone_of(number)))
            when["send_at_local"] = at.strftime("%Y-%m-%dT%H:%M:%S")
            when["time_zone"] = zone_of(number) if chance.random() < 0.5 else None
        elif chance.random() < SCHEDULED:
            when["send_at"] = now + chance.randrange(1_000, 9_000)
        notification = {
            "notification_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "user_id": user,
            "type": kind,
            "created_at": now - chance.randrange(5_000),
            "expires_at": now + chance.randrange(500, 8_000) if chance.random() < EXPIRING else None,
            "data": {"number": str(self._made)},
            **when,
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
