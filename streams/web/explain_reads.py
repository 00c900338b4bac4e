"""Explanations: of one event, of what blocks its slot now, and of what would happen to one sent now."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from streams.policies.explaining import Origin, SlotState, Step, explain_slot, origin_of
from streams.publish.schedule_commands import Target
from streams.stories.keys import name_part, split_sized
from streams.topics import TopicNames
from streams.web.slot_reads import SlotReads
from streams.web.story_documents import event_document, said_document, scheduled_event
from streams.web.story_reads import StoryReads


class Asked(NamedTuple):
    """The event that is asked about: by its id, by its place on `notifications`, or neither: the last one of its slot.

    `slot` is empty where the event names none that could be read.
    """

    slot: bytes
    notification_id: bytes | None = None
    origin: Origin | None = None

    @property
    def name(self) -> bytes | None:
        """As what it is told of; None: it is not known."""
        if self.notification_id is None:
            return None
        return name_part(self.notification_id, self.origin or (0, 0))


class ExplainReads(NamedTuple):
    """What this worker has to explain with, of its own partitions."""

    reads: StoryReads
    slots: SlotReads
    topics: TopicNames
    partitions: int

    async def event(self, partition: int, asked: Asked) -> dict[str, Any] | None:
        """Explain the event that is asked about; None: it is certain that nothing is known of it."""
        found = self._event(partition, asked)
        if found is None and asked.notification_id and asked.slot and asked.origin is None:
            user, _, kind = asked.slot.rpartition(b":")
            target = Target(user.decode(), kind.decode(), asked.notification_id.decode())
            pending = self.reads.pending(partition, target)
            found = None if pending is None else scheduled_event(pending, self.topics)
        if found is None:
            await self.reads.freshness.settle([partition])
            found = self._event(partition, asked)
        return found

    def _event(self, partition: int, asked: Asked) -> dict[str, Any] | None:
        name, origin = asked.name, asked.origin
        steps: list[Step] = []
        if name is not None:
            steps, _ = self.reads.steps(partition, asked.slot, name)
        else:
            user, _, kind = asked.slot.rpartition(b":")
            last = self.reads.store(partition).last(user, kind)
            if last is None:
                return None
            name = last.name
            steps, _ = self.reads.steps(partition, asked.slot, name)
            step = next((step for step in steps if step.offset == last.offset), None)
            if step is None:  # of an id with more statuses than are read
                step = self.reads.step(partition, asked.slot, last)
                steps = [step]
            origin = step.origin
        if not any(origin is None or step.origin == origin for step in steps):
            return None
        notification_id = split_sized(name)[0].decode()
        which = origin or origin_of(steps)
        return {
            "notification_id": notification_id or None,
            **event_document(notification_id, steps, which, asked.slot, self.topics, self.partitions),
        }

    def slot(self, partition: int, slot: bytes) -> tuple[SlotState, dict[str, Any]]:
        """Say what blocks a slot now, and who holds it."""
        now = time.time_ns() // 1_000_000
        limit = self.slots.limit(slot.rpartition(b":")[2].decode())
        state = explain_slot(slot.decode(), limit, self.slots.holders(partition, slot, now))
        held = self.slots.document(partition, slot, now)
        return state, {**said_document(state), **{name: held[name] for name in ("limit", "free_places", "holders")}}


def one_sentence(parts: list[dict[str, Any] | None]) -> str:
    """Return what all of them say, in one sentence."""
    said = [part["sentence"].removesuffix(".") for part in parts if part is not None]
    return f"{'; '.join(said)}." if said else ""
