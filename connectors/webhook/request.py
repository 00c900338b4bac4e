"""Push → request, by Standard Webhooks, "Payload". Pure."""

from __future__ import annotations

from connectors.http.endpoint import Endpoint, parse_endpoint
from connectors.json_text import compact_json
from connectors.outcome import NotSent, Push

# "Usually smaller than 20kb".
PAYLOAD_BYTES_MAX = 20_000
STAYING_FIELDS = (("content-type", "application/json"), ("user-agent", "ringonce"))


def build_request(push: Push, now: float) -> tuple[Endpoint, bytes] | NotSent:
    """Where to and what, for one push at `now` (epoch seconds), or why there can be no request."""
    endpoint, body = parse_endpoint(push.device.address), payload(push)
    if endpoint is None:
        return NotSent("invalid_address", retry=False, gone_at_ms=int(now * 1000))
    return (endpoint, body) if len(body) <= PAYLOAD_BYTES_MAX else NotSent("payload_too_large", retry=False)


def payload(push: Push) -> bytes:
    """The JSON that the receiver gets, the same in each attempt; image and link only where there are any."""
    ids = {"notification_id": push.notification_id, "push_id": push.push_id, "device_id": push.device.device_id}
    shown = {"title": push.title, "body": push.body, "urgent": push.urgent, "data": dict(push.data)}
    addresses = {name: url for name, url in (("image", push.image), ("link", push.link)) if url is not None}
    kept = {"collapse_id": push.collapse_id, "ttl_seconds": push.ttl_seconds}
    document = {"type": push.type, "data": {**ids, **shown, **addresses, **kept}}
    return compact_json(document)
