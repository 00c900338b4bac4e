"""What a user's profile gives to the texts, and what is done where there is none. Pure.

    a record on `profiles`, or the user service knows the user   → used
    the user has none                                            → sent without it; DEAD where the type requires it
    the user service's answer is of no use                       → by `on_missing` of the type, at once
    the user service does not answer                             → later, until the wait is over; then by `on_missing`

The wait runs from the admission, so that it is the same whoever owns the partition, and ends where half of the time
until `send_by` is over: the other half is for the push.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from streams.policies.preferences import NO_PREFERENCES, Preferences

# A push carries 4 KiB, so what is longer than this was never meant for texts; it bounds what caches hold.
PROFILE_BYTES_MAX = 16_384
FIELD_NAME_BYTES_MAX = 64
PAUSE_MS_MIN = 1_000
PAUSE_MS_MAX = 30_000
STANDARD_FIELDS = ("name", "locale", "time_zone")

_LOCALE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,8}\Z")
_KINDS = {bool: "true or false", list: "a list", dict: "an object"}


class Profile(NamedTuple):
    """What is known of a user. `values` are for templates, each under its name, the standard fields among them."""

    values: Mapping[str, str] = MappingProxyType({})
    locale: str | None = None
    zone: tzinfo | None = None


NO_PROFILE = Profile()


class NotFound(NamedTuple):
    """It is certain that the user has none."""

    reason: str


class Unusable(NamedTuple):
    """The user service answered, and asking again would change nothing."""

    reason: str


class Unavailable(NamedTuple):
    """Nobody knows. `again_ms`: not worth asking before so long; `at_once`: another request may well succeed."""

    reason: str
    again_ms: int = 0
    at_once: bool = False


Lookup = Profile | NotFound | Unusable | Unavailable

NO_RECORD = NotFound("the user has no record on the topic of profiles")


class ProfilePolicy(NamedTuple):
    """What a type wants. `on_missing`: what is done when nobody can say whether the user has a profile."""

    need: Literal["none", "optional", "required"] = "optional"
    on_missing: Literal["fallback", "dead"] = "fallback"
    wait_ms: int = 30_000


NEEDS_NONE = ProfilePolicy("none")


class Delay(NamedTuple):
    """Look again at this instant."""

    until: int
    reason: str


class Lacking(NamedTuple):
    """It is not sent without a profile, and there is none."""

    reason: str


def wait_until(policy: ProfilePolicy, admitted_at: int, send_by: int) -> int:
    """When the wait for a user service that does not answer is over, milliseconds since the epoch."""
    return admitted_at + min(policy.wait_ms, (send_by - admitted_at) // 2)


def decide(
    found: Lookup, policy: ProfilePolicy, now: int, admitted_at: int, send_by: int, chance: float
) -> Profile | Delay | Lacking:
    """Decide with which profile it is sent, if it is. `chance` is drawn uniformly from [0, 1) by the caller."""
    match found:
        case Profile():
            return found
        case NotFound(reason):
            return Lacking(reason) if policy.need == "required" else NO_PROFILE
        case Unusable(reason):
            pass
        case Unavailable(reason, again_ms):
            end = wait_until(policy, admitted_at, send_by)
            if now < end:
                # Longer with each time, and spread, so that a service that is back is not met by all at once.
                pause = min(PAUSE_MS_MAX, max(PAUSE_MS_MIN, again_ms, (now - admitted_at) // 2))
                return Delay(min(end, now + pause + int(pause * chance)), reason)
    return Lacking(reason) if policy.on_missing == "dead" else NO_PROFILE


def with_profile(preferences: Preferences, profile: Profile) -> Preferences:
    """The preferences of a user, with the zone and the locale of the profile where they name none themselves."""
    if preferences is NO_PREFERENCES:
        return _without_preferences(profile.zone, profile.locale)
    zone, locale = preferences.zone or profile.zone, preferences.locale or profile.locale
    if zone is preferences.zone and locale is preferences.locale:
        return preferences
    return preferences._replace(zone=zone, locale=locale)


@lru_cache(maxsize=1_024)
def _without_preferences(zone: tzinfo | None, locale: str | None) -> Preferences:
    """Most users have no preferences, and those of one country share these."""
    return NO_PREFERENCES if zone is None and locale is None else Preferences(zone=zone, locale=locale)


def profile_of(
    fields: Mapping[str, str], name: str | None, locale: str | None, time_zone: str | None, zone: tzinfo | None
) -> Profile:
    """Return a profile of what was checked before; `zone` is that of the name."""
    values = dict(fields)
    for field, value in zip(STANDARD_FIELDS, (name, locale, time_zone), strict=True):
        if value is not None:
            values[field] = value
    return Profile(values, locale, zone)


def new_profile(
    fields: Mapping[str, str],
    name: str | None,
    locale: str | None,
    time_zone: str | None,
    zone_named: Callable[[str], tzinfo | None],
) -> Profile:
    """Return a profile. Raises ValueError with a sentence that names the field."""
    zone = None if time_zone is None else zone_named(time_zone)
    if time_zone is not None and zone is None:
        raise ValueError(f"time_zone: there is no zone {time_zone[:100]!r}")
    if locale is not None and not _LOCALE.match(locale):
        raise ValueError(f"locale: {locale[:40]!r} is no language tag, such as de-AT")
    profile, size = profile_of(fields, name, locale, time_zone, zone), 0
    for field, value in profile.values.items():
        try:
            name_size = len(field.encode())
            size += name_size + len(value.encode())
        except UnicodeEncodeError as error:
            raise ValueError(f"{field[:FIELD_NAME_BYTES_MAX]!r}: is not UTF-8: {error.reason}") from None
        if not 0 < name_size <= FIELD_NAME_BYTES_MAX:
            raise ValueError(f"the name of a field has 1 to {FIELD_NAME_BYTES_MAX} bytes, not {name_size}")
    if size > PROFILE_BYTES_MAX:
        raise ValueError(f"names and values of its fields have {size:,} bytes together, at most {PROFILE_BYTES_MAX:,}")
    return profile


def _refuse_constant(text: str) -> str:
    raise ValueError(f"{text} is no JSON")


def read_document(body: bytes, zone_named: Callable[[str], tzinfo | None]) -> Profile:
    """Read what a user service says of a user: a JSON object of texts and numbers; null is as if it were not there.

    Numbers stay as they are written: 1.10 is not 1.1. Raises ValueError with a sentence that names the field.
    """
    try:
        document = json.loads(body, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or type(error).__name__
        raise ValueError(f"the body is not JSON ({reason})") from None
    if not isinstance(document, dict):
        raise ValueError("the body is not a JSON object")
    fields: dict[str, str] = {}
    for field, value in document.items():
        if isinstance(value, str):
            fields[field] = value
        elif value is not None:
            raise ValueError(f"{field[:FIELD_NAME_BYTES_MAX]!r} is {_KINDS[type(value)]}, not a text or a number")
    name, locale, time_zone = (fields.pop(field, None) for field in STANDARD_FIELDS)
    return new_profile(fields, name, locale, time_zone, zone_named)
