"""What an address of a webhook looks like: the URL of its receiver. Pure.

A name is not resolved here, so it may still lead to a private address: the connector looks at each connection again.
"""

from __future__ import annotations

from connectors.http.endpoint import URL_CHARACTERS_MAX, is_local_host, parse_endpoint
from connectors.outcome import Device


def fault(device: Device, *, allow_private: bool) -> str | None:
    """What is wrong with the address, as a sentence that begins with the field; None: nothing that can be seen."""
    endpoint = parse_endpoint(device.address)
    if endpoint is None:
        return (
            f"address: must be the https URL of a receiver, at most {URL_CHARACTERS_MAX} characters, "
            "without a user or a password"
        )
    if not allow_private and is_local_host(endpoint.host):
        return f"address: {endpoint.host} is not on the public internet, and private endpoints are not allowed here"
    return None
