"""The pushes that deliver and the bare connector are given: as many users, each with one device and one notification.

No two share a user, because one notification of a user is under way at a time; so nothing but the machine bounds how
many are in flight.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from connectors.outcome import Device, ProviderName, Push
from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.policies.identity import collapse_id, push_id
from streams.policies.rendering import RenderFailed, Text, Values, render
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes
from tests.benchmarks.workload import Event, Workload

TYPE: Final = "order_ready"
DEVICE_ID: Final = "phone"
REGISTERED_AT: Final = 1_750_000_000_000
SEND_WITHIN_MS: Final = 3_600_000  # longer than any run


@dataclass(frozen=True, slots=True)
class Target:
    """One notification for the one device of its user. `mark`: what the provider tells it by."""

    user: str
    slot: bytes
    notification_id: str
    data: dict[str, str]
    device: Device
    mark: str


def order_data(number: int) -> dict[str, str]:
    """What the sample's title and body name."""
    return {"name": f"Customer {number % 1000}", "order": f"A-{number:08d}"}


def make_targets(
    count: int,
    provider: ProviderName,
    addresses: Sequence[Any],
    name: str,
    data_of: Callable[[int], dict[str, str]] = order_data,
) -> list[Target]:
    """So many targets, at the first addresses. `name` keeps their users apart from those of other calls. `data_of`
    gives the values of the n-th."""
    chance = random.Random(name)
    targets = []
    for number, address in zip(range(count), addresses, strict=False):
        user, device = f"{name}-{number:07d}", _device(provider, address)
        targets.append(_target(user, data_of(number), device, chance))
    assert len(targets) == count, "there is an address for each"
    return targets


def another_for(targets: Sequence[Target], name: str) -> list[Target]:
    """A further notification for each of these users; `name` keeps its id apart from those of other calls."""
    chance = random.Random(name)
    return [_target(target.user, target.data, target.device, chance) for target in targets]


def _target(user: str, data: dict[str, str], device: Device, chance: random.Random) -> Target:
    notification_id, slot = str(uuid.UUID(int=chance.getrandbits(128), version=4)), slot_key(user, TYPE)
    mark = push_id(slot, notification_id, DEVICE_ID)
    if device.provider is ProviderName.WEBPUSH:
        mark = urlsplit(device.address).path
    return Target(user, slot, notification_id, data, device, mark)


def _device(provider: ProviderName, address: Any) -> Device:
    if provider is ProviderName.WEBPUSH:
        return Device(DEVICE_ID, provider, address["endpoint"], address["p256dh"], address["auth"], REGISTERED_AT)
    return Device(DEVICE_ID, provider, address, registered_at_ms=REGISTERED_AT)


def workload_of(
    targets: Sequence[Target], partitions: int, record_of: Callable[[Target, int], tuple[int, Event]]
) -> Workload:
    """What `record_of` makes of each target and the time now, by the partition that it says."""
    now = time.time_ns() // 1_000_000
    events: list[list[Event]] = [[] for _ in range(partitions)]
    for target in targets:
        partition, event = record_of(target, now)
        events[partition].append(event)
    return Workload(events)


def outbox_record(codec: Codec, target: Target, partitions: int, now: int) -> Event:
    """The record of one target; its key is the user."""
    delivery = {
        "admitted_at": now,
        "send_by": now + SEND_WITHIN_MS,
        "attempt": 1,
        "devices": [],
        "origin_partition": partition_of(target.slot, partitions),
        "origin_offset": 0,
        "notification": {
            "notification_id": target.notification_id,
            "user_id": target.user,
            "type": TYPE,
            "created_at": now,
            "data": target.data,
        },
    }
    return Event(target.user.encode(), target.notification_id, codec.encode("Delivery", delivery))


def devices_of(targets: Sequence[Target]) -> list[tuple[bytes, bytes]]:
    """The targets' devices as records of `devices`."""
    codec = Codec()
    return [
        (
            target.user.encode(),
            codec.encode("Devices", {"user_id": target.user, "devices": [_registered(target.device)]}),
        )
        for target in targets
    ]


def _registered(device: Device) -> dict[str, Any]:
    return {
        "device_id": device.device_id,
        "provider": device.provider.value.upper(),
        "address": device.address,
        "p256dh": device.p256dh,
        "auth": device.auth,
        "registered_at": device.registered_at_ms,
    }


def push_of(target: Target, types: NotificationTypes) -> Push:
    """The push that deliver makes of a target."""
    policy = types.policy(TYPE)
    assert policy is not None, "one of the sample types"
    chosen = TemplateLibrary(types).choose(TYPE, None, target.device.provider.value)
    assert not isinstance(chosen, RenderFailed), "the types file says it"
    text = render(chosen, None, None, Values(target.user, TYPE, target.data))
    assert isinstance(text, Text), "the sample's template fits"
    return Push(
        push_id=push_id(target.slot, target.notification_id, DEVICE_ID),
        notification_id=target.notification_id,
        type=TYPE,
        device=target.device,
        title=text.title,
        body=text.body,
        data=target.data,
        ttl_seconds=policy.ttl_seconds,
        collapse_id=collapse_id(target.slot),
        urgent=policy.urgent,
    )
