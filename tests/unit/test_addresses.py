"""What an address may look like, provider by provider."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.addresses import address_fault
from connectors.outcome import Device, ProviderName
from connectors.webpush.encryption import public_bytes


def base64url(value: bytes) -> str:
    """Without padding, as browsers write it."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


P256DH = base64url(public_bytes(ec.generate_private_key(ec.SECP256R1()).public_key()))
AUTH = base64url(bytes(16))
FCM_TOKEN = "cK3x_t0QRk-J8:APA91b" + "x" * 134


def fault(
    provider: ProviderName,
    address: str,
    p256dh: str | None = P256DH,
    auth: str | None = AUTH,
    allow_private: bool = False,
) -> str | None:
    """What is wrong with it."""
    return address_fault(Device("d", provider, address, p256dh, auth), allow_private=allow_private)


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        (ProviderName.APNS, "0a" * 32),
        (ProviderName.APNS, "AB" * 80),
        (ProviderName.FCM, FCM_TOKEN),
        (ProviderName.FCM, "c" + "x" * 21),
        (ProviderName.WEBPUSH, "https://fcm.googleapis.com/fcm/send/abc"),
        (ProviderName.WEBPUSH, "https://push.example:8443/x?y=z"),
        (ProviderName.WEBPUSH, "https://93.184.216.34/x"),
        (ProviderName.WEBHOOK, "https://example.org/hooks?for=u"),
    ],
)
def test_what_a_provider_could_have_given_out_is_taken(provider: ProviderName, address: str) -> None:
    """Nothing is wrong with it that could be seen."""
    assert fault(provider, address) is None


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        (ProviderName.APNS, ""),
        (ProviderName.APNS, "0a" * 7),
        (ProviderName.APNS, "0a" * 300),
        (ProviderName.APNS, "0g" * 32),
        (ProviderName.APNS, "0a" * 32 + "\n"),
        (ProviderName.APNS, "../../3/device/" + "0a" * 32),
        (ProviderName.FCM, ""),
        (ProviderName.FCM, "a" * 4_097),
        (ProviderName.FCM, "a b"),
        (ProviderName.FCM, "ünïcode"),
        (ProviderName.FCM, "a\0"),
        (ProviderName.WEBPUSH, ""),
        (ProviderName.WEBPUSH, "http://push.example/x"),
        (ProviderName.WEBPUSH, "https:///x"),
        (ProviderName.WEBPUSH, "https://user:secret@push.example/x"),
        (ProviderName.WEBPUSH, "https://push.example:99999/x"),
        (ProviderName.WEBPUSH, "https://push.example/" + "x" * 2_048),
        (ProviderName.WEBPUSH, "javascript:alert(1)"),
        (ProviderName.WEBHOOK, "http://example.org/hooks"),
        (ProviderName.WEBHOOK, "https://user:secret@example.org/hooks"),
    ],
)
def test_what_no_provider_gives_out_is_refused(provider: ProviderName, address: str) -> None:
    """The sentence begins with the name of the field."""
    found = fault(provider, address)
    assert found is not None and found.startswith("address: ")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST.",
        "printer",
        "x.localhost",
        "nas.local",
        "db.internal",
        "router.home.arpa",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "224.0.0.1",
    ],
)
def test_an_endpoint_of_our_own_network_is_refused_unless_that_is_allowed(host: str) -> None:
    """However the address is written; a name that leads there is found out when it is connected to."""
    for provider in (ProviderName.WEBPUSH, ProviderName.WEBHOOK):
        found = fault(provider, f"https://{host}/x")
        assert found is not None and "not on the public internet" in found
        assert fault(provider, f"https://{host}/x", allow_private=True) is None


@pytest.mark.parametrize("provider", ProviderName)
def test_each_provider_says_what_its_addresses_look_like(provider: ProviderName) -> None:
    """Nobody gives out an empty one."""
    assert fault(provider, "") is not None


@pytest.mark.parametrize(
    ("p256dh", "auth", "words"),
    [
        (None, AUTH, "p256dh: must be given"),
        (P256DH, "", "auth: must be given"),
        ("!" * 87, AUTH, "p256dh: must be base64url"),
        (P256DH, "ü", "auth: must be base64url"),
        (P256DH[:-4], AUTH, "p256dh: must have 65 bytes, has 62"),
        (P256DH, base64url(bytes(15)), "auth: must have 16 bytes, has 15"),
        (base64url(b"\4" + bytes(64)), AUTH, "p256dh: must be a point"),
    ],
    # The keys are new each time, and processes that share the tests want the same names.
    ids=["none", "empty", "alphabet", "letter", "short", "short secret", "no point"],
)
def test_keys_with_which_nothing_could_be_encrypted_are_refused(
    p256dh: str | None, auth: str | None, words: str
) -> None:
    """Before they are registered, and not at the first push."""
    found = fault(ProviderName.WEBPUSH, "https://push.example/x", p256dh, auth)
    assert found is not None and found.startswith(words)
