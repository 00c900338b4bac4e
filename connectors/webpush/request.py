"""Push → request, by RFC 8030 section 5. Pure but for the chance that encryption needs."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from connectors.credentials import from_base64url
from connectors.http import Fields
from connectors.http.endpoint import Endpoint, parse_endpoint
from connectors.http2.headers import CACHED_GROUPS_MAX
from connectors.json_text import compact_json
from connectors.outcome import NotSent, Push
from connectors.webpush.encryption import PLAINTEXT_BYTES_MAX, SubscriptionKeyError, encrypt, padded_length


class WebPushRequest(NamedTuple):
    """`fields` differ from push to push; those that stay are in `staying_fields`."""

    endpoint: Endpoint
    fields: Fields
    body: bytes


@lru_cache(maxsize=CACHED_GROUPS_MAX)
def staying_fields(authorization: str, ttl_seconds: int, urgent: bool) -> Fields:
    """Headers that are the same for many pushes to one origin. Urgency: RFC 8030 section 5.3."""
    return (
        ("authorization", authorization),
        ("content-encoding", "aes128gcm"),
        ("content-type", "application/octet-stream"),
        ("ttl", str(max(0, ttl_seconds))),
        ("urgency", "high" if urgent else "normal"),
    )


def build_request(push: Push, now: float) -> WebPushRequest | NotSent:
    """The request for one push at `now` (epoch seconds), or why there can be none."""
    gone_at_ms = int(now * 1000)
    device = push.device
    endpoint = parse_endpoint(device.address)
    if endpoint is None:
        return NotSent("invalid_address", retry=False, gone_at_ms=gone_at_ms)
    plaintext = payload(push)
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        return NotSent("payload_too_large", retry=False)
    try:
        p256dh, auth = from_base64url(device.p256dh or ""), from_base64url(device.auth or "")
        body = encrypt(plaintext, p256dh, auth, length=padded_length(len(plaintext)))
    except (SubscriptionKeyError, ValueError):
        return NotSent("invalid_subscription_key", retry=False, gone_at_ms=gone_at_ms)
    return WebPushRequest(endpoint, (("topic", push.collapse_id),), body)


def payload(push: Push) -> bytes:
    """The JSON that the page's service worker gets: title, and the options of showNotification.

    `tag`: one replaces another. `data` is all that a click is told, so that the link that it opens stands there.
    """
    data = {**push.data, "notification_id": push.notification_id, "type": push.type, "push_id": push.push_id}
    if push.link is not None:
        data["link"] = push.link
    document = {"title": push.title, "body": push.body, "tag": push.collapse_id, "data": data}
    if push.image is not None:
        document["image"] = push.image
    return compact_json(document)
