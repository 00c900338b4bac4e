"""Push → request, by Apple's "Sending notification requests to APNs". Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from connectors.apns.address import DEVICE_TOKEN
from connectors.http import Fields
from connectors.http2.headers import CACHED_GROUPS_MAX
from connectors.json_text import compact_json
from connectors.outcome import NotSent, Push

# Apple: the maximum for a regular notification.
PAYLOAD_BYTES_MAX = 4_096


class ApnsRequest(NamedTuple):
    """`fields` differ from push to push; those that stay are in `staying_fields`, which takes `urgent` and
    `background`."""

    path: str
    fields: Fields
    body: bytes
    urgent: bool
    background: bool


@lru_cache(maxsize=CACHED_GROUPS_MAX)
def staying_fields(authorization: str, topic: str, urgent: bool, background: bool = False) -> Fields:
    """Headers that are the same for many pushes. Priority 10: at once; 5: when it suits the device's power.

    Apple: a background push must have priority 5, 10 is an error.
    """
    return (
        ("authorization", authorization),
        ("apns-topic", topic),
        ("apns-push-type", "background" if background else "alert"),
        ("apns-priority", "10" if urgent and not background else "5"),
    )


def is_background(push: Push) -> bool:
    """Whether it shows nothing: without title and body it only wakes the app, with its data."""
    return not push.title and not push.body


def build_request(push: Push, now: float) -> ApnsRequest | NotSent:
    """The request for one push at `now` (epoch seconds), or why there can be none."""
    token = push.device.address
    if not DEVICE_TOKEN.fullmatch(token):
        return NotSent("invalid_address", retry=False, gone_at_ms=int(now * 1000))
    body = payload(push)
    if len(body) > PAYLOAD_BYTES_MAX:
        return NotSent("payload_too_large", retry=False)
    # Apple: 0 means one attempt, and nothing is stored.
    expiration = str(int(now) + push.ttl_seconds) if push.ttl_seconds > 0 else "0"
    fields = (("apns-id", push.push_id), ("apns-expiration", expiration), ("apns-collapse-id", push.collapse_id))
    return ApnsRequest("/3/device/" + token, fields, body, push.urgent, is_background(push))


def payload(push: Push) -> bytes:
    """The JSON that the device gets; what is ours in it, such as `aps`, cannot be overridden by data.

    Apple: with `mutable-content` the app's notification service extension is called first, which fetches the image.
    """
    aps: dict[str, object]
    if is_background(push):
        aps = {"content-available": 1}  # Apple: without alert, badge and sound
    else:
        aps = {"alert": {"title": push.title, "body": push.body}, "thread-id": push.type}
        if push.urgent:
            aps["sound"] = "default"
        if push.image is not None:
            aps["mutable-content"] = 1
    document: dict[str, object] = {
        **push.data,
        "aps": aps,
        "notification_id": push.notification_id,
        "type": push.type,
    }
    if push.image is not None:
        document["image"] = push.image
    if push.link is not None:
        document["link"] = push.link
    return compact_json(document)
