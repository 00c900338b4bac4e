"""What would happen to a notification that was admitted now: read on the worker that has its user's partition."""

from __future__ import annotations

import time

from connectors.outcome import Device, service_of
from streams.policies import capping
from streams.policies.capping import Capped
from streams.policies.foreseeing import Outlook, Recipient, foresee
from streams.policies.profiles import with_profile
from streams.stages.cap_rows import cap_key, read_cap_row
from streams.stages.deliver import DeliverLane
from streams.stages.deliver_types import DeliverPolicy
from streams.stages.delivery_rows import devices_key, read_devices
from streams.stages.directory_rows import preferences_key, profile_key, read_preferences, read_profile

UNKNOWN_TYPE = Outlook("UNKNOWN_TYPE", "one sent now would end on the dead letters: the types file has no such type")


def outlook_of(lane: DeliverLane, user: bytes, kind: str) -> Outlook:
    """Say what would happen to one of this type, by what the lane knows of its user."""
    settings, now = lane.settings, time.time_ns() // 1_000_000
    policy = settings.policy_of(kind)
    if policy is None:
        return UNKNOWN_TYPE
    return foresee(kind, _recipient(lane, user, kind, policy, now), policy.hours, now)


def _recipient(lane: DeliverLane, user: bytes, kind: str, policy: DeliverPolicy, now: int) -> Recipient:
    settings, tables = lane.settings, lane.tables
    keys = [devices_key(user), preferences_key(user), profile_key(user)]
    devices_row, preferences_row, profile_row = tables.directory.read(lane.partition, keys)
    wishes = read_preferences(preferences_row)
    if profile_row is not None and policy.profile.need != "none":
        wishes = with_profile(wishes, read_profile(profile_row))
    devices = read_devices(devices_row)
    if policy.newest_device and devices:
        allowed = [each for each in devices if each.provider.value not in wishes.opted_out_providers]
        devices = [max(allowed or devices, key=lambda each: each.registered_at_ms)]
    (cap_row,) = tables.deliveries.read(lane.partition, [cap_key(user)])
    room = capping.decide(
        [] if cap_row is None else read_cap_row(cap_row).places,
        Capped(kind, "", now),
        False,
        policy.cap,
        now,
        settings.caps,
        settings.skew_ms,
        None,
        policy.hours.hold_ms_max,
    )
    is_missing = policy.profile.need == "required" and profile_row is None and settings.profiles is None
    return Recipient(
        frozenset(each.provider.value for each in devices),
        wishes,
        room if settings.caps else capping.Go(),
        _shut_until(lane, [each for each in devices if each.provider.value not in wishes.opted_out_providers], now),
        is_missing,
    )


def _shut_until(lane: DeliverLane, devices: list[Device], now: int) -> int | None:
    """Until when all services of these devices are left alone; None: not all are."""
    known = {service.name: service.breaker for service in lane.settings.services.all()}
    breakers = [known.get(service_of(device)) for device in devices]
    untils = [each.open_until for each in breakers if each is not None and each.is_open(now)]
    return max(untils) if untils and len(untils) == len(devices) else None
