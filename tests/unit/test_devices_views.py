"""What is taken and shown of devices and preferences over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.outcome import Device, ProviderName
from schemas.codec import Codec
from streams.policies.quiet_hours import QuietHours, read_quiet_hours, written
from streams.publish.device_changes import DeviceChangeEncoder, private_allowed
from streams.publish.messages import Encoder
from streams.settings import load_settings
from streams.web.devices_views import masked, shown
from streams.web.preferences_views import preferences_document

CODEC = Codec()
NOW = 1_700_000_000_000
TOKEN = "0a" * 32


def encoder(*allow_private: ProviderName) -> DeviceChangeEncoder:
    """One whose clock stands still."""
    return DeviceChangeEncoder(CODEC, "device-changes", lambda: NOW, allow_private)


def test_a_registration_says_who_what_and_when() -> None:
    """Instants as people write them; the provider by the name that statuses use."""
    values = {"user_id": "ü", "device_id": "phone", "provider": "APNS", "address": TOKEN, "requested_by": "ops"}
    message = encoder().register({**values, "registered_at": "2023-01-01T00:00:00Z"})
    record = CODEC.decode(message.value, ("DeviceChange",)).record
    assert message.key == "ü".encode()
    assert record == {
        "user_id": "ü",
        "device_id": "phone",
        "action": "REGISTER",
        "request_id": "",
        "requested_by": "ops",
        "requested_at": NOW,
        "provider": "apns",
        "address": TOKEN,
        "p256dh": None,
        "auth": None,
        "registered_at": 1_672_531_200_000,
    }


def test_a_removal_names_the_device_and_nothing_else() -> None:
    """An address in it would be a mistake of the caller."""
    message = encoder().remove({"user_id": "u", "device_id": "phone"})
    record = CODEC.decode(message.value, ("DeviceChange",)).record
    assert (record["action"], record["device_id"], record["address"]) == ("REMOVE", "phone", None)
    with pytest.raises(ValueError, match="address: no such field"):
        encoder().remove({"user_id": "u", "device_id": "phone", "address": TOKEN})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "u" * 257}, "user_id"),
        ({"device_id": ""}, "device_id"),
        ({"device_id": "ü" * 65}, "device_id: has 130 bytes"),
        ({"device_id": "a\0b"}, "device_id: .* cannot be printed"),
        ({"device_id": "a\u2028b"}, "device_id: .* cannot be printed"),
        ({"address": "zz"}, "address: must be an APNs"),
        ({"provider": "pigeon"}, "provider: must be"),
        ({"request_id": "r" * 129}, "request_id: has 129 bytes"),
        ({"registered_at": -1}, "registered_at: must be between"),
        ({"registered_at": True}, "registered_at: must be a whole number"),
        ({"provider": "webpush", "address": "https://localhost/x"}, "not on the public internet"),
        ({"provider": "webhook", "address": "https://10.0.0.1/x"}, "not on the public internet"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(changes: dict[str, Any], words: str) -> None:
    """For programs and people alike."""
    values = {"user_id": "u", "device_id": "d", "provider": "apns", "address": TOKEN}
    with pytest.raises(ValueError, match=words):
        encoder().register(values | changes)


def test_private_addresses_are_allowed_by_provider() -> None:
    """Those of a stand-in for Web Push say nothing of webhooks."""
    assert private_allowed(load_settings(webhook={"allow_private_endpoints": True})) == {ProviderName.WEBHOOK}
    values = {"user_id": "u", "device_id": "d", "provider": "webhook", "address": "https://10.0.0.1/x"}
    assert encoder(ProviderName.WEBHOOK).register(values).key == b"u"
    with pytest.raises(ValueError, match="not on the public internet"):
        encoder(ProviderName.WEBPUSH).register(values)


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        (TOKEN, "0a0a…0a0a"),
        ("short", "…"),
        ("https://updates.push.example/wpush/v2/gAAAAABsecret", "https://updates.push.example/…cret"),
        ("https://push.example/x", "https://push.example/…"),
        ("https://push.example:8443/" + "t" * 40, "https://push.example/…tttt"),
        ("https://user:secret@push.example/" + "t" * 40, "https://push.example/…tttt"),
        ("https://[nonsense", "http…ense"),
        ("://", "…"),
    ],
)
def test_a_masked_address_can_be_told_apart_and_not_used(address: str, seen: str) -> None:
    """A few characters of it, and whose service it is."""
    found = masked(address)
    assert found == seen
    assert address not in found


def test_the_keys_of_a_subscription_are_never_shown() -> None:
    """Not even where the address is: they are the browser's secrets."""
    device = Device("d", ProviderName.WEBPUSH, "https://push.example/x", "key", "secret", NOW)
    assert shown(device, in_full=True) == {
        "device_id": "d",
        "provider": "webpush",
        "address": "https://push.example/x",
        "registered_at": NOW,
    }


DAYS = st.frozensets(st.integers(0, 6))
MINUTES = st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda pair: pair[0] != pair[1])


@given(MINUTES, DAYS)
def test_quiet_hours_are_written_as_they_are_read(minutes: tuple[int, int], days: frozenset[int]) -> None:
    """Whatever stretch of whatever days."""
    stretch = QuietHours(*minutes, days)
    assert read_quiet_hours(written(stretch)) == stretch


def test_preferences_are_shown_as_they_may_be_written() -> None:
    """What GET shows is a body for PUT."""
    wishes = {
        "user_id": "u",
        "time_zone": "Europe/Vienna",
        "quiet_hours": ["22:00-07:00"],
        "quiet_hours_by_type": {"a": ["sat,sun 00:00-24:00"], "b": []},
        "opted_out_providers": ["apns"],
    }
    encode = Encoder(CODEC, "preferences", lambda: NOW).preferences
    first = encode(wishes)
    document = preferences_document(CODEC.decode(first.value, ("Preferences",)).record)
    assert wishes.items() <= document.items()
    assert encode(json.loads(json.dumps(document))) == first
