"""Reads what is asked of one device, and refuses what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from schemas.keys import check_user_id
from schemas.poison import PoisonError
from streams.lane.chunk import Record

DEVICE_ID_BYTES_MAX = 128
REQUEST_BYTES_MAX = 128
ADDRESS_BYTES_MAX = 4_096  # no provider has longer ones; WNS endpoints have about 700
KEY_BYTES_MAX = 512


class DeviceChange(NamedTuple):
    """What is asked for: to register `device`, or to remove the one of this id where that is None.

    `source`: who asked, for people. Instants in milliseconds since the epoch.
    """

    user: bytes
    device_id: str
    device: Device | None
    asked_at: int
    source: str


def read_device_change(record: Record, codec: Codec, now: int) -> DeviceChange:
    """Read a record of `device-changes`. Raises PoisonError."""
    if record.key is None:
        raise PoisonError("NO_KEY", "the record has no key; it must be the user_id")
    body = codec.decode(record.value, ("DeviceChange",)).record
    if body["user_id"].encode() != record.key:
        raise PoisonError("KEY_MISMATCH", f"the key {record.key!r} is not the user_id {body['user_id']!r}")
    check_user_id(record.key)
    check_device_id(body["device_id"])
    check_request(body["request_id"], body["requested_by"])
    source = f"request {body['request_id']} of {body['requested_by']}"
    device = None if body["action"] == "REMOVE" else _device(body, now)
    # A clock that is ahead, or a producer that gives no time, must not keep a device that is to go.
    asked_at = max(body["requested_at"], record.timestamp)
    return DeviceChange(record.key, body["device_id"], device, asked_at, source)


def _device(body: Mapping[str, Any], now: int) -> Device:
    provider = provider_named("provider", body["provider"] or "")
    address = body["address"] or ""
    if not address:
        raise PoisonError("INVALID_FIELD", "address: must be given to register a device")
    _check_size("address", address, ADDRESS_BYTES_MAX)
    for name in ("p256dh", "auth"):
        _check_size(name, body[name] or "", KEY_BYTES_MAX)
    registered_at = body["requested_at"] if body["registered_at"] is None else body["registered_at"]
    # Nothing is registered later than it is asked for: a time in the future would outlive every later word on it.
    registered_at = min(registered_at, body["requested_at"], now)
    return Device(body["device_id"], provider, address, body["p256dh"], body["auth"], registered_at)


def check_device_id(device_id: str) -> None:
    """Raise PoisonError INVALID_FIELD unless it is 1 to 128 bytes that can be printed."""
    if not device_id.isprintable():
        raise PoisonError("INVALID_FIELD", f"device_id: {device_id[:200]!r} has characters that cannot be printed")
    size = len(device_id.encode())
    if not 0 < size <= DEVICE_ID_BYTES_MAX:
        raise PoisonError("INVALID_FIELD", f"device_id: has {size} bytes, must have 1 to {DEVICE_ID_BYTES_MAX}")


def check_request(request_id: str, requested_by: str) -> None:
    """Raise PoisonError INVALID_FIELD for words of who asks that are too long."""
    for name, text in (("request_id", request_id), ("requested_by", requested_by)):
        _check_size(name, text, REQUEST_BYTES_MAX)


def provider_named(field: str, name: str) -> ProviderName:
    """Return the provider of this name. Raises PoisonError INVALID_FIELD."""
    try:
        return ProviderName(name)
    except ValueError:
        known = ", ".join(sorted(ProviderName))
        raise PoisonError("INVALID_FIELD", f"{field}: {name[:100]!r} is none of {known}") from None


def _check_size(field: str, text: str, size_max: int) -> None:
    if len(text.encode()) > size_max:
        raise PoisonError("INVALID_FIELD", f"{field}: has {len(text.encode())} bytes, must have at most {size_max}")
