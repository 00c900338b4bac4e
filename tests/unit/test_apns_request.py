"""Push → request for APNs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from connectors.apns.request import (
    PAYLOAD_BYTES_MAX,
    ApnsRequest,
    build_request,
    is_background,
    payload,
    staying_fields,
)
from connectors.outcome import Device, NotSent, ProviderName, Push

NOW = 1_700_000_000.5
PUSH = Push(
    push_id="123e4567-e89b-42d3-a456-426614174000",
    notification_id="n-1",
    type="like",
    device=Device("d", ProviderName.APNS, "ab" * 32),
    title="Hä",
    body="B",
    data={"k": "v", "aps": "x", "type": "y"},
    ttl_seconds=3_600,
    collapse_id="c" * 32,
)


def test_the_request_has_what_apple_asks_for() -> None:
    """Path, apns-id, expiration and collapse id come from the push; the rest stays over many pushes."""
    request = build_request(PUSH, NOW)
    assert isinstance(request, ApnsRequest)
    assert request.path == "/3/device/" + "ab" * 32
    assert dict(request.fields) == {
        "apns-id": PUSH.push_id,
        "apns-expiration": "1700003600",
        "apns-collapse-id": "c" * 32,
    }
    assert dict(staying_fields("bearer t", "com.example", urgent=False)) == {
        "authorization": "bearer t",
        "apns-topic": "com.example",
        "apns-push-type": "alert",
        "apns-priority": "5",
    }


def test_data_cannot_override_what_is_ours() -> None:
    """A data key named aps or type does not replace ours; other keys reach the app."""
    document = json.loads(payload(PUSH))
    assert document["aps"]["alert"] == {"title": "Hä", "body": "B"}
    assert (document["type"], document["notification_id"], document["k"]) == ("like", "n-1", "v")


def test_image_and_link_are_for_the_app() -> None:
    """An image is fetched by the app's service extension, which Apple calls for mutable content only."""
    plain = json.loads(payload(PUSH))
    assert "image" not in plain and "link" not in plain and "mutable-content" not in plain["aps"]
    document = json.loads(payload(replace(PUSH, image="https://i.example/a.png", link="shop://orders/7")))
    assert (document["image"], document["link"]) == ("https://i.example/a.png", "shop://orders/7")
    assert document["aps"]["mutable-content"] == 1
    background = json.loads(payload(replace(PUSH, title="", body="", image="https://i.example/a.png")))
    assert background["aps"] == {"content-available": 1}


def test_without_a_ttl_nothing_is_stored() -> None:
    """A ttl of zero is said as apns-expiration 0."""
    request = build_request(replace(PUSH, ttl_seconds=0), NOW)
    assert isinstance(request, ApnsRequest)
    assert dict(request.fields)["apns-expiration"] == "0"


def test_a_payload_of_exactly_4096_bytes_passes_and_one_more_does_not() -> None:
    """The limit is checked in bytes before anything is sent."""
    room = PAYLOAD_BYTES_MAX - len(payload(replace(PUSH, body="")))
    assert isinstance(build_request(replace(PUSH, body="x" * room), NOW), ApnsRequest)
    assert build_request(replace(PUSH, body="x" * (room + 1)), NOW) == NotSent("payload_too_large", retry=False)


@pytest.mark.parametrize("address", ["", "../x", "zz" * 32, "ab" * 32 + "\r\nx: y", "a" * 600])
def test_an_address_that_is_no_token_is_not_asked_about(address: str) -> None:
    """What is not hex never reaches a path, and the address is gone."""
    outcome = build_request(replace(PUSH, device=replace(PUSH.device, address=address)), NOW)
    assert outcome == NotSent("invalid_address", retry=False, gone_at_ms=1_700_000_000_500)


def test_a_lone_surrogate_does_not_raise() -> None:
    """Text that UTF-8 cannot carry is replaced, not raised."""
    assert b"?" in payload(replace(PUSH, title="\ud800"))


def test_a_push_with_nothing_to_show_is_a_background_push() -> None:
    """Without title and body it has Apple's type and priority for that, however urgent, and only content-available."""
    background = replace(PUSH, title="", body="", urgent=True)
    assert is_background(background)
    assert not is_background(replace(PUSH, title=""))
    headers = dict(staying_fields("bearer t", "com.example", urgent=True, background=True))
    assert (headers["apns-push-type"], headers["apns-priority"]) == ("background", "5")
    assert json.loads(payload(background))["aps"] == {"content-available": 1}
