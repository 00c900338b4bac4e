"""What the rows of one partition's stories say: stories, decisions and counts, found by range and prefix."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

import rocksdict

from streams.stories.keys import (
    COUNT,
    DECISION,
    STORY,
    bucket_bytes,
    read_inverse,
    sized,
    slot_part,
    split_sized,
    user_part,
)

STEPS_MAX: Final = 500  # of one story: an id that is produced a million times is a story without an end
STEPS_OF_THE_END: Final = 20


class Told(NamedTuple):
    """A status and its place on the partition. `value` in single-object encoding."""

    offset: int
    value: bytes


class Story(NamedTuple):
    """The statuses of one notification. `left_out`: there are more between the first ones and the last ones."""

    told: list[Told]
    left_out: bool


class Decision(NamedTuple):
    """A decision of suppress: when it was taken, where it is told, and on which notification."""

    at: int
    offset: int
    kind: bytes
    name: bytes


class StoryRows:
    """The rows as they are read. `buckets`: those that are kept now."""

    _db: rocksdict.Rdict
    _buckets: range

    def story(self, user: bytes, kind: bytes, name: bytes) -> Story:
        """Return the statuses of one notification, in their order."""
        prefix = STORY + slot_part(user, kind) + name
        told: list[Told] = []
        for key, value in self._rows(prefix):
            told.append(Told(int.from_bytes(key[-8:], "big"), value))
            if len(told) == STEPS_MAX:
                last = self._last(prefix, told[-1].offset)
                return Story(told + last, len(last) == STEPS_OF_THE_END)
        return Story(sorted(told), False)

    def _last(self, prefix: bytes, after_offset: int) -> list[Told]:
        found: list[Told] = []
        cursor = self._db.iter(rocksdict.ReadOptions())
        for number in reversed(self._buckets):
            start = bucket_bytes(number) + prefix
            cursor.seek_for_prev(start + b"\xff" * 9)
            while len(found) < STEPS_OF_THE_END and cursor.valid() and (key := cursor.key()).startswith(start):
                offset = int.from_bytes(key[-8:], "big")
                if offset <= after_offset:
                    return found[::-1]
                found.append(Told(offset, cursor.value()))
                cursor.prev()
        return found[::-1]

    def status(self, user: bytes, kind: bytes, decision: Decision) -> Told | None:
        """Return the status of a decision."""
        key = STORY + slot_part(user, kind) + decision.name + decision.offset.to_bytes(8, "big")
        rows = self._get([bucket_bytes(number) + key for number in self._buckets])
        return next((Told(decision.offset, row) for row in rows if row is not None), None)

    def last(self, user: bytes, kind: bytes) -> Decision | None:
        """Return the last decision on an event of a slot."""
        prefix = DECISION + slot_part(user, kind)
        cursor = self._db.iter(rocksdict.ReadOptions())
        for number in reversed(self._buckets):
            start = bucket_bytes(number) + prefix
            cursor.seek(start)
            if cursor.valid() and cursor.key().startswith(start):
                return _decision(cursor, kind)
        return None

    def suppressed(self, user: bytes, kind: bytes, holder: bytes) -> int:
        """How many were suppressed because of this holder since it took its place."""
        key, count = COUNT + slot_part(user, kind) + holder, 0
        for row in self._get([bucket_bytes(number) + key for number in reversed(self._buckets)]):
            if row is not None:
                count += int.from_bytes(row[:8], "big")
                if row[8] == 1:
                    break
        return count

    def recent(self, user: bytes, before: bytes = b"") -> Iterator[Decision]:
        """Yield the decisions on a user's notifications, the newest first, those behind `before` (`inverse`)."""
        for number in reversed(self._buckets):
            kinds = self._kinds(number, user)
            yield from heapq.merge(
                *(self._decisions(number, user, kind, before) for kind in kinds),
                key=lambda decision: (-decision.at, -decision.offset),
            )

    def _kinds(self, number: int, user: bytes) -> list[bytes]:
        """The types that there are decisions on, found from one to the next."""
        start = bucket_bytes(number) + DECISION + user_part(user)
        found: list[bytes] = []
        cursor = self._db.iter(rocksdict.ReadOptions())
        cursor.seek(start)
        while cursor.valid() and (key := cursor.key()).startswith(start):
            kind, _ = split_sized(key[len(start) :])
            found.append(kind)
            cursor.seek(start + sized(kind) + b"\xff" * 15)
        return found

    def _decisions(self, number: int, user: bytes, kind: bytes, before: bytes) -> Iterator[Decision]:
        start = bucket_bytes(number) + DECISION + slot_part(user, kind)
        cursor = self._db.iter(rocksdict.ReadOptions())
        cursor.seek(start + before + b"\0" if before else start)
        while cursor.valid() and cursor.key().startswith(start):
            yield _decision(cursor, kind)
            cursor.next()

    def _rows(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._db.iter(rocksdict.ReadOptions())
        for number in self._buckets:
            start = bucket_bytes(number) + prefix
            cursor.seek(start)
            while cursor.valid() and (key := cursor.key()).startswith(start):
                yield key, cursor.value()
                cursor.next()

    def _keys(self, prefix: bytes) -> Iterator[bytes]:
        return (key for key, _ in self._rows(prefix))

    def _get(self, keys: list[bytes]) -> list[bytes | None]:
        return cast("list[bytes | None]", self._db.get([*keys]))


def _decision(cursor: rocksdict.RdictIter, kind: bytes) -> Decision:
    return Decision(*read_inverse(cursor.key()), kind, cursor.value())
