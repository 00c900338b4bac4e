"""The broadcasts that one partition knows: those that go on, and for a while those that have ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.codec import Codec
from streams.lane.table import LaneTable
from streams.policies.broadcasting import Counts
from streams.policies.pacing import Bucket
from streams.stages.broadcast_records import Definition, read_definition
from streams.stages.broadcast_rows import PROGRESS, Progress, broadcast_key, end_of, read_progress

DAY_MS: Final = 86_400_000
UNFINISHED_MAX: Final = 100  # in one partition; one more is refused
ENDED_MAX: Final = 1_000  # are remembered, so that the same id again is the same broadcast …
ENDED_MS_MAX: Final = 7 * DAY_MS  # … for so long
LOADING_MS_MAX: Final = DAY_MS  # a list that nobody has started by then is thrown away
PAUSED_MS_MAX: Final = 7 * DAY_MS  # then it is cancelled
SAMPLES: Final = 20
SAMPLE_MS: Final = 500
EMPTY: Final = Bucket(0.0, 0)


@dataclass(slots=True, eq=False)
class Broadcasting:
    """A broadcast that the partition knows. `definition` is there while it runs or is paused; `waits_for` says what
    keeps it from going on although it runs."""

    broadcast_id: str
    progress: Progress
    definition: Definition | None = None
    bucket: Bucket = EMPTY
    resume_at: int = 0
    waits_for: str = ""
    samples: deque[tuple[int, Counts]] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def go_on(self, now: int) -> None:
        """Begin to tell, or go on with it, with nothing saved up."""
        self.bucket, self.resume_at = Bucket(0.0, now), now
        self.samples.clear()

    def sample(self, now: int) -> None:
        """Note how far it is, to tell its speed by."""
        if not self.samples or now - self.samples[-1][0] >= SAMPLE_MS:
            self.samples.append((now, self.progress.counts))

    def per_second(self, now: int) -> Counts:
        """Return how many users it looked at and told per second of late."""
        if self.progress.phase != "RUNNING" or not self.samples or now <= self.samples[0][0]:
            return Counts()
        at, before = self.samples[0]
        pairs = zip(before, self.progress.counts, strict=True)
        return Counts(*((count - earlier) * 1000 // (now - at) for earlier, count in pairs))

    @property
    def is_uncounted(self) -> bool:
        """Whether nobody has counted its users yet."""
        return self.progress.users is None and self.definition is not None and self.definition.audience != "LIST"

    def until(self) -> int | None:
        """When it ends by itself."""
        progress, expires_at = self.progress, None if self.definition is None else self.definition.expires_at
        if progress.phase == "RUNNING":
            return expires_at
        gives_up_at = progress.changed_at + (LOADING_MS_MAX if progress.phase == "LOADING" else PAUSED_MS_MAX)
        return gives_up_at if expires_at is None else min(gives_up_at, expires_at)


class Book:
    """`unfinished` in the order in which they came, `ended` in that of their ends."""

    def __init__(self, table: LaneTable, partition: int, codec: Codec, notifications: str) -> None:
        self.table = table
        self.partition = partition
        self._codec = codec
        self._notifications = notifications
        self.unfinished: dict[str, Broadcasting] = {}
        self.ended: dict[str, Broadcasting] = {}
        self._load()

    def _load(self) -> None:
        rows = self.table.scan(self.partition, PROGRESS, end_of(PROGRESS), 10**9)
        found = [Broadcasting(key[1:].decode(), read_progress(row)) for key, row in rows]
        for each in sorted(found, key=lambda each: each.progress.changed_at):
            if each.progress.has_ended:
                self.ended[each.broadcast_id] = each
        for each in sorted(found, key=lambda each: each.progress.started_at):
            if not each.progress.has_ended:
                self.unfinished[each.broadcast_id] = each
        started = [each for each in self.unfinished.values() if each.progress.phase != "LOADING"]
        for each, row in zip(started, self.rows([each.broadcast_id for each in started]), strict=True):
            assert row is not None, f"{each.broadcast_id} has been started, and its Broadcast is not in the table"
            each.definition = self.read(row)

    def find(self, broadcast_id: str) -> Broadcasting | None:
        """Return what is known of this id."""
        return self.unfinished.get(broadcast_id) or self.ended.get(broadcast_id)

    @property
    def is_full(self) -> bool:
        """Whether one more would be too many."""
        return len(self.unfinished) >= UNFINISHED_MAX

    def add(self, broadcast_id: str, reason: str, now: int) -> Broadcasting:
        """Note a new one."""
        each = self.unfinished[broadcast_id] = Broadcasting(broadcast_id, Progress("LOADING", reason, now, now))
        return each

    def end(self, each: Broadcasting) -> None:
        """Note that one has ended."""
        del self.unfinished[each.broadcast_id]
        self.ended[each.broadcast_id] = each
        each.definition, each.waits_for = None, ""
        each.samples.clear()

    def forget_at(self) -> int | None:
        """When the one that ended first may be forgotten."""
        if len(self.ended) > ENDED_MAX:
            return 0
        return next((each.progress.changed_at + ENDED_MS_MAX for each in self.ended.values()), None)

    def forget(self, now: int) -> list[str]:
        """Forget those that ended long ago, or many ends ago; return their ids. A list is removed before."""
        found: list[str] = []
        surplus = len(self.ended) - ENDED_MAX
        for number, each in enumerate(self.ended.values()):
            if number >= surplus and each.progress.changed_at + ENDED_MS_MAX > now:
                break
            if not each.progress.rows:
                found.append(each.broadcast_id)
        for broadcast_id in found:
            del self.ended[broadcast_id]
        return found

    def rows(self, broadcast_ids: Sequence[str]) -> list[bytes | None]:
        """Return committed Broadcasts as they came."""
        return self.table.read(self.partition, [broadcast_key(name) for name in broadcast_ids])

    def read(self, row: bytes) -> Definition:
        """Read a Broadcast."""
        return read_definition(row, self._codec, self._notifications)
