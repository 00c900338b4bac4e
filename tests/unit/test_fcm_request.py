"""Push → request for FCM."""

from __future__ import annotations

import json
from dataclasses import replace

from connectors.fcm.request import FcmRequest, build_request, staying_fields
from connectors.outcome import Device, NotSent, ProviderName, Push

NOW = 1_700_000_000.5
PUSH = Push(
    push_id="123e4567-e89b-42d3-a456-426614174000",
    notification_id="n-1",
    type="like",
    device=Device("d", ProviderName.FCM, "token:APA91b"),
    title="T",
    body="B",
    data={"k": "v"},
    ttl_seconds=3_600,
    collapse_id="c" * 32,
)


def test_the_message_says_the_same_to_all_three_platforms() -> None:
    """Time to live, collapse id and priority are given for Android, APNs and Web Push alike."""
    request = build_request(PUSH, NOW)
    assert isinstance(request, FcmRequest)
    message = json.loads(request.body)["message"]
    assert message["token"] == "token:APA91b"
    assert message["notification"] == {"title": "T", "body": "B"}
    assert message["data"] == {"k": "v", "notification_id": "n-1", "type": "like", "push_id": PUSH.push_id}
    assert message["android"] == {
        "ttl": "3600s",
        "collapse_key": "c" * 32,
        "priority": "HIGH",
        "notification": {"tag": "c" * 32},
    }
    assert message["apns"]["headers"] == {
        "apns-collapse-id": "c" * 32,
        "apns-expiration": "1700003600",
        "apns-priority": "10",
    }
    assert message["webpush"]["headers"] == {"TTL": "3600", "Topic": "c" * 32, "Urgency": "high"}
    assert dict(staying_fields("Bearer t"))["authorization"] == "Bearer t"


def test_an_image_is_shown_on_all_three_platforms() -> None:
    """Android and browsers take it from the notification; iOS fetches it in the app's service extension."""
    request = build_request(replace(PUSH, image="https://i.example/a.png"), NOW)
    assert isinstance(request, FcmRequest)
    message = json.loads(request.body)["message"]
    assert message["notification"] == {"title": "T", "body": "B", "image": "https://i.example/a.png"}
    assert message["apns"]["payload"] == {"aps": {"mutable-content": 1}}
    assert message["apns"]["fcm_options"] == {"image": "https://i.example/a.png"}
    assert "fcm_options" not in message["webpush"]
    assert "link" not in message["data"]


def test_a_link_is_for_the_app_and_where_it_is_one_of_the_web_for_the_browser() -> None:
    """Firebase opens https links in browsers only, and refuses others there; data of the event does not replace it."""
    for link, in_browser in {"https://shop.example/7": {"link": "https://shop.example/7"}, "shop://7": None}.items():
        request = build_request(replace(PUSH, link=link, data={"link": "x"}), NOW)
        assert isinstance(request, FcmRequest)
        message = json.loads(request.body)["message"]
        assert message["data"]["link"] == link
        assert message["webpush"].get("fcm_options") == in_browser


def test_the_payload_is_limited_to_4096_bytes_of_keys_and_values() -> None:
    """The limit is counted as Firebase does, and checked before anything is sent."""
    # 32 for the tag, 1 + 1 for title and body, 2 for k and v, and our three keys with their values
    ours = len("notification_id" + "n-1" + "type" + "like" + "push_id" + PUSH.push_id)
    room = 4_096 - (32 + 2 + 2 + ours)
    assert isinstance(build_request(replace(PUSH, body="B" + "x" * room), NOW), FcmRequest)
    assert build_request(replace(PUSH, body="B" + "x" * (room + 1)), NOW) == NotSent("payload_too_large", retry=False)
    full = replace(PUSH, body="B" + "x" * room)
    assert build_request(replace(full, image="https://i.example/a"), NOW) == NotSent("payload_too_large", retry=False)
    assert build_request(replace(full, link="shop://7"), NOW) == NotSent("payload_too_large", retry=False)


def test_an_empty_address_is_not_asked_about() -> None:
    """Without a token there is no request, and the address is gone."""
    outcome = build_request(replace(PUSH, device=replace(PUSH.device, address="")), NOW)
    assert outcome == NotSent("invalid_address", retry=False, gone_at_ms=1_700_000_000_500)


def test_an_installation_id_is_told_from_a_registration_token() -> None:
    """22 characters that begin as a Firebase Installation ID go into `fid`; all else goes into `token`."""
    for address, field in {
        "cQw4w9WgXcQ-_aaaaaaaa1": "fid",
        "aQw4w9WgXcQ-_aaaaaaaa1": "token",
        "cQw4w9WgXcQ-_aaaaaaaa12": "token",
        "cQw4w9WgXcQ-_aaaaaaaa1:APA91b" + "x" * 120: "token",
    }.items():
        request = build_request(replace(PUSH, device=replace(PUSH.device, address=address)), NOW)
        assert isinstance(request, FcmRequest)
        message = json.loads(request.body)["message"]
        assert {name: message[name] for name in ("fid", "token") if name in message} == {field: address}


def test_a_push_with_nothing_to_show_is_data_alone() -> None:
    """Without title and body there is no notification, and APNs is told that it is a background push."""
    request = build_request(replace(PUSH, title="", body=""), NOW)
    assert isinstance(request, FcmRequest)
    message = json.loads(request.body)["message"]
    assert "notification" not in message
    assert "notification" not in message["android"]
    assert message["apns"]["headers"]["apns-push-type"] == "background"
    assert message["apns"]["headers"]["apns-priority"] == "5"
    assert message["apns"]["payload"] == {"aps": {"content-available": 1}}


def test_a_dry_run_is_said_in_the_request() -> None:
    """`validate_only` stands beside the message, and only where it is asked for."""
    for validate_only in (True, False):
        request = build_request(PUSH, NOW, validate_only=validate_only)
        assert isinstance(request, FcmRequest)
        assert json.loads(request.body).get("validate_only", False) is validate_only
