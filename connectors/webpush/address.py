"""What an address of Web Push looks like: an endpoint and the keys of the subscription. Pure.

A name is not resolved here, so it may still lead to a private address: the connector looks at each connection again.
"""

from __future__ import annotations

from connectors.credentials import from_base64url
from connectors.http.endpoint import endpoint_fault
from connectors.outcome import Device
from connectors.webpush.encryption import SubscriptionKeyError, receiver_key


def fault(device: Device, *, allow_private: bool) -> str | None:
    """What is wrong with the address, as a sentence that begins with the field; None: nothing that can be seen."""
    wrong = endpoint_fault(device.address, "the endpoint of a Web Push subscription", allow_private=allow_private)
    if wrong is not None:
        return wrong
    for name, text in (("p256dh", device.p256dh), ("auth", device.auth)):
        if not text:
            return f"{name}: must be given, it is part of a Web Push subscription"
    try:
        receiver_key(_decoded("p256dh", device.p256dh), _decoded("auth", device.auth))
    except SubscriptionKeyError as error:
        return str(error)
    return None


def _decoded(name: str, text: str | None) -> bytes:
    try:
        return from_base64url(text or "")
    except ValueError:
        raise SubscriptionKeyError(f"{name}: must be base64url") from None
