"""Rows of the tables of deliver: one for each notification with its claims, one for each user with the devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from schemas.notification import read_device_row, write_delivery_state
from streams.policies.delivering import Claim

STATE_PREFIX = b"d"
DEVICES_PREFIX = b"u"  # a bare user id could be the key under which the store keeps its changelog offset
# A row that last changed this long before an admission is of an earlier notification with the same id: far more than
# two clocks differ, far less than the day after which an id may be used again.
EARLIER_MS = 3_600_000
_PROVIDERS: dict[str, ProviderName] = {provider.value.upper(): provider for provider in ProviderName}

_codec = Codec()
_new: Final = tuple.__new__  # DeliveryState(...) costs 0.2 µs more.


class DeliveryState(NamedTuple):
    """What is known of one admission of a notification: held back by quiet hours, it is admitted anew.

    `concluded`: it has ended; while a further attempt is scheduled, `attempt` is the count of that one.
    """

    attempt: int
    concluded: bool
    at: int
    claims: dict[str, Claim]
    admitted_at: int = 0

    @property
    def concluded_attempt(self) -> int:
        """The latest attempt for which nothing more is to be done, 0: none."""
        return self.attempt if self.concluded else self.attempt - 1


NO_STATE = DeliveryState(0, True, 0, {})


def first_state(admitted_at: int) -> DeliveryState:
    """Return what is known of an admission of which nothing is known yet."""
    return _new(DeliveryState, (0, True, 0, {}, admitted_at))


def state_key(slot: bytes, notification_id: str) -> bytes:
    """Return the key of a notification's row. An id may hold any byte but is last, so that no two keys are alike."""
    return STATE_PREFIX + len(slot).to_bytes(2, "big") + slot + notification_id.encode()


def earlier_claim(claim: Claim) -> str:
    """Return the name under which a claim is kept beside that of a later attempt for the same device."""
    return f"{claim.device_id}\0{claim.attempt}"


def write_state(state: DeliveryState) -> bytes:
    """Write a row."""
    return write_delivery_state(state.admitted_at, state.attempt, state.concluded, state.at, state.claims.values())


def read_state(row: bytes | None) -> DeliveryState:
    """Read a row, or what is known where there is none: nothing."""
    if row is None:
        return NO_STATE
    record = _codec.decode_own(row, "DeliveryState")
    claims: dict[str, Claim] = {}
    for claim in sorted((Claim(**each) for each in record["claims"]), key=lambda claim: -claim.attempt):
        claims[earlier_claim(claim) if claim.device_id in claims else claim.device_id] = claim
    return DeliveryState(record["attempt"], record["concluded"], record["at"], claims, record["admitted_at"])


def devices_key(user: bytes) -> bytes:
    """Return the key of a user's devices."""
    return DEVICES_PREFIX + user


def read_devices(row: bytes | None) -> list[Device]:
    """Read a user's devices."""
    if row is None:
        return []
    return [
        Device(device_id, _PROVIDERS[provider], address, p256dh, auth, registered_at)
        for device_id, provider, address, p256dh, auth, registered_at in read_device_row(row)
    ]


def devices_of(record: Mapping[str, Any]) -> list[Device]:
    """Return the devices of a Devices record."""
    return [
        Device(
            device_id=device["device_id"],
            provider=_PROVIDERS[device["provider"]],
            address=device["address"],
            p256dh=device["p256dh"],
            auth=device["auth"],
            registered_at_ms=device["registered_at"],
        )
        for device in record["devices"]
    ]


def write_devices(user_id: str, devices: Sequence[Device]) -> bytes:
    """Write a user's devices."""
    listed = [
        {
            "device_id": device.device_id,
            "provider": device.provider.value.upper(),
            "address": device.address,
            "p256dh": device.p256dh,
            "auth": device.auth,
            "registered_at": device.registered_at_ms,
        }
        for device in devices
    ]
    return _codec.encode("Devices", {"user_id": user_id, "devices": listed})
