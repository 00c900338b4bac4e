"""How APNs refuses: a status, an apns-id, and a JSON body with the reason."""

from __future__ import annotations

import uuid

from connectors.simulators.exchange import json_response
from connectors.simulators.provider import RefusedError


def refuse(
    status: int,
    reason: str,
    apns_id: str | None = None,
    *,
    timestamp: int | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> RefusedError:
    """The refusal with `reason`; `timestamp` in milliseconds since the epoch belongs to Unregistered.

    Without a usable `apns_id` the service makes one up, as it does for accepted pushes.
    """
    body: dict[str, str | int] = {"reason": reason}
    if timestamp is not None:
        body["timestamp"] = timestamp
    identity = apns_id or str(uuid.uuid4()).upper()
    return RefusedError(reason, json_response(status, body, (b"apns-id", identity.encode()), *headers))
