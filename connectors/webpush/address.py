"""What an address of Web Push looks like: an endpoint and the keys of the subscription. Pure.

A name is not resolved here, so it may still lead to a private address: the connector looks at each connection again.
"""

from __future__ import annotations

from connectors.credentials import from_base64url
from connectors.http.endpoint import URL_CHARACTERS_MAX, is_local_host, parse_endpoint
from connectors.outcome import Device
from connectors.webpush.encryption import SubscriptionKeyError, receiver_key


def fault(device: Device, *, allow_private: bool) -> str | None:
    """What is wrong with the address, as a sentence that begins with the field; None: nothing that can be seen."""
    endpoint = parse_endpoint(device.address)
    if endpoint is None:
        return (
            "address: must be the endpoint of a Web Push subscription, an https URL of at most "
            f"{URL_CHARACTERS_MAX} characters"
        )
    if not allow_private and is_local_host(endpoint.host):
        return f"address: {endpoint.host} is not on the public internet, and private endpoints are not allowed here"
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
