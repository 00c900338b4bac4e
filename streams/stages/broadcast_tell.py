"""Telling: the next users of each broadcast that runs, within its pace, and the ledger over them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.lane.table import LaneTable
from streams.policies.broadcasting import Counts, next_step_at, room
from streams.policies.pacing import Bucket, next_token_at, refill, spend
from streams.stages.broadcast_book import Broadcasting
from streams.stages.broadcast_records import USER_ID_BYTES_MAX, Definition
from streams.stages.broadcast_rows import Progress
from streams.stages.broadcast_users import DirectoryUsers, ListedUsers, User

if TYPE_CHECKING:
    from streams.stages.broadcast_step import BroadcastStep

logger = logging.getLogger(__name__)

SEEN_MAX: Final = 2_000  # users looked at in one step, over all broadcasts: some 20 ms
SEEN_MIN: Final = 100  # of one filter that matches few
# Filters are asked for each user and dry runs have no pace: so many users at most, in one partition, or nothing else
# would get a turn on a worker while millions are looked at.
LOOKS_PER_SECOND_MAX: Final = 10_000
LOOKS_BURST_SECONDS: Final = 0.2
LOOKS_MIN: Final = 500  # worth a step of their own
WITH_NEXT_LOOKS: Final = 0
BYTES_MAX: Final = 2 * 1024 * 1024  # of copies in one step of one broadcast
COUNTED_MAX: Final = 10_000  # users counted in one step: some 3 ms
BEHIND_MS: Final = 200  # until it is looked again whether delivery is still behind
AWAY_MS: Final = 1_000  # the same for a directory that is still being read, or that another worker has


@dataclass(frozen=True, slots=True)
class BroadcastOptions:
    """`per_second`: of a broadcast that names no pace, over all partitions. `knows_type`: whether a type is admitted at
    all. `is_behind`: whether the deliveries of this partition's users pile up."""

    per_second: float
    knows_type: Callable[[str], bool] = lambda name: True
    is_behind: Callable[[], bool] = lambda: False


