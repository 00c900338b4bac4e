"""Local times against what the clocks of all zones show, minute by minute, around every change of some years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.policies.local_time import finally_reached, first_reached, instant_of, local_at
from streams.time_zones import zone_named, zone_names

MINUTE_MS, DAY_MS = 60_000, 86_400_000
FIRST_YEAR, LAST_YEAR = 2015, 2030
HOURS_AROUND = 6  # the largest jump of these years is three hours, at Casey in Antarctica
STEP_DAYS = 7  # no zone changes its clock twice within a week in these years and is back where it was


def ms(year: int) -> int:
    """The start of a year."""
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000


def offset(zone: ZoneInfo, instant: int) -> timedelta:
    """How far the zone is ahead of UTC."""
    found = datetime.fromtimestamp(instant // 1000, zone).utcoffset()
    assert found is not None
    return found


def changes(zone: ZoneInfo) -> Iterator[int]:
    """The instants at which the clock is put forward or back."""
    for start in range(ms(FIRST_YEAR), ms(LAST_YEAR), STEP_DAYS * DAY_MS):
        early, late = start, start + STEP_DAYS * DAY_MS
        if offset(zone, early) == offset(zone, late):
            continue
        while late - early > MINUTE_MS:
            middle = (early + late) // 2 // MINUTE_MS * MINUTE_MS
            early, late = (middle, late) if offset(zone, middle) == offset(zone, early) else (early, middle)
        yield late


@cache
def all_changes() -> list[tuple[ZoneInfo, int]]:
    """Each change of each zone; of zones whose clocks are always alike, one."""
    found: dict[tuple[tuple[int, timedelta], ...], ZoneInfo] = {}
    for name in sorted(zone_names()):
        zone = zone_named(name)
        assert zone is not None
        found[tuple((at, offset(zone, at)) for at in changes(zone))] = zone
    return [(zone, at) for signature, zone in found.items() for at, _ in signature]


def test_there_are_changes_of_every_kind() -> None:
    """Else the tests below look at nothing: by an hour, by half an hour, forward and back."""
    jumps = {offset(zone, at) - offset(zone, at - MINUTE_MS) for zone, at in all_changes()}
    assert {timedelta(hours=1), timedelta(hours=-1), timedelta(minutes=30), timedelta(minutes=-30)} <= jumps
    assert len(all_changes()) > 1_000


def test_local_times_are_right_around_every_change_of_every_zone() -> None:
    """Asked for, they are the first instant at which the clock shows them, or shifted by what the clock skips."""
    for zone, at in all_changes():
        around = range(at - HOURS_AROUND * 60 * MINUTE_MS, at + HOURS_AROUND * 60 * MINUTE_MS, 900_000)
        shown = {instant: local_at(instant, zone) for instant in around}
        jump = offset(zone, at) - offset(zone, at - MINUTE_MS)
        middle = local_at(at, zone) - max(jump, timedelta())
        asked = [middle + timedelta(minutes=15 * number) for number in range(-6, 7)]
        for local in asked:
            found = instant_of(local, zone)
            first = min((instant for instant, clock in shown.items() if clock == local), default=None)
            if first is None:
                assert jump > timedelta() and local_at(found, zone) == local + jump, (zone, local)
            else:
                assert found == first, (zone, local)
            assert local_at(found, zone) >= local
            assert first_reached(local, zone) == min(instant for instant, clock in shown.items() if clock >= local)
            later = [instant for instant, clock in shown.items() if clock < local]
            assert finally_reached(local, zone) == max(later) + 900_000, (zone, local)


@given(
    st.sampled_from(sorted(zone_names())),
    st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31)).map(lambda at: at.replace(microsecond=0)),
)
def test_no_local_time_is_ever_too_early(name: str, local: datetime) -> None:
    """In any zone and any year: the clock shows what was asked for, or the clock skipped it and shows a later time."""
    zone = zone_named(name)
    assert zone is not None
    found = instant_of(local, zone)
    if local_at(found, zone) == local:
        return
    assert local_at(found, zone) > local
    assert local_at(first_reached(local, zone), zone) > local >= local_at(first_reached(local, zone) - 1_000, zone)


@pytest.mark.parametrize(
    ("name", "local", "expected"),
    [
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:30:00Z"),  # the clock shows 03:30
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),  # the first of two
        ("America/New_York", "2026-03-08T02:00", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T01:59:59", "2026-11-01T05:59:59Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:45:00Z"),  # a gap of half an hour
        ("Africa/Casablanca", "2026-03-22T02:30", "2026-03-22T02:30:00Z"),  # Ramadan ends, winter time ends
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T22:00:00Z"),  # a day that Samoa never had
        ("Asia/Kathmandu", "2026-01-01T00:00", "2025-12-31T18:15:00Z"),
        ("UTC", "2026-12-24T18:00", "2026-12-24T18:00:00Z"),
    ],
)
def test_well_known_times(name: str, local: str, expected: str) -> None:
    """Read off calendars, not off the code."""
    zone = zone_named(name)
    assert zone is not None
    assert instant_of(datetime.fromisoformat(local), zone) == int(datetime.fromisoformat(expected).timestamp()) * 1000


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "europe/berlin", "../../etc/passwd", "Europe", "CEST", "é"])
def test_what_is_no_zone_is_none(name: str) -> None:
    """Mistyped, of another case, or a path: there is no such zone, and nothing is opened."""
    assert zone_named(name) is None


def test_zones_are_those_of_the_package() -> None:
    """Whatever the machine has: all workers of a release are of one mind."""
    for name in zone_names():
        zone = zone_named(name)
        assert zone is not None and zone.key == name
