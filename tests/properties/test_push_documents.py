"""The usual push is written in one piece; the document is the one that the complete path makes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from connectors.apns import request as apns
from connectors.fcm import request as fcm
from connectors.outcome import Device, ProviderName, Push

NOW = 1_700_000_000.5
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)  # lone halves of characters included
NAMES = TEXTS | st.sampled_from(("aps", "notification_id", "type", "push_id", "image", "link"))
PUSHES = st.builds(
    Push,
    push_id=TEXTS,
    notification_id=TEXTS,
    type=TEXTS,
    device=st.builds(
        Device,
        device_id=st.just("d"),
        provider=st.just(ProviderName.FCM),
        address=st.just("cQw4w9WgXcQ-_aaaaaaaa1") | st.text(min_size=1, max_size=30),
    ),
    title=TEXTS,
    body=TEXTS,
    data=st.dictionaries(NAMES, TEXTS, max_size=3),
    ttl_seconds=st.integers(-5, 10_000),
    collapse_id=TEXTS,
    urgent=st.booleans(),
    image=st.none() | st.just("https://i.example/a.png"),
    link=st.none() | st.just("https://shop.example/7"),
)


@given(PUSHES)
def test_apns(push: Push) -> None:
    """Names of ours among the event's data, texts of any characters, with and without sound."""
    aps: dict[str, object] = {"content-available": 1}
    if push.title or push.body:
        aps = {"alert": {"title": push.title, "body": push.body}, "thread-id": push.type}
        aps |= {"sound": "default"} if push.urgent else {}
        aps |= {"mutable-content": 1} if push.image else {}
    wanted = {**push.data, "aps": aps, "notification_id": push.notification_id, "type": push.type}
    wanted |= {name: url for name, url in (("image", push.image), ("link", push.link)) if url}
    written = json.dumps(wanted, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    assert json.loads(apns.payload(push)) == json.loads(written)
    assert len(apns.payload(push)) == len(written)


@given(PUSHES, st.booleans())
def test_fcm(push: Push, validate_only: bool) -> None:
    """With and without a text to show, to both kinds of addresses."""
    data = {**push.data, "notification_id": push.notification_id, "type": push.type, "push_id": push.push_id}
    data |= {"link": push.link} if push.link else {}
    wanted: dict[str, object] = {"message": fcm._message(push, data, NOW)}
    wanted |= {"validate_only": True} if validate_only else {}
    request = fcm.build_request(push, NOW, validate_only=validate_only)
    assert isinstance(request, fcm.FcmRequest)
    written = json.dumps(wanted, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    assert json.loads(request.body) == json.loads(written)
    assert len(request.body) == len(written)
