"""Whether an address is one that its provider could have given out: asked when a device is registered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from connectors.apns import address as apns
from connectors.fcm import address as fcm
from connectors.http.endpoint import endpoint_fault
from connectors.outcome import Device, ProviderName
from connectors.webpush import address as webpush


class Rule(Protocol):
    """Says what is wrong with the address of a device, in a sentence that begins with the field; None: nothing."""

    def __call__(self, device: Device, *, allow_private: bool) -> str | None: ...


def _webhook_fault(device: Device, *, allow_private: bool) -> str | None:
    what = "that of a receiver without a user or a password"
    return endpoint_fault(device.address, what, allow_private=allow_private)


_RULES: Final[Mapping[ProviderName, Rule]] = {
    ProviderName.APNS: apns.fault,
    ProviderName.FCM: fcm.fault,
    ProviderName.WEBPUSH: webpush.fault,
    ProviderName.WEBHOOK: _webhook_fault,
}


def address_fault(device: Device, *, allow_private: bool) -> str | None:
    """Say what is wrong with the address of a device. `allow_private`: URLs may lead into our own network."""
    rule = _RULES.get(device.provider)
    return None if rule is None else rule(device, allow_private=allow_private)
