"""What waits for its time: is it taken, cancelled, moved; how fast is it released; and do the counts agree.

    deferral ──hold──→ pending ──due──→ released
                        │  ▲ │
                        │  └─┘ move
                        ├──cancel──→ cancelled      the first of these three that is committed is the one that
                        └──of no use any more──→ expired     happens; what comes after it is told so

What has ended is remembered for a day, by its id: long enough to tell "already released" from "never heard of it".
"""

from __future__ import annotations

from typing import Literal, NamedTuple

# AWAITED: cancelled although nothing was known of it, for the case that it is still on its way.
Ending = Literal["RELEASED", "CANCELLED", "EXPIRED", "AWAITED"]

REMEMBERED_MS = 24 * 3600 * 1000  # as long as suppress remembers ids: the longest that producers are expected to retry


class Ended(NamedTuple):
    """How a notification ended here, and when (milliseconds since the epoch)."""

    how: Ending
    at: int

    def is_remembered(self, now: int) -> bool:
        """Tell whether it still counts."""
        return self.at + REMEMBERED_MS > now


class Hold(NamedTuple):
    """Keep it until it is due."""


class CancelledBefore(NamedTuple):
    """Drop it: its id was cancelled less than a day ago."""


class Duplicate(NamedTuple):
    """Drop it: the same id is pending already, from another event."""


class Repeated(NamedTuple):
    """The same event is pending already: the newer time counts."""


class Expire(NamedTuple):
    """Drop it: it is of no use any more when it is due."""


def take(
    due_at: int,
    expires_at: int | None,
    same_event_is_pending: bool | None,
    ended: Ended | None,
    now: int,
) -> Hold | CancelledBefore | Duplicate | Repeated | Expire:
    """Decide on a deferral that arrives. Instants in milliseconds since the epoch.

    `same_event_is_pending`: whether what is pending under its id came from the same event; None: nothing is pending.
    One that was released before is taken again: delivery may hold it back for quiet hours.
    """
    if ended is not None and ended.how in ("CANCELLED", "AWAITED") and ended.is_remembered(now):
        return CancelledBefore()
    if same_event_is_pending is False:
        return Duplicate()
    if expires_at is not None and expires_at <= max(due_at, now):
        return Expire()
    return Repeated() if same_event_is_pending else Hold()


class Cancelled(NamedTuple):
    """It was pending, due at `due_at`, and is not any more."""

    due_at: int


class Moved(NamedTuple):
    """It is pending, and due at `after` instead of `before`."""

    before: int
    after: int


class WouldExpire(NamedTuple):
    """Nothing is changed: at the new time it would be of no use any more."""

    due_at: int


class TooLate(NamedTuple):
    """It has ended before; `at` is None where only its next attempt is known of."""

    how: Ending
    at: int | None


class Unknown(NamedTuple):
    """Nothing is known of this id. A cancel holds until then, for a deferral that is still on its way; None: a move."""

    holds_until: int | None


def cancel(due_at: int | None, retry_waits: bool, ended: Ended | None, now: int) -> Cancelled | TooLate | Unknown:
    """Decide on a Cancel. `due_at`: when it is due, None: not pending. `retry_waits`: its next attempt waits here."""
    if due_at is not None:
        return Cancelled(due_at)
    return _too_late(retry_waits, ended, now) or Unknown(now + REMEMBERED_MS)


def move(
    due_at: int | None, to: int, expires_at: int | None, retry_waits: bool, ended: Ended | None, now: int
) -> Moved | WouldExpire | TooLate | Unknown:
    """Decide on a Move to another time. Arguments as for `cancel`; `expires_at` is that of what is pending."""
    if due_at is None:
        return _too_late(retry_waits, ended, now) or Unknown(None)
    if expires_at is not None and expires_at <= max(to, now):
        return WouldExpire(due_at)
    return Moved(due_at, to)


def _too_late(retry_waits: bool, ended: Ended | None, now: int) -> TooLate | None:
    if ended is not None and ended.how != "AWAITED" and ended.is_remembered(now):
        return TooLate(ended.how, ended.at)
    return TooLate("RELEASED", None) if retry_waits else None


class Counts(NamedTuple):
    """What one partition has counted since it began; the fields of schemas/avsc/schedule_ledger.avsc."""

    scheduled: int = 0
    released: int = 0
    cancelled: int = 0
    expired: int = 0
    pending: int = 0
    moved: int = 0
    duplicates: int = 0
    retries_taken: int = 0
    retries_released: int = 0
    retries_pending: int = 0

    def difference(self) -> int:
        """Return by how much the counts contradict themselves, 0: they close.

        scheduled = released + cancelled + expired + pending; retries taken = released + pending.
        """
        deferrals = self.scheduled - self.released - self.cancelled - self.expired - self.pending
        retries = self.retries_taken - self.retries_released - self.retries_pending
        return abs(deferrals) + abs(retries)
