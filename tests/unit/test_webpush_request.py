"""Push → request for Web Push, and what an endpoint may be."""

from __future__ import annotations

import json
from dataclasses import replace

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.credentials import base64url
from connectors.http.endpoint import Endpoint
from connectors.outcome import Device, NotSent, ProviderName, Push
from connectors.webpush.encryption import PLAINTEXT_BYTES_MAX, public_bytes
from connectors.webpush.request import WebPushRequest, build_request, payload, staying_fields

NOW = 1_700_000_000.5
NOW_MS = 1_700_000_000_500
RECEIVER = ec.derive_private_key(11, ec.SECP256R1())
AUTH = bytes(range(16))
PUSH = Push(
    push_id="123e4567-e89b-42d3-a456-426614174000",
    notification_id="n-1",
    type="like",
    device=Device(
        "d",
        ProviderName.WEBPUSH,
        "https://push.example/send/abc?x=1",
        base64url(public_bytes(RECEIVER.public_key())),
        base64url(AUTH),
    ),
    title="T",
    body="B",
    data={"k": "v"},
    ttl_seconds=3_600,
    collapse_id="c" * 32,
)


def test_the_request_goes_to_the_endpoint_and_can_be_read_by_the_browser() -> None:
    """Topic is the collapse id; the body decrypts to title, body, tag and data."""
    request = build_request(PUSH, NOW)
    assert isinstance(request, WebPushRequest)
    assert request.endpoint == Endpoint("https://push.example", "push.example", 443, "/send/abc?x=1")
    assert request.fields == (("topic", "c" * 32),)
    text = http_ece.decrypt(request.body, private_key=RECEIVER, auth_secret=AUTH, version="aes128gcm")
    assert json.loads(text) == {
        "title": "T",
        "body": "B",
        "tag": "c" * 32,
        "data": {"k": "v", "notification_id": "n-1", "type": "like", "push_id": PUSH.push_id},
    }
    assert dict(staying_fields("vapid t=a, k=b", 3_600, urgent=True)) == {
        "authorization": "vapid t=a, k=b",
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "ttl": "3600",
        "urgency": "high",
    }


def test_image_and_link_are_for_the_service_worker() -> None:
    """The image is an option of showNotification; the link stands in the data, which is all that a click is told."""
    plain = json.loads(payload(PUSH))
    assert "image" not in plain and "link" not in plain["data"]
    document = json.loads(payload(replace(PUSH, image="https://i.example/a.png", link="https://shop.example/7")))
    assert (document["image"], document["data"]["link"]) == ("https://i.example/a.png", "https://shop.example/7")


def test_the_payload_is_limited_before_anything_is_sent() -> None:
    """One byte more than fits into 4,096 encrypted bytes is too large."""
    room = PLAINTEXT_BYTES_MAX - len(payload(PUSH))
    assert isinstance(build_request(replace(PUSH, body="B" + "x" * room), NOW), WebPushRequest)
    assert build_request(replace(PUSH, body="B" + "x" * (room + 1)), NOW) == NotSent("payload_too_large", retry=False)


@pytest.mark.parametrize(
    "change", [{"p256dh": None}, {"auth": None}, {"p256dh": "!!!"}, {"auth": "\u2603"}, {"auth": "AA"}]
)
def test_a_subscription_without_usable_keys_is_gone(change: dict[str, str | None]) -> None:
    """Nothing can ever be encrypted for it."""
    outcome = build_request(replace(PUSH, device=replace(PUSH.device, **change)), NOW)  # type: ignore[arg-type]  # by name
    assert outcome == NotSent("invalid_subscription_key", retry=False, gone_at_ms=NOW_MS)


def test_an_address_that_is_no_endpoint_is_gone() -> None:
    """No push service has given it out."""
    outcome = build_request(replace(PUSH, device=replace(PUSH.device, address="http://push.example/a")), NOW)
    assert outcome == NotSent("invalid_address", retry=False, gone_at_ms=NOW_MS)
