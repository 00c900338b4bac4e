"""P1 and P3 for the frequency caps of one user, from the histories of all slots of the user. Pure.

push a  push b      push c                   P1: a cap of 2 in 60 s: 60 s from a to c
|-------|-----------|
claim a claim b     capped c                 P3: c was turned away while a and b stood in the window
|-------|-----------|
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.audit.rows import SlotHistory, StatusRow, Violation
from streams.audit.slot_checks import ENDS_OF_HOLDS, FREED_STATES, Send, sends
from streams.policies.capping import REASON, Cap, CapRules

UNCAPPED = CapRules(counts=False, ignores=True)  # a type that the types file does not have any more


class CapTerms(NamedTuple):
    """What holds for all users. `grace_ms`: by how much a request may arrive after `send_by`."""

    caps: tuple[Cap, ...]
    grace_ms: int
    skew_ms: int
    rules_of: Callable[[bytes], CapRules]


@dataclass(slots=True)
class Admission:
    """A notification that was claimed: when first, until when a request might leave, what ended it, its sends."""

    slot: bytes
    notification_id: str
    claimed_at: int
    send_by: int
    end: StatusRow | None = None
    sends: list[Send] = field(default_factory=list)

    @property
    def freed(self) -> bool:
        """Whether it ended, and certainly was not sent."""
        return self.end is not None and (self.end.state in FREED_STATES or self.end.by_cap)

    def stands_until(self, cap: Cap, terms: CapTerms) -> int:
        """The latest instant at which another one may be turned away for it."""
        if self.end is not None and self.freed:
            return self.end.at + terms.skew_ms
        latest = self.send_by if self.end is None else max(self.send_by, self.end.at)
        return latest + terms.grace_ms + cap.window_ms + 2 * terms.skew_ms


@dataclass(slots=True)
class CapHistory:
    """What the record says of one user over all slots. `turned_away`: for which there was no room. `with_log`: sends
    are those of the providers' push log."""

    admissions: list[Admission] = field(default_factory=list)
    turned_away: list[tuple[bytes, StatusRow]] = field(default_factory=list)
    with_log: bool = True

    def add(self, history: SlotHistory, skew_ms: int) -> None:
        """Take what a slot of the user has to say."""
        found: dict[str, list[Admission]] = {}
        for row in history.statuses:
            known = found.setdefault(row.notification_id, [])
            if row.state == "SENDING":
                if not known or known[-1].end is not None:
                    send_by = row.at if row.until is None else row.until
                    known.append(Admission(history.slot, row.notification_id, row.at, send_by))
            elif (row.state in ENDS_OF_HOLDS or row.by_cap) and known and known[-1].end is None:
                known[-1].end = row
            if row.by_cap or (row.stage == "deliver" and row.reason.startswith(REASON)):
                self.turned_away.append((history.slot, row))
        for send in sends(history):
            claimed = found.get(send.notification_id)
            if claimed:  # else it is a violation of P2, and said so there
                before = [each for each in claimed if each.claimed_at <= send.at + skew_ms]
                (before or claimed)[-1].sends.append(send)
        for each in found.values():
            self.admissions += each
        self.with_log = self.with_log and history.pushes is not None


def check_caps(history: CapHistory, terms: CapTerms, since: int) -> Iterator[Violation]:
    """Yield what is broken. `since`: before it, the record was not read, and its absence says nothing."""
    for cap in terms.caps:
        yield from _windows(history, cap, terms)
    for slot, row in history.turned_away:
        yield from _turned_away(history, slot, row, terms, since)


def _windows(history: CapHistory, cap: Cap, terms: CapTerms) -> Iterator[Violation]:
    """Whatever stretch shorter than the window one looks at: before the last one of it that heeds the cap was claimed,
    fewer than `limit` others that count had been."""
    window = cap.window_ms if history.with_log else cap.window_ms - terms.skew_ms
    every = sorted(
        ((send, index) for index, each in enumerate(history.admissions) for send in each.sends),
        key=lambda found: (found[0].at, found[1]),
    )
    inside: deque[tuple[Send, int]] = deque()
    told: set[int] = set()
    for send, index in every:
        while inside and send.at - inside[0][0].at >= window:
            inside.popleft()
        inside.append((send, index))
        numbers = {number for _, number in inside}
        if len(numbers) <= cap.limit:
            continue
        wrong = _one_too_many([(number, history.admissions[number]) for number in numbers], cap, terms)
        if wrong is None or wrong[0] in told:
            continue
        told.add(wrong[0])
        _, late, before = wrong
        names = ", ".join(f"{each.notification_id} ({each.sends[0].place})" for each in before)
        sentence = (
            f"{late.notification_id} ({late.sends[0].place}) was sent although {len(before)} others of its user stood "
            f"within {(send.at - inside[0][0].at) / 1000:.3f} s; the cap is {cap.limit} in {cap.window_ms / 1000:g} s: "
            f"{names}"
        )
        ids = tuple(each.notification_id for each in before)
        yield Violation("P1", sentence, send.at, late.slot, (*ids, late.notification_id))


def _one_too_many(
    inside: Sequence[tuple[int, Admission]], cap: Cap, terms: CapTerms
) -> tuple[int, Admission, list[Admission]] | None:
    """Return the first one that should not have been claimed, and those that stood before it."""

    def claimed_at(found: tuple[int, Admission]) -> tuple[int, int]:
        # Another owner's clock may differ: in doubt, what takes no place came first, and what ignores the cap last.
        rules = terms.rules_of(found[1].slot)
        doubt_ms = terms.skew_ms if rules.ignores else 0 if rules.counts else -terms.skew_ms
        return found[1].claimed_at + doubt_ms, found[0]

    before: list[Admission] = []
    for number, each in sorted(inside, key=claimed_at):
        rules = terms.rules_of(each.slot)
        if not rules.ignores and len(before) >= cap.limit:
            return number, each, before
        if rules.counts:
            before.append(each)
    return None


def _turned_away(history: CapHistory, slot: bytes, row: StatusRow, terms: CapTerms, since: int) -> Iterator[Violation]:
    """Nothing is turned away unless as many as a cap allows were claimed before it and stand in its window."""
    most, limits = 0, list[str]()
    for cap in terms.caps:
        count = sum(
            each.claimed_at <= row.at + terms.skew_ms
            and row.at <= each.stands_until(cap, terms)
            and (each.slot, each.notification_id) != (slot, row.notification_id)
            and terms.rules_of(each.slot).counts
            for each in history.admissions
        )
        # Those that were claimed before what was read may stand, too.
        if count >= cap.limit or row.at - cap.window_ms - terms.grace_ms - 2 * terms.skew_ms < since:
            return
        most, limits = max(most, count), [*limits, f"{cap.limit} in {cap.window_ms / 1000:g} s"]
    sentence = (
        f"{row.notification_id} was {row.state} by a cap ({row.place}), but only {most} others of its user stood "
        f"in the window; the caps are {', '.join(limits) or 'none'}"
    )
    yield Violation("P3", sentence, row.at, slot, (row.notification_id,), row.origin)
