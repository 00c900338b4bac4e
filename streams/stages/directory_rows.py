"""What the directory keeps of each user: devices, preferences and profile, checked when they arrive, read for each
push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from connectors.outcome import ProviderName
from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.poison import PoisonError
from streams.lane.chunk import Record
from streams.policies.preferences import NO_PREFERENCES, Preferences
from streams.policies.profiles import Profile, new_profile, profile_of
from streams.policies.quiet_hours import QuietHours, checked
from streams.policies.registering import distinct
from streams.stages.dead_letters import VALUE_BYTES_MAX
from streams.stages.delivery_rows import devices_of, write_devices
from streams.stages.device_change import check_device_id
from streams.time_zones import zone_named

PREFERENCES_PREFIX = b"p"
PROFILE_PREFIX = b"f"
PREFERENCES_CACHED = 10_000  # of one worker's users, those who are told something most often
PROFILES_CACHED = 5_000  # each may have 16 KiB
STRETCHES_MAX = 100  # three a day for each day of four weeks; more is a mistake, and would be walked for each push
WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
PROVIDERS = frozenset(provider.value for provider in ProviderName)

RowName = Literal["Devices", "Preferences", "Profile"]

_codec = Codec()


def directory_row(record: Record, codec: Codec, name: RowName) -> bytes | None:
    """Return what is kept of a record of one of their topics, None: nothing any more. Raises PoisonError.

    A row is always in single-object encoding, so that reading it asks no registry.
    """
    if record.key is None:
        raise PoisonError("NO_KEY", "the record has no key; it must be the user_id")
    if record.value is None:
        return None
    if len(record.value) > VALUE_BYTES_MAX:
        raise PoisonError("TOO_LARGE", f"{len(record.value)} bytes, at most {VALUE_BYTES_MAX} are kept of a user")
    body = codec.decode(record.value, (name,)).record
    if body["user_id"].encode() != record.key:
        raise PoisonError("KEY_MISMATCH", f"the key {record.key!r} is not the user_id {body['user_id']!r}")
    if name == "Preferences":
        check_preferences(body)
    elif name == "Profile":
        check_profile(body)
    else:
        check_devices(body["devices"])
        if names_one_twice(body["devices"]):
            return write_devices(body["user_id"], distinct(devices_of(body)))
    return record.value if record.value.startswith(CONTRACTS[name].header) else _codec.encode(name, body)


def check_devices(devices: Sequence[Mapping[str, Any]]) -> None:
    """Raise PoisonError INVALID_FIELD for a device that cannot be."""
    for number, device in enumerate(devices):
        try:
            check_device_id(device["device_id"])
        except PoisonError as error:
            raise PoisonError(error.code, f"devices[{number}].{error.reason}") from None
        if not device["address"]:
            raise PoisonError("INVALID_FIELD", f"devices[{number}].address: must not be empty")


def names_one_twice(devices: Sequence[Mapping[str, Any]]) -> bool:
    """Whether two devices have the same id, or the same address."""
    if len(devices) < 2:
        return False
    ids = {device["device_id"] for device in devices}
    return len(ids) < len(devices) or len({(each["provider"], each["address"]) for each in devices}) < len(devices)


def check_preferences(preferences: Mapping[str, Any]) -> None:
    """Raise PoisonError INVALID_FIELD for a zone, a provider or quiet hours that cannot be."""
    zone = preferences["time_zone"]
    if zone is not None and zone_named(zone) is None:
        raise PoisonError("INVALID_FIELD", f"time_zone: there is no zone {zone[:100]!r}")
    for provider in preferences["opted_out_providers"]:
        if provider not in PROVIDERS:
            known = ", ".join(sorted(PROVIDERS))
            raise PoisonError("INVALID_FIELD", f"opted_out_providers: {provider[:100]!r} is none of {known}")
    for name, stretches in (
        ("quiet_hours", preferences["quiet_hours"]),
        *preferences["quiet_hours_by_type"].items(),
    ):
        if len(stretches) > STRETCHES_MAX:
            raise PoisonError("INVALID_FIELD", f"{name[:100]}: {len(stretches)} stretches, at most {STRETCHES_MAX}")
        try:
            for stretch in stretches:
                _stretch(stretch)
        except ValueError as error:
            raise PoisonError("INVALID_FIELD", f"{name[:100]}: {error}") from None


def check_profile(profile: Mapping[str, Any]) -> None:
    """Raise PoisonError INVALID_FIELD for a zone or a locale that cannot be, or more than texts have use for."""
    try:
        new_profile(profile["fields"], profile["name"], profile["locale"], profile["time_zone"], zone_named)
    except ValueError as error:
        raise PoisonError("INVALID_FIELD", str(error)) from None


def preferences_key(user: bytes) -> bytes:
    """Return the key of a user's preferences."""
    return PREFERENCES_PREFIX + user


def read_preferences(row: bytes | None) -> Preferences:
    """Read a user's preferences; who has none is told everything."""
    return NO_PREFERENCES if row is None else _read(row)


@lru_cache(maxsize=PREFERENCES_CACHED)
def _read(row: bytes) -> Preferences:
    record = _codec.decode_own(row, "Preferences")
    return Preferences(
        # A zone that a later edition of the database has dropped is as if none were named.
        zone=None if record["time_zone"] is None else zone_named(record["time_zone"]),
        locale=record["locale"],
        opted_out=record["opted_out"],
        opted_out_types=frozenset(record["opted_out_types"]),
        opted_out_providers=frozenset(record["opted_out_providers"]),
        mute_until=record["mute_until"],
        quiet_hours=tuple(map(_stretch, record["quiet_hours"])),
        quiet_hours_by_type={
            name: tuple(map(_stretch, stretches)) for name, stretches in record["quiet_hours_by_type"].items()
        },
    )


def profile_key(user: bytes) -> bytes:
    """Return the key of a user's profile."""
    return PROFILE_PREFIX + user


@lru_cache(maxsize=PROFILES_CACHED)
def read_profile(row: bytes) -> Profile:
    """Read a user's profile."""
    record = _codec.decode_own(row, "Profile")
    time_zone = record["time_zone"]
    # As with preferences, a zone that was dropped since is none.
    zone = None if time_zone is None else zone_named(time_zone)
    return profile_of(record["fields"], record["name"], record["locale"], time_zone, zone)


def _stretch(stretch: Mapping[str, Any]) -> QuietHours:
    days = frozenset(WEEKDAYS.index(day) for day in stretch["days"])
    return checked(stretch["start_minute"], stretch["end_minute"], days)
