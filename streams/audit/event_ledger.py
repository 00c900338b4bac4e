"""P3 for every event: exactly one end. One byte for each event, and a row only for those that are still open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from schemas.records import FINAL_STATES
from streams.audit.rows import Origin, StatusRow, Violation

IS_EVENT, ENDED = 1, 2
OPEN_STATES = frozenset(("ADMITTED", "DEFERRED", "RELEASED"))


class Open(NamedTuple):
    """The last that was said of an event without an end."""

    state: str
    at: int
    until: int
    slot: bytes
    notification_id: str


class EventLedger:
    """Which events there are, and which have ended.

    `limits`: what to allow an event that is under way, in milliseconds: `settle_ms` after it was last heard of or due,
    before it counts as lost.
    """

    def __init__(self, settle_ms: int) -> None:
        self.events = 0
        self.final: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self._settle_ms = settle_ms
        self._first: dict[int, int] = {}
        self._marks: dict[int, bytearray] = {}
        self._open: dict[Origin, Open] = {}

    def event(self, partition: int, offset: int) -> None:
        """Note an event; offsets of a partition come in order. Copies that were routed again are not events."""
        first = self._first.setdefault(partition, offset)
        marks = self._marks.setdefault(partition, bytearray())
        marks.extend(bytes(offset - first + 1 - len(marks)))
        marks[offset - first] |= IS_EVENT
        self.events += 1

    def status(self, slot: bytes, row: StatusRow) -> None:
        """Note what was said of an event; of one outside the stretch that is audited nothing is noted."""
        partition, offset = row.origin
        marks = self._marks.get(partition)
        index = offset - self._first.get(partition, 0)
        if marks is None or not 0 <= index < len(marks) or not marks[index] & IS_EVENT:
            return
        if row.state in FINAL_STATES:
            if marks[index] & ENDED:
                self._broken(f"it ends a second time, as {row.state}", row.at, slot, row.notification_id, row.origin)
            before = self._open.get(row.origin)
            if row.state == "CANCELLED" and before is not None and before.state == "RELEASED":
                # What delivery gave back was deferred again in between, and can be cancelled again.
                self._broken("it was released, and cancelled too", row.at, slot, row.notification_id, row.origin)
            if not row.reason:
                self._broken(f"it ends as {row.state} without a reason", row.at, slot, row.notification_id, row.origin)
            marks[index] |= ENDED
            self.final[row.state] += 1
            self._open.pop(row.origin, None)
        elif row.state == "RELEASED" and marks[index] & ENDED:
            self._broken("it was released after its end", row.at, slot, row.notification_id, row.origin)
        elif row.state in OPEN_STATES and not marks[index] & ENDED:
            until = row.at if row.until is None else row.until
            self._open[row.origin] = Open(row.state, row.at, until, slot, row.notification_id)

    def close(self, now: int, read_up_to: Mapping[int, int], complete: bool) -> None:
        """Judge what has no end. `read_up_to`: how far suppress has committed each partition of `notifications`.

        What it has not read is open, and what it has read and nothing was ever said of is lost. With `complete`,
        everything must have ended.
        """
        for origin in self._unended():
            row = self._open.get(origin)
            partition, offset = origin
            if row is not None and not complete and max(row.at, row.until) + self._settle_ms > now:
                self.under_way[row.state] += 1
            elif row is not None:
                sentence = f"it was {row.state} and has no end"
                self._broken(sentence, row.at, row.slot, row.notification_id, origin)
            elif offset >= read_up_to.get(partition, 0) and not complete:
                self.under_way["UNREAD"] += 1
            elif offset >= read_up_to.get(partition, 0):
                self._broken("it was never read", now, None, "", origin)
            else:
                self._broken("it was read, and nothing was ever said of it", now, None, "", origin)

    def _unended(self) -> Iterator[Origin]:
        for partition, marks in self._marks.items():
            index = marks.find(IS_EVENT)
            while index >= 0:
                yield partition, self._first[partition] + index
                index = marks.find(IS_EVENT, index + 1)

    def _broken(self, what: str, at: int, slot: bytes | None, notification_id: str, origin: Origin) -> None:
        ids = (notification_id,) if notification_id else ()
        sentence = f"event notifications-{origin[0]}@{origin[1]}: {what}"
        self.violations.append(Violation("P3", sentence, at, slot, ids, origin))
