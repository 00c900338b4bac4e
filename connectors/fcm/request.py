"""Push → request, by Firebase's "REST Resource: projects.messages". Pure."""

from __future__ import annotations

from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from typing import NamedTuple

from connectors.compact_json import compact_json
from connectors.fcm.address import INSTALLATION_ID, TOKEN_CHARACTERS_MAX
from connectors.http import Fields
from connectors.http2.headers import CACHED_GROUPS_MAX
from connectors.outcome import NotSent, Push

# ErrorCode, INVALID_ARGUMENT: "4096 bytes for most messages. This includes both the keys and the values."
PAYLOAD_BYTES_MAX = 4_096
_OURS = frozenset(("notification_id", "type", "push_id"))


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
    if _is_usual(push, validate_only=validate_only):
        body = _usual(push, now).encode("utf-8", "replace")
        if len(body) <= PAYLOAD_BYTES_MAX:  # then what counts of it is even less
            return FcmRequest(body)
    data = {
        **push.data,
        "notification_id": push.notification_id,
        "type": push.type,
        "push_id": push.push_id,
    }
    if push.link is not None:
        data["link"] = push.link  # a tap opens the app on Android and iOS: there it is for the app to follow it
    shown = (push.title, push.body, push.collapse_id, push.image or "")
    size = sum(len(text.encode("utf-8", "replace")) for pair in (*data.items(), shown) for text in pair)
    if size > PAYLOAD_BYTES_MAX:
        return NotSent("payload_too_large", retry=False)
    document: dict[str, object] = {"message": _message(push, data, now)}
    if validate_only:
        document["validate_only"] = True
    return FcmRequest(compact_json(document))


def _is_usual(push: Push, *, validate_only: bool) -> bool:
    """Whether it shows a text and nothing else, as most do."""
    if validate_only or push.image is not None or push.link is not None:
        return False
    return bool(push.title or push.body) and _OURS.isdisjoint(push.data)


def _usual(push: Push, now: float) -> str:
    """The document of such a push as `_message` has it, in a third of the time."""
    address, ttl_seconds = push.device.address, max(0, push.ttl_seconds)
    expiration = int(now) + ttl_seconds if ttl_seconds else 0
    priority, apns_priority, urgency = ("HIGH", "10", "high") if push.urgent else ("NORMAL", "5", "normal")
    collapse = _quoted(push.collapse_id)
    target = "fid" if INSTALLATION_ID.fullmatch(address) else "token"
    data = "".join([f"{_quoted(name)}:{_quoted(text)}," for name, text in push.data.items()])
    return (
        f'{{"message":{{"{target}":{_quoted(address)},"data":{{{data}"notification_id":{_quoted(push.notification_id)},'
        f'"type":{_quoted(push.type)},"push_id":{_quoted(push.push_id)}}},'
        f'"android":{{"ttl":"{ttl_seconds}s","collapse_key":{collapse},"priority":"{priority}",'
        f'"notification":{{"tag":{collapse}}}}},'
        f'"webpush":{{"headers":{{"TTL":"{ttl_seconds}","Topic":{collapse},"Urgency":"{urgency}"}}}},'
        f'"notification":{{"title":{_quoted(push.title)},"body":{_quoted(push.body)}}},'
        f'"apns":{{"headers":{{"apns-collapse-id":{collapse},"apns-expiration":"{expiration}",'
        f'"apns-priority":"{apns_priority}"}}}}}}}}'
    )


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
