"""Push → request, by Firebase's "REST Resource: projects.messages". Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from connectors.http2 import Fields
from connectors.outcome import NotSent, Push

# ErrorCode, INVALID_ARGUMENT: "4096 bytes for most messages. This includes both the keys and the values."
PAYLOAD_BYTES_MAX = 4_096
# FCM names no limit; its tokens have 140 to 300 characters today.
_TOKEN_CHARACTERS_MAX = 4_096


@dataclass(frozen=True, slots=True)
class FcmRequest:
    """What differs from push to push is in the body alone."""

    body: bytes


def staying_fields(authorization: str) -> Fields:
    """Headers that are the same for all pushes."""
    return (("authorization", authorization), ("content-type", "application/json"))


def build_request(push: Push, now: float) -> FcmRequest | NotSent:
    """The request for one push at `now` (epoch seconds), or why there can be none."""
    token = push.device.address
    if not 0 < len(token) <= _TOKEN_CHARACTERS_MAX:
        return NotSent("invalid_address", retry=False, gone_at_ms=int(now * 1000))
    data = {
        **push.data,
        "notification_id": push.notification_id,
        "type": push.type,
        "push_id": push.push_id,
    }
    shown = (push.title, push.body, push.collapse_id)
    size = sum(len(text.encode("utf-8", "replace")) for pair in (*data.items(), shown) for text in pair)
    if size > PAYLOAD_BYTES_MAX:
        return NotSent("payload_too_large", retry=False)
    return FcmRequest(
        json.dumps(_document(push, data, now), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    )


def _document(push: Push, data: dict[str, str], now: float) -> dict[str, object]:
    """The collapse key replaces what still waits at FCM, the tag what is already on the screen.

    FCM keeps at most four collapse keys for a device that is off; beyond it drops some, so the tag is set as well.
    """
    expiration = str(int(now) + push.ttl_seconds) if push.ttl_seconds > 0 else "0"
    return {
        "message": {
            "token": push.device.address,
            "notification": {"title": push.title, "body": push.body},
            "data": data,
            "android": {
                "ttl": f"{max(0, push.ttl_seconds)}s",
                "collapse_key": push.collapse_id,
                "priority": "HIGH" if push.urgent else "NORMAL",
                "notification": {"tag": push.collapse_id},
            },
            "apns": {
                "headers": {
                    "apns-collapse-id": push.collapse_id,
                    "apns-expiration": expiration,
                    "apns-priority": "10" if push.urgent else "5",
                }
            },
            "webpush": {
                "headers": {
                    "TTL": str(max(0, push.ttl_seconds)),
                    "Topic": push.collapse_id,
                    "Urgency": "high" if push.urgent else "normal",
                }
            },
        }
    }
