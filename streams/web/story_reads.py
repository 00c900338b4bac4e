"""Stories of this worker's own partitions, and nothing said to be "not found" before it is certain."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from aiohttp import web

from streams.lane.app import LaneApp
from streams.lane.lane import StepLane
from streams.policies.explaining import Step
from streams.publish.schedule_commands import Target
from streams.stages.schedule import ScheduleDecider
from streams.stories.follower import Stories
from streams.stories.freshness import Freshness
from streams.stories.keys import inverse, sized, split_sized
from streams.stories.reading import step_of, steps_of
from streams.stories.rows import Decision
from streams.stories.store import StoryStore
from streams.topics import TopicNames
from streams.web.schedule_reads import of_id
from streams.web.slot_reads import SlotReads
from streams.web.story_documents import place, recent_document, scheduled_document, story_document

LOOKED_AT_MAX = 1_000  # decisions, of which most are on events that were decided on again since


class Cursor(NamedTuple):
    """Behind which of a user's decisions a page begins; they are ordered by instant, partition and offset."""

    at: int
    partition: int
    offset: int

    def before(self, partition: int) -> bytes:
        """What a partition goes on behind: of the same instant, lower partitions came before."""
        if partition < self.partition:
            return inverse(self.at, 0)
        return inverse(self.at, self.offset if partition == self.partition else (1 << 63) - 1)

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @property
    def order(self) -> tuple[int, int, int]:
        """By this they are sorted, the newest first."""
        return -self.at, self.partition, -self.offset

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Read what `str` writes. Raises ValueError."""
        parts = text.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
            raise ValueError(f"{text[:60]!r} is none of the values of `before` in an answer")
        return cls(*map(int, parts))


def cut(parts: Sequence[dict[str, Any]], limit: int) -> dict[str, Any]:
    """Return one page of what several workers have found: each up to where it looked, at least so many if it could."""
    looked = [Cursor.read(part["before"]).order for part in parts if part["before"] is not None]
    found = sorted(
        (each for part in parts for each in part["notifications"]), key=lambda each: Cursor.read(each["cursor"]).order
    )
    end = min(looked, default=None)
    whole = [each for each in found if end is None or Cursor.read(each["cursor"]).order <= end]
    shown = whole[:limit]
    before = None
    if len(whole) > limit:
        before = shown[-1]["cursor"]
    elif end is not None:
        before = str(Cursor(-end[0], end[1], -end[2]))
    return {"notifications": shown, "before": before}


class StoryReads:
    """What the stories, the schedule and the slots of this worker say."""

    def __init__(
        self,
        app: LaneApp,
        stories: Stories,
        freshness: Freshness,
        slots: SlotReads,
        topics: TopicNames,
    ) -> None:
        self._app = app
        self.stories = stories
        self.freshness = freshness
        self._slots = slots
        self._topics = topics
        self._partitions = app.options.partitions

    def store(self, partition: int) -> StoryStore:
        """Return the stories of a partition. Raises HTTPServiceUnavailable where they are not open yet."""
        store, to_go = self.stories.stores.get(partition), self.stories.to_go(partition)
        if store is None or to_go is None:
            raise web.HTTPServiceUnavailable(reason=f"the stories of partition {partition} are being opened")
        if to_go:
            raise web.HTTPServiceUnavailable(reason=f"stories of partition {partition} are being told, {to_go:,} to go")
        return store

    def nothing(self, of: str) -> str:
        """Say that there is nothing, for a 404."""
        hours = self.stories.keep_ms / 3_600_000
        return f"nothing was decided on {of} in the last {hours:g} hours, and it is not scheduled"

    async def story(self, partition: int, target: Target) -> dict[str, Any] | None:
        """Return the story of an id; None: it is certain that nothing is known of it."""
        slot = target.slot
        found = self._story(partition, slot, target.notification_id)
        if found is not None:
            return found
        pending = self.pending(partition, target)
        if pending is not None:
            return {**scheduled_document(pending, self._topics), **self._besides(partition, slot)}
        await self.freshness.settle([partition])
        return self._story(partition, slot, target.notification_id)

    def _story(self, partition: int, slot: bytes, notification_id: str) -> dict[str, Any] | None:
        steps, left_out = self.steps(partition, slot, sized(notification_id.encode()))
        if not steps:
            return None
        return {
            **story_document(slot, notification_id, steps, left_out, self._topics, self._partitions),
            **self._besides(partition, slot),
        }

    def _besides(self, partition: int, slot: bytes) -> dict[str, Any]:
        return {"slot": self._slots.document(partition, slot, _now()), "told_until": self.told_until(partition)}

    def told_until(self, partition: int) -> dict[str, Any]:
        """Return how far of `statuses` is told."""
        return place(self._topics.statuses, (partition, self.stories.position(partition) or 0))

    def pending(self, partition: int, target: Target) -> dict[str, Any] | None:
        """What waits for longer than stories are kept, as the schedule has it."""
        lane = self._app.lanes.lanes("schedule").get(partition)
        if lane is None:
            return None
        decider = cast(ScheduleDecider, cast(StepLane, lane).decider)
        return of_id(decider, target)

    def steps(self, partition: int, slot: bytes, name: bytes) -> tuple[list[Step], bool]:
        """Return the statuses of an event's name, and whether some are left out."""
        user, _, kind = slot.rpartition(b":")
        story = self.store(partition).story(user, kind if user else b"", name)
        return steps_of(partition, story.told), story.left_out

    def step(self, partition: int, slot: bytes, decision: Decision) -> Step:
        """Return the status of a decision."""
        user, _, kind = slot.rpartition(b":")
        told = self.store(partition).status(user, kind, decision)
        assert told is not None, "both rows are written, and removed, together"
        return step_of(partition, told)

    # --- a user's recent ones

    def recent(self, user: bytes, cursor: Cursor | None, limit: int, partitions: Sequence[int]) -> dict[str, Any]:
        """Return the newest ones of a user in these partitions, and where to go on."""
        found: list[dict[str, Any]] = []
        last: Cursor | None = cursor
        for looked_at, (partition, decision) in enumerate(self._decisions(user, cursor, partitions)):
            if len(found) == limit or looked_at == LOOKED_AT_MAX:
                break
            last = Cursor(decision.at, partition, decision.offset)
            document = self._recent(user, partition, decision)
            if document is not None:
                found.append({**document, "decided_at": decision.at, "cursor": str(last)})
        else:
            last = None
        return {"notifications": found, "before": None if last is None else str(last)}

    def _decisions(
        self, user: bytes, cursor: Cursor | None, partitions: Sequence[int]
    ) -> Iterator[tuple[int, Decision]]:
        def of(partition: int) -> Iterator[tuple[int, Decision]]:
            before = b"" if cursor is None else cursor.before(partition)
            for decision in self.store(partition).recent(user, before):
                yield partition, decision

        return heapq.merge(
            *(of(partition) for partition in partitions),
            key=lambda each: (-each[1].at, each[0], -each[1].offset),
        )

    def _recent(self, user: bytes, partition: int, decision: Decision) -> dict[str, Any] | None:
        """None: its event was decided on again since, and is shown there."""
        slot = user + b":" + decision.kind
        steps, _ = self.steps(partition, slot, decision.name)
        own = next((step for step in steps if step.offset == decision.offset), None)
        if own is None:  # of an id with more statuses than are read
            own = self.step(partition, slot, decision)
            steps = [own]
        if any(step.origin == own.origin and _decides(step) and step.offset > own.offset for step in steps):
            return None
        notification_id, _ = split_sized(decision.name)
        return recent_document(slot, notification_id.decode(), steps, own.origin, self._topics, self._partitions)


def _decides(step: Step) -> bool:
    return step.stage == "suppress"


def _now() -> int:
    return time.time_ns() // 1_000_000
