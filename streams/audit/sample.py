"""The promise over a sample of slots, checked as their statuses come in. Pure, and bounded in memory.

A slot is in the sample or not by the hash of its key, so that each one in it is seen completely; when the sample grows
too large, half of it is let go. What is dropped as a duplicate is judged by `ringonce audit` only: it would take a day
of history.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from schemas.records import FINAL_STATES
from streams.audit.rows import ClaimRow, Origin, Rules, SlotHistory, StatusRow, Violation
from streams.audit.slot_checks import check_slot

ALL = 1 << 32  # the values that a CRC-32 can have
SLOTS_MAX = 20_000  # about 1 kB each
ROWS_MAX = 400  # of one slot; a slot with more is one that somebody floods
SLICE_SLOTS = 20  # judged at once, some 2 ms of the event loop; then others have their turn
SETTLE_MS = 60_000  # how long a verdict may be under way while workers come and go
TOLD_MAX = 10_000


@dataclass(slots=True)
class Watched:
    """What is known of one slot. `since`: what was said of it before is not."""

    since: int
    rows: list[StatusRow] = field(default_factory=list)
    forget_at: int = 0


class SlotSample:
    """Collects the statuses of the slots in the sample, and judges them.

    `now` and `since` in milliseconds since the epoch. `checked`: statuses taken so far; `overdue`: of the notifications
    in the sample those that were admitted, whose time is over, and of which no end is known; `share` of all slots.
    """

    def __init__(self, rules_of: Callable[[bytes], Rules | None], slots_max: int = SLOTS_MAX) -> None:
        self._rules_of = rules_of
        self._slots_max = slots_max
        self._below = ALL
        self._slots: dict[bytes, Watched] = {}
        self._touched: set[bytes] = set()
        self._open: dict[bytes, list[int]] = {}  # of the slots with some: until when each admitted one may go on
        self._told: set[str] = set()
        self.checked = 0
        self.overdue = 0

    @property
    def share(self) -> float:
        """The part of all slots that is in the sample."""
        return self._below / ALL

    def __len__(self) -> int:
        return len(self._slots)

    def wants(self, slot: bytes) -> bool:
        """Whether a slot is in the sample."""
        return zlib.crc32(slot) < self._below

    def add(self, slot: bytes, row: StatusRow, since: int) -> None:
        """Take one status of a slot in the sample, in the order of the topic. `since`: when reading began."""
        watched = self._slots.get(slot)
        if watched is None:
            watched = self._slots[slot] = Watched(since)
            if len(self._slots) > self._slots_max:
                self.halve()
        watched.rows.append(row)
        self.checked += 1
        rules = self._rules_of(slot)
        if rules is not None:
            lasts_until = max(row.at, row.until or 0) + rules.hold_ms + rules.skew_ms + SETTLE_MS
            watched.forget_at = max(watched.forget_at, lasts_until)
        if len(watched.rows) > ROWS_MAX:
            watched.since = watched.rows[ROWS_MAX // 2].at + 1
            del watched.rows[: ROWS_MAX // 2]
        self._touched.add(slot)

    def halve(self) -> None:
        """Let go of half of the sample."""
        self._below //= 2
        self._slots = {slot: watched for slot, watched in self._slots.items() if self.wants(slot)}

    def forget(self) -> None:
        """Let go of all slots: what comes next is not what follows."""
        self._slots.clear()
        self._touched.clear()
        self._open.clear()

    def judge(self, now: int) -> Iterator[list[Violation]]:
        """Yield what is broken and was not told before, some slots at a time; forget those whose time is over.

        Nothing may be added before the last of it.
        """
        touched, self._touched = list(self._touched), set()
        for start in range(0, len(touched), SLICE_SLOTS):
            yield [each for slot in touched[start : start + SLICE_SLOTS] for each in self._judged(slot)]
        self._slots = {slot: watched for slot, watched in self._slots.items() if watched.forget_at > now}
        self._open = {slot: ends for slot, ends in self._open.items() if slot in self._slots}
        self.overdue = sum(until + SETTLE_MS < now for ends in self._open.values() for until in ends)

    def _judged(self, slot: bytes) -> Iterator[Violation]:
        watched, rules = self._slots.get(slot), self._rules_of(slot)
        if watched is None:
            return
        self._open.pop(slot, None)
        if ends := _open_until(watched):
            self._open[slot] = ends
        if rules is None:
            return
        for violation in judge_slot(slot, watched, rules):
            if violation.sentence not in self._told and len(self._told) < TOLD_MAX:
                self._told.add(violation.sentence)
                yield violation


def judge_slot(slot: bytes, watched: Watched, rules: Rules) -> Iterator[Violation]:
    """Yield what the statuses of one slot break."""
    rows = [row for row in watched.rows if row.state != "DUPLICATE"]
    claims = [claim for claim in map(_claim, rows) if claim is not None]
    yield from check_slot(SlotHistory(slot, rows, claims, None), rules, watched.since, SETTLE_MS)
    yield from _ends(slot, watched.rows)
    yield from _claimed(slot, rows)


def _claim(row: StatusRow) -> ClaimRow | None:
    """What an ATTEMPTED says of a claim: `phase: reason`."""
    if row.state != "ATTEMPTED":
        return None
    phase = row.reason.partition(":")[0]
    return ClaimRow(row.notification_id, row.device_id or "", row.attempt, phase, row.at, row.timestamp, row.place)


def _ends(slot: bytes, rows: list[StatusRow]) -> Iterator[Violation]:
    """Each event ends once, with a reason."""
    ends: Counter[Origin] = Counter()
    for row in rows:
        if row.state not in FINAL_STATES or row.origin[0] < 0:
            continue
        ends[row.origin] += 1
        what = f"event notifications-{row.origin[0]}@{row.origin[1]}"
        if ends[row.origin] > 1:
            sentence = f"{what} ends a second time, as {row.state} ({row.place})"
            yield Violation("P3", sentence, row.at, slot, (row.notification_id,), row.origin)
        if not row.reason:
            sentence = f"{what} ends as {row.state} without a reason ({row.place})"
            yield Violation("P3", sentence, row.at, slot, (row.notification_id,), row.origin)


def _claimed(slot: bytes, rows: list[StatusRow]) -> Iterator[Violation]:
    """An answer stands behind a claim for the same attempt; one that was never asked for needs none."""
    admitted: set[str] = set()
    claimed: set[tuple[str, int]] = set()
    for row in rows:
        if row.state == "ADMITTED":
            admitted.add(row.notification_id)
        elif row.state == "SENDING":
            claimed.add((row.notification_id, row.attempt))
        elif row.state != "ATTEMPTED" or row.reason.startswith("NOT_SENT"):
            continue
        elif row.notification_id in admitted and (row.notification_id, row.attempt) not in claimed:
            sentence = f"{row.notification_id} has an answer without a claim ({row.place})"
            yield Violation("P2", sentence, row.at, slot, (row.notification_id,))


def _open_until(watched: Watched) -> list[int]:
    """Until when each of the admitted may go on that has no end yet."""
    open_until: dict[str, int] = {}
    for row in watched.rows:
        if row.state == "ADMITTED":
            open_until[row.notification_id] = row.until or row.at
        elif row.state in FINAL_STATES or row.state == "DEFERRED":
            open_until.pop(row.notification_id, None)
    return list(open_until.values())
