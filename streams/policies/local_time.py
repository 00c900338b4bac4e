"""Instants and what a clock on a wall shows, where the clock is put forward and back. Pure; `zone` is any tzinfo.

Forward, the clock skips a stretch of times (the gap); back, it shows a stretch twice (the fold). Berlin in 2026:

    29 March      01:59 → 03:00        02:30 is never shown
    25 October    02:59 → 02:00        02:30 is shown twice, one hour apart

A local time that is asked for is the first instant at which the clock shows it; one in the gap is shifted forward by
the length of the gap, as RFC 5545 (section 3.3.5) has it: 02:30 on 29 March is sent when the clock shows 03:30.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

EPOCH = datetime(1970, 1, 1)
MILLISECOND = timedelta(milliseconds=1)
INSTANT = timedelta(microseconds=1)
SECOND_MS = 1_000  # zones change at full seconds


def instant_of(local: datetime, zone: tzinfo) -> int:
    """The instant of a local time, milliseconds since the epoch: the clock shows that time then, or a later one."""
    return _utc_ms(local, _offset(local, zone, 0))


def local_at(instant: int, zone: tzinfo) -> datetime:
    """What the clock shows at an instant, to the second, without a zone."""
    return datetime.fromtimestamp(instant // SECOND_MS, zone).replace(tzinfo=None)


def iso_at(instant: int, zone: tzinfo) -> str:
    """The same for people, with the offset: `2026-12-24T18:00:00+01:00`; what no calendar has, in milliseconds."""
    try:
        return datetime.fromtimestamp(instant // SECOND_MS, zone).isoformat()
    except (ValueError, OverflowError, OSError):
        return f"{instant} ms since 1970"


def first_reached(local: datetime, zone: tzinfo) -> int:
    """The first instant at which the clock shows this time or a later one; in a gap, the instant of the jump."""
    before, after = _offset(local, zone, 0), _offset(local, zone, 1)
    return _jump(local, zone, before, after) if before < after else _utc_ms(local, before)


def finally_reached(local: datetime, zone: tzinfo) -> int:
    """The instant from which on the clock shows no earlier time any more; in a gap, the instant of the jump."""
    before, after = _offset(local, zone, 0), _offset(local, zone, 1)
    if before < after:
        return _jump(local, zone, before, after)
    if before > after:
        # The clock comes back to the first of the times that it repeats, and not to any before it.
        return _utc_ms(local, _offset(local - INSTANT, zone, 1))
    return _utc_ms(local, after)


def changes_within(instant: int, around_ms: int, zone: tzinfo) -> bool:
    """Whether the clock shows another offset this long before or after an instant."""
    second, around = instant // SECOND_MS, around_ms // SECOND_MS
    moments = (second - around, second, second + around)
    return len({datetime.fromtimestamp(moment, zone).utcoffset() for moment in moments}) > 1


def _offset(local: datetime, zone: tzinfo, fold: int) -> timedelta:
    """PEP 495: with fold 0 the offset before the change of the clock, with fold 1 the one after it."""
    offset = zone.utcoffset(local.replace(tzinfo=zone, fold=fold))
    assert offset is not None, "a zone has an offset at any time"
    return offset


def _utc_ms(local: datetime, offset: timedelta) -> int:
    return (local - offset - EPOCH) // MILLISECOND


def _jump(local: datetime, zone: tzinfo, before: timedelta, after: timedelta) -> int:
    """Where the clock jumps over this time: one of the instants between what the two offsets give."""
    early, late = _utc_ms(local, after), _utc_ms(local, before)
    while late - early > SECOND_MS:
        middle = early + (late - early) // 2 // SECOND_MS * SECOND_MS
        if local_at(middle, zone) >= local:
            late = middle
        else:
            early = middle
    return late
