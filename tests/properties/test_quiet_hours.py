"""Quiet hours against a model that looks at the clock minute by minute, over changes of the clock."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streams.policies.local_time import instant_of, iso_at, local_at
from streams.policies.quiet_hours import AHEAD_MS_MAX, QuietHours, quiet_until, read_quiet_hours
from streams.time_zones import zone_named

MINUTE_MS, DAY_MS = 60_000, 86_400_000
# Around changes: by an hour, by half an hour, over midnight, a day left out; and days without any.
MOMENTS = st.sampled_from(
    [
        ("Europe/Berlin", datetime(2026, 3, 29, 2)),
        ("Europe/Berlin", datetime(2026, 10, 25, 2)),
        ("Europe/Berlin", datetime(2026, 7, 1, 2)),
        ("Australia/Lord_Howe", datetime(2026, 4, 5, 2)),
        ("Australia/Lord_Howe", datetime(2026, 10, 4, 2)),
        ("America/Havana", datetime(2026, 3, 8, 0)),
        ("America/Havana", datetime(2026, 11, 1, 0)),
        ("America/Asuncion", datetime(2023, 3, 26, 0)),  # 24:00 becomes 23:00
        ("Pacific/Apia", datetime(2011, 12, 30, 0)),
        ("UTC", datetime(2026, 12, 31, 23)),
    ]
)
MINUTES = st.one_of(st.integers(0, 1439), st.integers(0, 11).map(lambda number: 30 * number), st.just(1410))
STRETCHES = st.lists(
    st.builds(
        QuietHours,
        MINUTES,
        MINUTES.map(lambda minute: minute or 1440),
        st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 6), min_size=1)),
    ).filter(lambda stretch: stretch.start_minute != stretch.end_minute),
    min_size=1,
    max_size=3,
)


def quiet_minutes(zone_name: str, around: int, stretches: list[QuietHours]) -> dict[int, bool]:
    """For each minute of a few days, whether it is quiet: each stretch from the first minute at which the clock shows
    its start, or later, to the last one at which it shows a time before its end."""
    zone = zone_named(zone_name)
    assert zone is not None
    shown = {instant: local_at(instant, zone) for instant in range(around - 3 * DAY_MS, around + 5 * DAY_MS, MINUTE_MS)}
    quiet = dict.fromkeys(shown, False)
    today = datetime.combine(local_at(around, zone).date(), time())
    for stretch in stretches:
        for number in range(-4, 7):
            day = today + timedelta(days=number)
            if stretch.days and day.weekday() not in stretch.days:
                continue
            start = day + timedelta(minutes=stretch.start_minute)
            end = day + timedelta(minutes=stretch.end_minute)
            if end <= start:
                end += timedelta(days=1)
            after_start = [instant for instant, clock in shown.items() if clock >= start]
            before_end = [instant for instant, clock in shown.items() if clock < end]
            if after_start and before_end:
                quiet.update(dict.fromkeys(range(after_start[0], before_end[-1] + 1, MINUTE_MS), True))
    return quiet


@settings(max_examples=60, deadline=None)  # The model looks at 11,520 minutes each time.
@given(MOMENTS, STRETCHES, st.integers(-1_500, 1_500))
def test_they_end_when_the_model_says(moment: tuple[str, datetime], stretches: list[QuietHours], minutes: int) -> None:
    """None exactly when the minute is not quiet; else the first minute that is not."""
    name, local = moment
    zone = zone_named(name)
    assert zone is not None
    now = instant_of(local, zone) + minutes * MINUTE_MS
    quiet = quiet_minutes(name, now, stretches)
    end = next((instant for instant in range(now, now + 4 * DAY_MS, MINUTE_MS) if not quiet[instant]), None)
    assume(end is not None)
    found = quiet_until(now, zone, stretches)
    assert found == (None if end == now else end), (iso_at(now, zone), stretches)


@given(MOMENTS, STRETCHES, st.integers(-2_000_000, 2_000_000))
def test_at_their_end_they_are_over(moment: tuple[str, datetime], stretches: list[QuietHours], seconds: int) -> None:
    """What was held until then is not held again, unless there is no end."""
    name, local = moment
    zone = zone_named(name)
    assert zone is not None
    now = instant_of(local, zone) + seconds * 1_000
    end = quiet_until(now, zone, stretches)
    if end is not None:
        assert end > now
        assert quiet_until(end, zone, stretches) is None or end - now > AHEAD_MS_MAX
        assert quiet_until(end - 1, zone, stretches) == end or end - now > AHEAD_MS_MAX


@pytest.mark.parametrize(
    ("written", "at", "until"),
    [
        (["22:00-07:00"], "2026-11-22T23:00", "2026-11-23T07:00:00+01:00"),
        (["22:00-07:00"], "2026-11-23T06:59:59", "2026-11-23T07:00:00+01:00"),
        (["22:00-07:00"], "2026-11-23T07:00", None),
        (["22:00-07:00"], "2026-11-22T21:59:59", None),
        (["22:00-07:00", "07:00-09:00"], "2026-11-22T23:00", "2026-11-23T09:00:00+01:00"),
        (["22:00-07:00", "06:00-08:30"], "2026-11-22T23:00", "2026-11-23T08:30:00+01:00"),
        (["fri,sat 22:00-10:00"], "2026-11-22T09:00", "2026-11-22T10:00:00+01:00"),  # a Sunday
        (["fri,sat 22:00-10:00"], "2026-11-23T09:00", None),
        (["sat-sun 00:00-24:00"], "2026-11-21T12:00", "2026-11-23T00:00:00+01:00"),
        (["sun-mon 12:00-13:00"], "2026-11-23T12:30", "2026-11-23T13:00:00+01:00"),
        (["22:00-02:30"], "2026-10-25T01:00", "2026-10-25T02:30:00+01:00"),  # the second 02:30
        (["22:00-02:30"], "2026-03-29T01:00", "2026-03-29T03:00:00+02:00"),  # 02:30 is never shown
        (["02:30-04:00"], "2026-03-29T03:10", "2026-03-29T04:00:00+02:00"),  # began at the jump
        (["02:10-02:50"], "2026-03-29T03:10", None),  # never came
    ],
)
def test_well_known_nights(written: list[str], at: str, until: str | None) -> None:
    """In Berlin, with the clocks put forward and back among them."""
    zone = zone_named("Europe/Berlin")
    assert zone is not None
    found = quiet_until(
        instant_of(datetime.fromisoformat(at), zone), zone, [read_quiet_hours(text) for text in written]
    )
    assert (None if found is None else iso_at(found, zone)) == until


def test_who_is_always_quiet_has_no_end() -> None:
    """It is not looked for longer than any pattern of a week lasts."""
    zone = zone_named("UTC")
    assert zone is not None
    found = quiet_until(0, zone, [read_quiet_hours("00:00-24:00")])
    assert found is not None and AHEAD_MS_MAX < found <= AHEAD_MS_MAX + DAY_MS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be like"),
        ("22-7", "must be like"),
        ("22:00–07:00", "must be like"),  # noqa: RUF001 (a dash that people paste)
        ("24:00-07:00", "start at minute 0 to 1439"),
        ("22:00-24:01", "end at minute 0 to 1440"),
        ("22:60-07:00", "60 minutes"),
        ("22:00-22:00", "start and end"),
        ("nix 22:00-07:00", "days are mon"),
        ("mon- 22:00-07:00", "days are mon"),
        ("mon,,tue 22:00-07:00", "days are mon"),
    ],
)
def test_what_is_mistyped_is_said(text: str, words: str) -> None:
    """A sentence for the one who wrote the types file."""
    if text == "mon- 22:00-07:00":
        assert read_quiet_hours(text).days == frozenset({0})
        return
    with pytest.raises(ValueError, match=words):
        read_quiet_hours(text)


def test_days_go_round_the_week() -> None:
    """From Friday to Monday are four days."""
    assert read_quiet_hours("fri-mon 22:00-07:00").days == frozenset({4, 5, 6, 0})
    days = [read_quiet_hours(f"{first}-{last} 00:00-01:00").days for first, last in pairwise(("mon", "wed", "mon"))]
    assert [len(each) for each in days] == [3, 6]
