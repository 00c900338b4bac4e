"""What an erasure means for the history. Pure.

What was said of the user up to `said_before_ms` goes, and so does what is said later of events that began before. A
sink may read a status of before long after the command, so the command leaves two marks for a while, without any
content: a digest of the user with that instant, and the places of the events that had not ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from streams.history.rows import UNKNOWN_ORIGIN, StatusRow
from streams.history.text import storable
from streams.topics import DAY_MS

# Kafka removes whole segments, the youngest record of which is older than the 7 days of `statuses`; a segment is closed
# after 7 days at the latest. What is older than this is on no topic any more.
MARKS_KEPT_MS: Final = 30 * DAY_MS
# What is said of an event after its end, such as the answer of a second device, follows within hours.
ENDED_FOR_GOOD_MS: Final = DAY_MS
Event = tuple[int, int]


class Erasure(NamedTuple):
    """A user is to be forgotten, with all that was said of him up to this instant."""

    user_id: str
    said_before_ms: int

    @property
    def digest(self) -> str:
        """What is kept of the user's name."""
        return digest_of(self.stored_user)

    @property
    def stored_user(self) -> str:
        """The name as it stands in rows."""
        return storable(self.user_id)


def digest_of(stored_user: str) -> str:
    """Return the digest of a name as it stands in rows."""
    return sha256(stored_user.encode()).hexdigest()


def erasure_of(user_id: str, requested_at_ms: int, produced_at_ms: int, now_ms: int, skew_ms: int) -> Erasure:
    """Return the erasure that a command is.

    The later of its two instants counts, and none that is still to come: who asks may have a clock that is off. What a
    worker says whose clock is ahead by as much as it may be was said before.
    """
    return Erasure(user_id, min(max(requested_at_ms, produced_at_ms), now_ms) + skew_ms)


class Kept(NamedTuple):
    """What remains of a batch, and the events that are passed over from now on."""

    statuses: list[StatusRow]
    erased: set[Event]


def without_erased(rows: Iterable[StatusRow], said_before: Mapping[str, int], erased: Collection[Event]) -> Kept:
    """Return what is to be written. `said_before`: up to when what was said of a user, as in rows, is passed over."""
    kept: list[StatusRow] = []
    known, found = set(erased), set[Event]()
    for row in rows:
        event = (row.origin_partition, row.origin_offset)
        if event in known:
            continue
        if row.at_ms <= said_before.get(row.user_id, -1):
            if event != UNKNOWN_ORIGIN:
                known.add(event)
                found.add(event)
            continue
        kept.append(row)
    return Kept(kept, found)
