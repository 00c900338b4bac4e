"""The parts that a sink has: what Kafka assigned, what it has claimed of that, and where each goes on."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import aiokafka
from aiokafka.structs import TopicPartition

from streams.history.database import Claim, DatabaseRefusesError, Part, Stream
from streams.history.sink_database import SinkDatabase
from streams.topics import TopicNames

logger = logging.getLogger(__name__)

BLOCKED_SECONDS: Final = 20.0  # two sessions: Kafka has said by then whose a part is
# After a new leader the end of a partition may be behind for a moment.
END_LOOKS: Final = 10
END_LOOK_SECONDS: Final = 1.0


class Assigned(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """What Kafka has assigned, and how often that has changed. Nothing is read before it is claimed."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.partitions: frozenset[TopicPartition] = frozenset()
        self.changes = 0

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Called before partitions move."""
        self.partitions = frozenset()
        self.changes += 1

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Called when they have."""
        self._consumer.pause(*assigned)
        self.partitions = frozenset(assigned)
        self.changes += 1


class SinkParts:
    """Claims for one consumer. `claims`: those that hold, as far as is known."""

    def __init__(self, topics: TopicNames, database: SinkDatabase, consumer: Any, assigned: Assigned) -> None:
        self._database = database
        self._consumer = consumer
        self._assigned = assigned
        self._topics: Mapping[Stream, str] = {"statuses": topics.statuses, "device-changes": topics.device_changes}
        self._streams = {topic: stream for stream, topic in self._topics.items()}
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._changes = assigned.changes  # those of the assignment that the claims are for
        self._blocked_until: dict[Part, float] = {}
        self.claims: dict[Part, Claim] = {}

    @property
    def topics(self) -> list[str]:
        """The topics that are read."""
        return list(self._topics.values())

    @property
    def moved(self) -> bool:
        """Whether the assignment has changed since, so that what was read is nobody's here."""
        return self._changes != self._assigned.changes

    def part(self, tp: TopicPartition) -> Part:
        """Return the part that is this partition."""
        return Part(self._streams[tp.topic], tp.partition)

    def partition(self, part: Part) -> TopicPartition:
        """Return the partition that is this part."""
        return TopicPartition(self._topics[part.stream], part.number)

    async def take_over(self) -> None:
        """Claim what was assigned since, and go on reading where the database says."""
        if self.moved:
            self._changes = self._assigned.changes
            self.claims.clear()
            self._blocked_until.clear()
        now = time.monotonic()
        assigned = {self.part(tp) for tp in self._assigned.partitions}
        wanted = sorted(part for part in assigned - set(self.claims) if self._blocked_until.get(part, 0.0) <= now)
        if wanted:
            claims = await self._database.ask(lambda database: database.claim(wanted, self._owner))
            await self._seek(claims)

    async def resume(self) -> None:
        """What was under way may be written or not, and a part may have got another owner: the database knows.

        Where it has, Kafka will say so too, or it was somebody who had lost it; then it is claimed once more.
        """
        held = list(self.claims.values())
        claims = await self._database.ask(lambda database: database.resume(held))
        if self.moved:
            return
        lost = set(self.claims) - {claim.part for claim in claims}
        if lost:
            logger.warning("history: another process has claimed %s", _shown(lost))
            self._consumer.pause(*(self.partition(part) for part in lost))
            self._blocked_until.update(dict.fromkeys(lost, time.monotonic() + BLOCKED_SECONDS))
        self.claims.clear()
        await self._seek(claims)

    async def _seek(self, claims: Sequence[Claim]) -> None:
        for look in range(END_LOOKS):
            places = {claim: self.partition(claim.part) for claim in claims}
            starts = await self._consumer.beginning_offsets(list(places.values()))
            ends = await self._consumer.end_offsets(list(places.values()))
            if self.moved:
                return
            beyond = [claim for claim, tp in places.items() if (claim.next_offset or 0) > ends[tp]]
            if not beyond:
                for claim, tp in places.items():
                    self._go_on(claim, tp, starts[tp])
                return
            if look == 0:
                logger.warning("history: read further than it goes: %s", _shown(claim.part for claim in beyond))
            await asyncio.sleep(END_LOOK_SECONDS)
        claim = beyond[0]
        raise DatabaseRefusesError(
            f"{places[claim].topic}-{places[claim].partition} ends at {ends[places[claim]]}, and was read up to "
            f"{claim.next_offset}: it is not the topic that this history is of. Was it made anew? Then the history "
            "needs another database"
        )

    def _go_on(self, claim: Claim, tp: TopicPartition, start: int) -> None:
        position = claim.next_offset
        if position is not None and position < start:
            logger.error(
                "history: %s-%d: Kafka removed %d to %d unread, and %s; going on at %d",
                *(*tp, position, start - 1),
                "erasures among them are not known here: ask for them again"
                if claim.part.stream == "device-changes"
                else "what was said there is not in the history",
                start,
            )
        self._consumer.seek(tp, max(start, position or 0))
        self._consumer.resume(tp)
        self.claims[claim.part] = claim


def _shown(parts: Iterable[Part]) -> str:
    return ", ".join(f"{part.stream}-{part.number}" for part in sorted(parts))
