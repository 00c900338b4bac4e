"""The rows of one partition's stories: written in batches with how far `statuses` was read, found by range and prefix.

A crash leaves whole batches: what was not written is read again, so that a count is exact and a status is there once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol, cast

import rocksdict

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.poison import PoisonError
from streams.stories.keys import (
    BUCKETS,
    COUNT,
    DECISION,
    META,
    STORY,
    bucket_bytes,
    bucket_of,
    inverse,
    name_part,
    ranges_of_user,
    read_head,
    read_holder,
    read_inverse,
    read_origin,
    slot_part,
)
from streams.stories.rows import StoryRows

logger = logging.getLogger(__name__)

POSITION_KEY: Final = META + b"position"
SHAPE_KEY: Final = META + b"shape"
ERASED_KEY: Final = META + b"erased"
SHAPE_VERSION: Final = 1  # of the rows; another one is built anew
HOUR_MS: Final = 3_600_000
LOOKED_AT_MAX: Final = 10_000  # rows of a user that are looked at to find those before an erasure
_HEADER: Final = CONTRACTS["Status"].header
_PLAIN = Codec()
NO_ORIGIN: Final = (0, 0)


class StatusRecord(Protocol):
    """A record of `statuses`, as it was read."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class StoryStore(StoryRows):
    """The stories of one partition, open. They are kept for `keep_ms`, and a bucket longer."""

    def __init__(
        self, path: Path, partition: int, options: Callable[[], rocksdict.Options], keep_ms: int, codec: Codec
    ) -> None:
        self.partition = partition
        self.applied = 0
        self._path = path
        self._options = options
        self._keep_ms = keep_ms
        self._bucket_ms = max(1, keep_ms // BUCKETS)
        self._codec = codec
        self._buckets = range(0)
        self._swept_to = 0
        self._open()
        shape = b"%d %d" % (SHAPE_VERSION, self._bucket_ms)
        if self._db.get(SHAPE_KEY) != shape:
            self.wipe()
            self._db.put(SHAPE_KEY, shape)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._db = rocksdict.Rdict(str(self._path), options=self._options())
        # What a crash takes with it is read again from the topic: a log of its own would only cost.
        unlogged = rocksdict.WriteOptions()
        unlogged.disable_wal = True  # type: ignore[method-assign, assignment] # a property, whatever its stub says
        self._db.set_write_options(unlogged)

    def wipe(self) -> None:
        """Forget everything: the topic has it all."""
        shape = self._db.get(SHAPE_KEY)
        self._db.close()
        rocksdict.Rdict.destroy(str(self._path), self._options())
        self._open()
        if shape is not None:
            self._db.put(SHAPE_KEY, shape)

    def close(self) -> None:
        """Close it; nothing may be asked any more."""
        self._db.close()

    @property
    def position(self) -> int | None:
        """The offset up to which `statuses` is in here, None: nothing is."""
        row = self._db.get(POSITION_KEY)
        return None if row is None else int.from_bytes(cast(bytes, row), "big")

    # --- writing

    def apply(self, records: Iterable[StatusRecord], end: int, now: int, erased: Mapping[bytes, int]) -> None:
        """Write the rows of consecutive records, and that all before `end` is there now. `erased`: users, and when."""
        self._turn(now)
        batch = rocksdict.WriteBatch(raw_mode=True)
        put = batch.put
        horizon = now - self._keep_ms
        bucket, bucket_from, bucket_to = b"", 0, 0
        counts: dict[bytes, tuple[int, bool]] = {}
        seen: set[bytes] = set()
        for record in records:
            value = self._plain(record)
            if value is None:
                continue
            slot = record.key or b""
            user, _, kind = slot.rpartition(b":")
            if not user:
                kind = b""
            try:
                head = read_head(value, len(_HEADER))
                origin = NO_ORIGIN if head.notification_id else read_origin(value, head)
                holder = read_holder(value, head) if head.decided and head.state == "SUPPRESSED" else b""
            except IndexError:
                logger.error("stories: statuses-%d@%d is cut off, and passed over", self.partition, record.offset)
                continue
            at = head.at
            if at < horizon:
                continue
            if not bucket_from <= at < bucket_to:
                # A clock that was far ahead must not hide what is told now.
                number = min(bucket_of(at, self._bucket_ms), self._buckets[-1])
                bucket, bucket_from = bucket_bytes(number), number * self._bucket_ms
                bucket_to = bucket_from + self._bucket_ms
            name, place = name_part(head.notification_id, origin), slot_part(user, kind)
            if user in erased and self._is_of_the_past(head.decided, at, erased[user], place + name, seen):
                continue
            offset = record.offset.to_bytes(8, "big")
            put(bucket + STORY + place + name + offset, value)
            if user in erased:
                seen.add(place + name)
            if not head.decided:
                continue
            put(bucket + DECISION + place + inverse(at, record.offset), name)
            if holder:
                key = bucket + COUNT + place + holder
                before, anew = counts.get(key, (0, False))
                counts[key] = (before + 1, anew)
            elif head.state == "ADMITTED":
                counts[bucket + COUNT + place + head.notification_id] = (0, True)
        self._count(put, counts)
        put(POSITION_KEY, end.to_bytes(8, "big"))
        self._db.write(batch)
        self.applied = end

    def _plain(self, record: StatusRecord) -> bytes | None:
        """The value as rows have it, None: it is no status."""
        value = record.value or b""
        if value.startswith(_HEADER):
            return value
        start = self._codec.body_start(value, "Status")
        if start:
            return _HEADER + value[start:]
        try:
            return _PLAIN.encode("Status", self._codec.decode(record.value, ("Status",)).record)
        except PoisonError as error:
            logger.error("stories: statuses-%d@%d is no status: %s", self.partition, record.offset, error)
            return None

    def _count(self, put: Callable[[bytes, bytes], None], counts: Mapping[bytes, tuple[int, bool]]) -> None:
        wanted = [key for key, (_, anew) in counts.items() if not anew]
        rows = dict(zip(wanted, self._get(wanted), strict=True)) if wanted else {}
        for key, (count, anew) in counts.items():
            row = rows.get(key)
            if row is not None:
                count, anew = count + int.from_bytes(row[:8], "big"), row[8] == 1
            put(key, count.to_bytes(8, "big") + (b"\x01" if anew else b"\x00"))

    def _turn(self, now: int) -> None:
        """Look at the buckets that are kept now; what is older is dropped as one range."""
        first = bucket_of(now - self._keep_ms, self._bucket_ms)
        # A clock of another worker may be ahead.
        self._buckets = range(first, bucket_of(now, self._bucket_ms) + 2)
        if first > self._swept_to:
            self._swept_to = first
            self._db.delete_range(bucket_bytes(0), bucket_bytes(first))

    def look(self, now: int) -> None:
        """Note the time, where nothing is written."""
        self._turn(now)

    # --- erasure

    def erase(self, user: bytes, at: int) -> None:
        """Remove what was told of a user until then (milliseconds since the epoch). Twice is as once."""
        key = ERASED_KEY + user
        before = self._db.get(key)
        if before is not None and int.from_bytes(cast(bytes, before), "big") >= at:
            return
        batch = rocksdict.WriteBatch(raw_mode=True)
        newest = next(self.recent(user), None)
        if newest is None or newest.at <= at:
            for start, end in ranges_of_user(user, self._buckets):
                batch.delete_range(start, end)
        else:
            # He is known anew already: what came after stays.
            for start, end in ranges_of_user(user, self._buckets):
                self._erase_before(batch, start, end, at)
        batch.put(key, at.to_bytes(8, "big"))
        self._db.write(batch)

    def _erase_before(self, batch: rocksdict.WriteBatch, start: bytes, end: bytes, at: int) -> None:
        options = rocksdict.ReadOptions()
        options.set_iterate_upper_bound(end)
        cursor = self._db.iter(options)
        cursor.seek(start)
        looked_at = 0
        while cursor.valid() and looked_at < LOOKED_AT_MAX:
            key, looked_at = cursor.key(), looked_at + 1
            if key[4:5] == DECISION:
                told_at = read_inverse(key)[0]
            elif key[4:5] == STORY:
                told_at = read_head(cursor.value(), len(_HEADER)).at
            else:
                told_at = at + 1  # of the slot, whose holder may be the new one
            if told_at <= at:
                batch.delete(key)
            cursor.next()

    def erased(self, user: bytes) -> bool:
        """Whether an erasure of this user was seen, in what is kept."""
        return self._db.get(ERASED_KEY + user) is not None

    def _is_of_the_past(self, decided: bool, at: int, erased_at: int, story: bytes, seen: set[bytes]) -> bool:
        """Whether a status of a user who was erased tells of what was before: also an end that came only then."""
        if at <= erased_at:
            return True
        if decided or story in seen:
            return False
        return next(self._keys(STORY + story), None) is None
