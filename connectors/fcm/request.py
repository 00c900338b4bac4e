"""Push → request, by Firebase's "REST Resource: projects.messages". Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from connectors.fcm.address import INSTALLATION_ID, TOKEN_CHARACTERS_MAX
from connectors.http import Fields
from connectors.http2.headers import CACHED_GROUPS_MAX
from connectors.json_text import compact_json
from connectors.outcome import NotSent, Push

# ErrorCode, INVALID_ARGUMENT: "4096 bytes for most messages. This includes both the keys and the values."
PAYLOAD_BYTES_MAX = 4_096


class FcmRequest(NamedTuple):
    """What differs from push to push is in the body alone."""

    body: bytes


@lru_cache(maxsize=CACHED_GROUPS_MAX)
def staying_fields(authorization: str) -> Fields:
    """Headers that are the same for all pushes."""
    return (("authorization", authorization), ("content-type", "application/json"))


def build_request(push: Push, now: float, *, validate_only: bool = False) -> FcmRequest | NotSent:
    """The request for one push at `now` (epoch seconds), or why there can be none.

    `validate_only`: FCM checks it, and delivers nothing.
    """
    token = push.device.address
    if not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
        return NotSent("invalid_address", retry=False, gone_at_ms=int(now * 1000))
    data = {
        **push.data,
        "notification_id": push.notification_id,
        "type": push.type,
        "push_id": push.push_id,
    }
    if push.link is not None:
        data["link"] = push.link  # a tap opens the app on Android and iOS: there it is for the app to follow it
    document: dict[str, object] = {"message": _message(push, data, now)}
    if validate_only:
        document["validate_only"] = True
    body = compact_json(document)
    if len(body) > PAYLOAD_BYTES_MAX:  # else what counts of it is even less
        shown = (push.title, push.body, push.collapse_id, push.image or "")
        size = sum(len(text.encode("utf-8", "replace")) for pair in (*data.items(), shown) for text in pair)
        if size > PAYLOAD_BYTES_MAX:
            return NotSent("payload_too_large", retry=False)
    return FcmRequest(body)


def _message(push: Push, data: dict[str, str], now: float) -> dict[str, object]:
    """The collapse key replaces what still waits at FCM, the tag what is already on the screen.

    FCM keeps at most four collapse keys for a device that is off; beyond it drops some, so the tag is set as well.
    """
    expiration = str(int(now) + push.ttl_seconds) if push.ttl_seconds > 0 else "0"
    address = push.device.address
    ttl_seconds = max(0, push.ttl_seconds)
    android: dict[str, object] = {
        "ttl": f"{ttl_seconds}s",
        "collapse_key": push.collapse_id,
        "priority": "HIGH" if push.urgent else "NORMAL",
    }
    apns_headers = {"apns-collapse-id": push.collapse_id, "apns-expiration": expiration}
    webpush_headers = {"TTL": str(ttl_seconds), "Topic": push.collapse_id}
    webpush_headers["Urgency"] = "high" if push.urgent else "normal"
    webpush: dict[str, object] = {"headers": webpush_headers}
    message: dict[str, object] = {
        # `token` takes both today, and is deprecated: discovery document of the API, revision 20261023.
        "fid" if INSTALLATION_ID.fullmatch(address) else "token": address,
        "data": data,
        "android": android,
        "webpush": webpush,
    }
    if push.title or push.body:
        notification = {"title": push.title, "body": push.body}
        android["notification"] = {"tag": push.collapse_id}
        apns_headers["apns-priority"] = "10" if push.urgent else "5"
        apns: dict[str, object] = {"headers": apns_headers}
        if push.image is not None:
            notification["image"] = push.image  # on Android and in browsers
            # Firebase, "Send an image": iOS calls the app's service extension, which asks Firebase's SDK for it.
            apns |= {"payload": {"aps": {"mutable-content": 1}}, "fcm_options": {"image": push.image}}
        if push.link is not None and push.link.lower().startswith("https://"):
            webpush["fcm_options"] = {"link": push.link}  # WebpushFcmOptions: HTTPS is required
        message |= {"notification": notification, "apns": apns}
    else:  # nothing to show: only data, which for APNs is a background push, and that has priority 5
        apns_headers |= {"apns-push-type": "background", "apns-priority": "5"}
        message["apns"] = {"headers": apns_headers, "payload": {"aps": {"content-available": 1}}}
    return message
