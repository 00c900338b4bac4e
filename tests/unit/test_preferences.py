"""What a user wants against what a type asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams.app import deliver_policies
from streams.policies.preferences import (
    NO_PREFERENCES,
    Hold,
    Preferences,
    TooLong,
    TypeHours,
    due_at,
    hold,
    opt_out,
)
from streams.policies.quiet_hours import read_quiet_hours
from streams.stages.directory_rows import PROVIDERS, WEEKDAYS, read_preferences
from streams.time_zones import zone_named
from streams.types_file import NotificationTypes
from tests.simulation.deliver_world import CODEC

BERLIN, TOKYO = zone_named("Europe/Berlin"), zone_named("Asia/Tokyo")
NIGHT, MORNING = read_quiet_hours("22:00-07:00"), read_quiet_hours("07:00-09:00")
HOUR_MS = 3_600_000


def utc(text: str) -> int:
    """An instant in milliseconds since the epoch."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


MIDNIGHT = utc("2026-11-23T00:00")


def held(preferences: Preferences, hours: TypeHours, now: int = MIDNIGHT, expires_at: int | None = None) -> Any:
    """Ask of a notification of the type `t`."""
    return hold(preferences, "t", hours, now, expires_at)


def test_who_has_said_nothing_is_told_everything() -> None:
    """No wishes, and a type without quiet hours."""
    assert opt_out(NO_PREFERENCES, "t", MIDNIGHT) is None
    assert held(NO_PREFERENCES, TypeHours()) is None
    assert read_preferences(None) is NO_PREFERENCES


@pytest.mark.parametrize(
    ("zone", "types_zone", "until"),
    [
        (BERLIN, TOKYO, "2026-11-23T06:00"),
        (None, TOKYO, None),  # it is nine in the morning in Tokyo
        (None, BERLIN, "2026-11-23T06:00"),
        (None, UTC, "2026-11-23T07:00"),
    ],
)
def test_the_zone_is_the_users_then_the_types(zone: Any, types_zone: Any, until: str | None) -> None:
    """For quiet hours and for local times alike."""
    preferences = Preferences(zone=zone, quiet_hours=(NIGHT,))
    decision = held(preferences, TypeHours(zone=types_zone))
    assert (None if decision is None else decision.until) == (None if until is None else utc(until))
    local = datetime(2026, 11, 24, 18)
    assert due_at(local, preferences, TypeHours(zone=types_zone)) == utc("2026-11-24T18:00") - 1000 * int(
        (zone or types_zone).utcoffset(local).total_seconds()
    )


def test_quiet_hours_of_user_and_type_are_one_stretch_where_they_touch() -> None:
    """The user's until seven in Berlin, the type's from then on until nine in Berlin, by a clock in Tokyo."""
    preferences = Preferences(zone=BERLIN, quiet_hours=(NIGHT,))
    hours = TypeHours(quiet_hours=(read_quiet_hours("15:00-17:00"),), quiet_zone=TOKYO)
    assert held(preferences, hours).until == utc("2026-11-23T08:00")
    assert held(preferences, TypeHours(quiet_hours=(MORNING,))).until == utc("2026-11-23T08:00")
    assert held(preferences, hours, utc("2026-11-23T08:00")) is None


def test_a_type_that_ignores_the_users_quiet_hours_keeps_its_own() -> None:
    """Only those of the users are passed over."""
    preferences = Preferences(quiet_hours=(NIGHT,))
    assert held(preferences, TypeHours(ignores_users=True)) is None
    own = TypeHours(quiet_hours=(read_quiet_hours("00:00-01:00"),), ignores_users=True)
    assert held(preferences, own).until == MIDNIGHT + HOUR_MS


@pytest.mark.parametrize(
    ("expires_in", "hold_ms_max", "kind"),
    [
        (None, 7 * HOUR_MS, Hold),
        (None, 7 * HOUR_MS - 1, TooLong),
        (7 * HOUR_MS, 24 * HOUR_MS, TooLong),
        (7 * HOUR_MS + 1, 24 * HOUR_MS, Hold),
    ],
)
def test_it_is_held_only_as_long_as_it_is_of_use(
    expires_in: int | None, hold_ms_max: int, kind: type[Hold | TooLong]
) -> None:
    """From midnight to seven; at the very instant at which it expires it is of no use any more."""
    expires_at = None if expires_in is None else MIDNIGHT + expires_in
    decision = held(Preferences(quiet_hours=(NIGHT,)), TypeHours(hold_ms_max=hold_ms_max), MIDNIGHT, expires_at)
    assert isinstance(decision, kind)
    assert "quiet hours until 2026-11-23T07:00:00+00:00" in decision.reason


def test_who_is_always_quiet_is_never_told() -> None:
    """There is no end to wait for, however long it may be held."""
    always = Preferences(quiet_hours=(read_quiet_hours("00:00-24:00"),))
    assert isinstance(held(always, TypeHours(hold_ms_max=8 * 24 * HOUR_MS)), TooLong)


@pytest.mark.parametrize(("now", "muted"), [(99, True), (100, False), (101, False)])
def test_a_mute_ends_at_its_instant(now: int, muted: bool) -> None:
    """Not a millisecond later; an end that no calendar knows is for ever."""
    assert (opt_out(Preferences(mute_until=100), "t", now) is not None) is muted
    assert opt_out(Preferences(mute_until=2**63 - 1), "t", now) is not None


def test_a_row_is_read_as_it_was_written() -> None:
    """Every field of the contract, and a zone that is not known any more is as if none were named."""
    stretch = {"start_minute": 1320, "end_minute": 420, "days": ["MONDAY", "SUNDAY"]}
    record = {
        "user_id": "u",
        "time_zone": "Europe/Berlin",
        "locale": "de-AT",
        "opted_out": True,
        "opted_out_types": ["t"],
        "opted_out_providers": ["fcm"],
        "mute_until": 7,
        "quiet_hours": [stretch],
        "quiet_hours_by_type": {"t": [], "o": [stretch]},
    }
    night = NIGHT._replace(days=frozenset({0, 6}))
    assert read_preferences(CODEC.encode("Preferences", record)) == Preferences(
        BERLIN, "de-AT", True, frozenset({"t"}), frozenset({"fcm"}), 7, (night,), {"t": (), "o": (night,)}
    )
    assert read_preferences(CODEC.encode("Preferences", record | {"time_zone": "Gone/City"})).zone is None
    assert len(WEEKDAYS) == 7 and {"apns", "fcm", "webpush", "webhook"} == PROVIDERS


def test_the_types_file_says_what_holds(tmp_path: Path) -> None:
    """Quiet hours, their zone, the flag and the longest hold reach deliver."""
    path = tmp_path / "types.toml"
    path.write_text(
        "[types.a]\ntime_zone = 'Asia/Tokyo'\nquiet_hours = ['22:00-07:00']\nquiet_hours_zone = 'Europe/Berlin'\n"
        "hold_seconds_max = 60\n[types.b]\nignore_quiet_hours = true\n",
        encoding="utf-8",
    )
    policies = deliver_policies(NotificationTypes.load(path), "Europe/Berlin")
    first, second = policies("a"), policies("b")
    assert first is not None and second is not None
    assert first.hours == TypeHours(TOKYO, (NIGHT,), BERLIN, False, 60_000)  # type: ignore[arg-type] # both are zones
    assert second.hours == TypeHours(BERLIN, (), None, True, 86_400_000)  # type: ignore[arg-type] # both are zones
