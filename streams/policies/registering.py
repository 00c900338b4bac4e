"""Which devices a user has after one is registered or removed, or after its provider has reported it as gone. Pure.

    unknown --register--> known     where there are too many, the one registered first gives way
    known ---register---> known     in place, unless what is known is newer
    known ---remove-----> unknown   unless it was registered long after the removal was asked for
    known ---gone-------> unknown   unless it was registered again since

A device is known by its id, and by its address: an address that comes under another id is the same one, not two, or a
notification would be shown twice. Instants in milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from connectors.outcome import Device, ProviderName

# A removal that is older than the registration by more than this was read again, or is of a past life of the device.
# Far more than two clocks differ, and far less than anybody keeps a request for.
REMOVAL_OLD_MS = 60_000

Change = Literal["registered", "refreshed", "removed", "gone"]


class Changed(NamedTuple):
    """The devices that the user has now, and what happened to the one in question. `given_way`: to make room for it."""

    devices: list[Device]
    change: Change
    given_way: int = 0


class Unchanged(NamedTuple):
    """Nothing happened."""

    reason: str


def register(known: Sequence[Device], device: Device, devices_max: int) -> Changed | Unchanged:
    """Register a device, say again that it is there, or give it another address."""
    same = [each for each in known if _is_same(each, device)]
    if any(each.registered_at_ms > device.registered_at_ms for each in same):
        return Unchanged("what is known of it is newer")
    if same == [device]:
        return Unchanged("it is known so already")
    if same:
        return Changed([device if each is same[0] else each for each in known if each not in same[1:]], "refreshed")
    kept = _newest([*known, device], devices_max)
    if device not in kept:
        return Unchanged(f"the user has {len(known)} devices that were registered later, {devices_max} are kept")
    return Changed(kept, "registered", len(known) + 1 - len(kept))


def remove(known: Sequence[Device], device_id: str, asked_at: int, now: int) -> Changed | Unchanged:
    """Remove a device, whatever its address."""
    device = next((each for each in known if each.device_id == device_id), None)
    if device is None:
        return Unchanged("it is not known")
    if min(device.registered_at_ms, now) > asked_at + REMOVAL_OLD_MS:
        return Unchanged("it was registered long after this was asked for")
    return Changed([each for each in known if each is not device], "removed")


def remove_gone(
    known: Sequence[Device], provider: ProviderName, address: str, gone_at: int, sent_as_of: int
) -> Changed | Unchanged:
    """Remove an address that its provider no longer knows since `gone_at`.

    `sent_as_of`: when the registration was made that the push was sent to. A later one came while it was under way, and
    the answer is not about that.
    """
    device = next((each for each in known if each.provider is provider and each.address == address), None)
    if device is None:
        return Unchanged("its address is not known any more")
    if device.registered_at_ms > min(gone_at, sent_as_of):
        return Unchanged("its address was registered again since")
    return Changed([each for each in known if each is not device], "gone")


def distinct(devices: Sequence[Device]) -> list[Device]:
    """Return each device once, also where a whole record names one twice: of those that are the same, the newest."""
    ids: set[str] = set()
    addresses: set[tuple[ProviderName, str]] = set()
    kept: set[int] = set()
    for number, device in sorted(enumerate(devices), key=lambda each: -each[1].registered_at_ms):
        address = (device.provider, device.address)
        if device.device_id not in ids and address not in addresses:
            ids.add(device.device_id)
            addresses.add(address)
            kept.add(number)
    return [device for number, device in enumerate(devices) if number in kept]


def _is_same(one: Device, other: Device) -> bool:
    return one.device_id == other.device_id or (one.provider is other.provider and one.address == other.address)


def _newest(devices: Sequence[Device], count: int) -> list[Device]:
    """Return so many at most, those registered last, in their order."""
    if len(devices) <= count:
        return list(devices)
    order = sorted(range(len(devices)), key=lambda number: (devices[number].registered_at_ms, number))
    kept = set(order[len(devices) - count :])
    return [device for number, device in enumerate(devices) if number in kept]
