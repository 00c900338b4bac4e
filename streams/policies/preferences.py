"""What a user wants and what a type asks for: is a notification sent now, held until quiet hours end, or not sent?

Asked at the last moment before the claim, so that what a user has just said counts. Pure.

    opted out of everything, of the type, of each provider; muted  → not sent, the slot is free
    quiet hours of the user, of the type                           → held, the slot is free until it contends anew
    quiet hours that last longer than it is of use                 → expired, the slot is free
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import NamedTuple

from streams.policies.local_time import instant_of, iso_at
from streams.policies.quiet_hours import AHEAD_MS_MAX, DAY_MS, QuietHours, quiet_until


class Preferences(NamedTuple):
    """What one user wants; the fields of schemas/avsc/preferences.avsc. Instants in milliseconds since the epoch."""

    zone: tzinfo | None = None
    locale: str | None = None
    opted_out: bool = False
    opted_out_types: frozenset[str] = frozenset()
    opted_out_providers: frozenset[str] = frozenset()
    mute_until: int | None = None
    quiet_hours: tuple[QuietHours, ...] = ()
    quiet_hours_by_type: Mapping[str, tuple[QuietHours, ...]] = MappingProxyType({})


NO_PREFERENCES = Preferences()


class TypeHours(NamedTuple):
    """What a type says of local time.

    `zone`: of users who name none. `quiet_hours` are its own, beside the user's; `quiet_zone` is theirs, None: that of
    the user. `ignores_users`: those of the user do not hold it. `hold_ms_max`: for longer it is not held.
    """

    zone: tzinfo = UTC
    quiet_hours: tuple[QuietHours, ...] = ()
    quiet_zone: tzinfo | None = None
    ignores_users: bool = False
    hold_ms_max: int = DAY_MS


class Hold(NamedTuple):
    """Not now: quiet hours end at `until`."""

    until: int
    reason: str


class TooLong(NamedTuple):
    """Not at all: when the quiet hours end, it is of no use any more."""

    reason: str


def zone_of(preferences: Preferences, hours: TypeHours) -> tzinfo:
    """The zone that a user lives by, as far as it is known."""
    return preferences.zone or hours.zone


def due_at(local: datetime, preferences: Preferences, hours: TypeHours) -> int:
    """The instant of a local time in the user's zone, milliseconds since the epoch."""
    return instant_of(local, zone_of(preferences, hours))


def opt_out(preferences: Preferences, kind: str, now: int) -> str | None:
    """Why the user wants no notification of this type now; None: nothing is known against it."""
    if preferences is NO_PREFERENCES:
        return None
    if preferences.opted_out:
        return "the user has opted out of everything"
    if kind in preferences.opted_out_types:
        return "the user has opted out of this type"
    if preferences.mute_until is not None and preferences.mute_until > now:
        return f"the user is muted until {iso_at(preferences.mute_until, UTC)}"
    return None


def hold(
    preferences: Preferences, kind: str, hours: TypeHours, now: int, expires_at: int | None
) -> Hold | TooLong | None:
    """Whether quiet hours hold it now. Instants in milliseconds since the epoch."""
    users: tuple[QuietHours, ...] = ()
    if preferences is not NO_PREFERENCES and not hours.ignores_users:
        users = preferences.quiet_hours_by_type.get(kind, preferences.quiet_hours)
    if not users and not hours.quiet_hours:
        return None
    zone = zone_of(preferences, hours)
    until = _until(now, ((zone, users), (hours.quiet_zone or zone, hours.quiet_hours)))
    if until is None:
        return None
    reason = f"quiet hours until {iso_at(until, zone)}"
    if expires_at is not None and expires_at <= until:
        return TooLong(f"{reason}, and of no use after {iso_at(expires_at, zone)}")
    if until - now > hours.hold_ms_max:
        return TooLong(f"{reason}, and held for at most {hours.hold_ms_max // 1000} s")
    return Hold(until, reason)


def _until(now: int, calendars: tuple[tuple[tzinfo, tuple[QuietHours, ...]], ...]) -> int | None:
    """When it is quiet in none of the calendars any more, None: it is quiet in none of them now."""
    end, before = now, None
    while end != before and end - now <= AHEAD_MS_MAX:
        before = end
        for zone, stretches in calendars:
            if stretches:
                end = quiet_until(end, zone, stretches) or end
    return end if end > now else None
