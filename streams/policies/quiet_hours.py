"""Quiet hours: stretches of the day in which nobody is to be disturbed, and when they end. Pure; `zone` is any tzinfo.

          Monday              Tuesday
    ------|-------------------|-------------------|
                       22:00=========07:00                     quiet: 22:00 <= clock < 07:00
                              06:00====09:00                   overlaps: the end is 09:00

A stretch begins when the clock first shows its start, and ends when the clock shows no time before its end any more;
where the clock jumps over one of them, at the jump. So a clock that is put back never cuts a quiet night into two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from streams.policies.local_time import changes_within, finally_reached, first_reached, local_at

DAY_MINUTES = 24 * 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MS = 24 * 3_600_000
AHEAD_MS_MAX = 8 * DAY_MS  # longer than any pattern of one week: those who are always quiet have no end
_WRITTEN = re.compile(r"(?:([a-z,-]+) )?(\d\d):(\d\d)-(\d\d):(\d\d)\Z", re.ASCII)


class QuietHours(NamedTuple):
    """One stretch, in minutes after local midnight. `end_minute` not after the start: on the next day. `days`: those on
    which it starts, 0 = Monday; empty: every day."""

    start_minute: int
    end_minute: int
    days: frozenset[int] = frozenset()

    @property
    def length_minutes(self) -> int:
        """How long it lasts by the clock."""
        return self.end_minute - self.start_minute + DAY_MINUTES * (self.end_minute <= self.start_minute)

    def on(self, day: date) -> tuple[datetime, datetime]:
        """What the clock shows at start and end of the one that starts on a day."""
        start = datetime.combine(day, time()) + timedelta(minutes=self.start_minute)
        return start, start + timedelta(minutes=self.length_minutes)


def read_quiet_hours(text: str) -> QuietHours:
    """Read `22:00-07:00`, or with the days on which it starts: `mon-fri 22:00-07:00`, `sat,sun 00:00-24:00`.

    Raises ValueError with a sentence.
    """
    written = _WRITTEN.match(text)
    if written is None:
        raise ValueError(f"must be like 22:00-07:00 or mon-fri 22:00-07:00, is {text!r}")
    days, *clock = written.groups()
    start_hour, start_minute, end_hour, end_minute = map(int, clock)
    if start_minute > 59 or end_minute > 59:
        raise ValueError(f"{text!r}: an hour has 60 minutes")
    return checked(start_hour * 60 + start_minute, end_hour * 60 + end_minute, _days(days, text))


def written(stretch: QuietHours) -> str:
    """Return a stretch as `read_quiet_hours` reads it."""
    clock = "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (stretch.start_minute, stretch.end_minute))
    return " ".join([*([",".join(DAYS[day] for day in sorted(stretch.days))] if stretch.days else []), clock])


def checked(start_minute: int, end_minute: int, days: frozenset[int]) -> QuietHours:
    """Return the stretch. Raises ValueError with a sentence where it cannot be one."""
    if not 0 <= start_minute < DAY_MINUTES:
        raise ValueError(f"quiet hours start at minute 0 to 1439 of the day, not {start_minute}")
    if not 0 <= end_minute <= DAY_MINUTES:
        raise ValueError(f"quiet hours end at minute 0 to 1440 of the day, not {end_minute}")
    if start_minute == end_minute:
        raise ValueError(f"quiet hours start and end at minute {start_minute}; a whole day is 0 to 1440, 00:00-24:00")
    return QuietHours(start_minute, end_minute, days)


def _days(written: str | None, text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in () if written is None else written.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{text!r}: days are {', '.join(DAYS)}")
        start, count = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7
        days.update((start + number) % 7 for number in range(count + 1))
    return frozenset(days)


def quiet_until(now: int, zone: tzinfo, stretches: Sequence[QuietHours]) -> int | None:
    """When the quiet hours end that it is now, None: it is none. Instants in milliseconds since the epoch.

    Stretches that touch or overlap are one. After eight days without an end: what is reached by then.
    """
    end = now
    while (later := _end_of(end, zone, stretches)) > end:
        end = later
        if end - now > AHEAD_MS_MAX:
            break
    return end if end > now else None


def _end_of(now: int, zone: tzinfo, stretches: Sequence[QuietHours]) -> int:
    """The latest end of those stretches in which `now` is, or `now`."""
    local, end = local_at(now, zone), now
    changing = changes_within(now, DAY_MS, zone)
    minute, today = local.hour * 60 + local.minute, local.weekday()
    for stretch in stretches:
        # Where the clock is put back over midnight, what starts tomorrow may have started already.
        for number in (-1, 0, 1) if changing else (-1, 0):
            if stretch.days and (today + number) % 7 not in stretch.days:
                continue
            passed = minute - DAY_MINUTES * number
            # Without a change of the clock nearby, what it shows says it all.
            if changing or stretch.start_minute <= passed < stretch.length_minutes + stretch.start_minute:
                start, until = stretch.on(local.date() + timedelta(days=number))
                if first_reached(start, zone) <= now:
                    end = max(end, finally_reached(until, zone))
    return end