class Teller:
    """Looks at users, and tells those that a broadcast is for. `counted`: by this owner, over all broadcasts.

    `difference`: by how much the counts of any broadcast contradicted themselves.
    """

    def __init__(
        self, table: LaneTable, partition: int, partitions: int, users: DirectoryUsers, options: BroadcastOptions
    ) -> None:
        self._table = table
        self._partition = partition
        self._partitions = partitions
        self._options = options
        self._counting: tuple[bytes, int] | None = None
        self._looks = Bucket(0.0, 0)
        self._next_looks_at = 0
        self.users = users
        self.counted = Counts()
        self.difference = 0

    def tell(self, work: BroadcastStep, due: Sequence[Broadcasting]) -> list[Broadcasting]:
        """Tell some users of each of these; return those that have come to their end."""
        self._looks = refill(self._looks, work.now, LOOKS_PER_SECOND_MAX, LOOKS_BURST_SECONDS)
        lookers = sum(each.definition is not None and each.definition.looks for each in due)
        looks = int(self._looks.tokens) // max(1, lookers)
        at_end = [each for each in due if self._tell_some(work, each, max(1, SEEN_MAX // len(due)), looks)]
        self._next_looks_at = next_token_at(self._looks, LOOKS_PER_SECOND_MAX, min(LOOKS_MIN, SEEN_MAX))
        return at_end

    def resume_at(self, each: Broadcasting) -> int:
        """When one goes on. All that wait for their looks do so together, so that each gets its share."""
        return self._next_looks_at if each.resume_at == WITH_NEXT_LOOKS else each.resume_at

    def _tell_some(self, work: BroadcastStep, each: Broadcasting, seen_max: int, looks: int) -> bool:
        definition = each.definition
        assert definition is not None, "it runs"
        each.sample(work.now)
        each.waits_for = ""
        if definition.audience != "LIST" and not self.users.is_here():
            each.resume_at, each.waits_for = work.now + AWAY_MS, "the directory, which is read or at another worker"
            return False
        if definition.looks:
            seen_max = min(seen_max, looks)
            each.resume_at = WITH_NEXT_LOOKS
            if seen_max <= 0:
                return False
        if definition.dry_run:
            return self._tell_next(work, each, definition, seen_max, seen_max)[1]
        if self._options.is_behind():
            each.resume_at, each.waits_for = work.now + BEHIND_MS, "delivery, which is behind"
            return False
        share = (definition.per_second or self._options.per_second) / self._partitions
        each.bucket, told_max = room(each.bucket, work.now, share)
        told_max = min(told_max, max(1, BYTES_MAX // definition.copy_bytes))
        told, at_end = 0, False
        if told_max > 0:
            told, at_end = self._tell_next(work, each, definition, seen_max, told_max)
            each.bucket = spend(each.bucket, told)
        if told == told_max:
            each.resume_at = next_step_at(each.bucket, share, SEEN_MAX)
        elif not definition.looks:
            each.resume_at = work.now
        return at_end

    def _tell_next(
        self, work: BroadcastStep, each: Broadcasting, definition: Definition, seen_max: int, told_max: int
    ) -> tuple[int, bool]:
        """Look at the next users, and tell those that it is for, at most so many of each.

        Returns how many were told, and whether there are no more.
        """
        progress = each.progress
        if definition.audience == "LIST":
            users = ListedUsers(self._table, self._partition, each.broadcast_id).after(progress.cursor, seen_max)
            wanted = [True] * len(users)
        else:
            if definition.filter is not None:  # whoever is looked at beyond those that the pace lets be told is in vain
                seen_max = min(seen_max, max(SEEN_MIN, 4 * told_max))
            users = self.users.after(progress.cursor, seen_max)
            wanted = self._wanted(users, definition)
        matched: list[bytes] = []
        seen = 0
        for user, is_wanted in zip(users, wanted, strict=True):
            if is_wanted:
                if len(matched) == told_max:
                    break
                matched.append(user.user)
            seen += 1
        if definition.looks:
            self._looks = spend(self._looks, len(users))
        emitted = 0 if definition.dry_run else work.emit_copies(definition, matched)
        counts = Counts(seen, len(matched), wanted[:seen].count(False), emitted)
        self.counted = self.counted.plus(counts)
        if seen:
            progress = progress._replace(counts=progress.counts.plus(counts), cursor=users[seen - 1].key)
            work.put(each, progress)
        at_end = seen == len(users) < seen_max
        if at_end and definition.audience != "LIST":
            work.put(each, progress._replace(users=progress.counts.seen))
        self._check(each.broadcast_id, each.progress, definition.dry_run, at_end)
        return len(matched), at_end

    def _wanted(self, users: Sequence[User], definition: Definition) -> list[bool]:
        wanted = [user.has_device and len(user.user) <= USER_ID_BYTES_MAX for user in users]
        if definition.filter is not None:
            matches = definition.filter.matches
            fields = self.users.fields(users, definition.filter.fields)
            wanted = [is_wanted and matches(each) for is_wanted, each in zip(wanted, fields, strict=True)]
        return wanted

    def _check(self, broadcast_id: str, progress: Progress, dry_run: bool, at_end: bool) -> None:
        """The ledger: what contradicts itself is a mistake of ours."""
        difference = progress.counts.difference(dry_run)
        if at_end:
            difference += abs(progress.counts.seen - (progress.users or 0))
        self.note(difference, f"the counts of {broadcast_id} do not agree: {progress}")

    def note(self, difference: int, sentence: str) -> None:
        """Note a difference; one that is larger than any before is said aloud."""
        if difference > self.difference:
            self.difference = difference
            logger.error("broadcast-%d: %s", self._partition, sentence)

    def count(self, work: BroadcastStep, uncounted: Sequence[Broadcasting]) -> None:
        """Count the users of the partition, some in each step, for those of which nobody knows how many they are."""
        if not uncounted or not self.users.is_here():
            self._counting = None
            return
        cursor, before = self._counting or (b"", 0)
        count, last = self.users.count_after(cursor, COUNTED_MAX)
        self._counting = (last, before + count)
        if count == COUNTED_MAX:
            return
        self._counting = None
        for each in uncounted:
            work.put(each, each.progress._replace(users=max(before + count, each.progress.counts.seen)))
