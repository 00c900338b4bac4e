"""VAPID tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.credentials import CredentialsError, base64url, from_base64url, load_p256_key
from connectors.webpush import WebPushConfig, WebPushConnector
from connectors.webpush.credentials import LIFETIME_SECONDS, ORIGINS_MAX, RENEW_EARLY_SECONDS, VapidTokens
from connectors.webpush.encryption import public_bytes

KEY = ec.derive_private_key(7, ec.SECP256R1())
SUBJECT = "mailto:push@example.com"


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def claims(authorization: str) -> dict[str, object]:
    token = authorization.removeprefix("vapid t=").partition(",")[0]
    loaded: dict[str, object] = json.loads(from_base64url(token.split(".")[1]))
    return loaded


def test_a_token_is_for_one_origin_and_at_most_24_hours() -> None:
    """Audience, expiry, subject and key are those of RFC 8292."""
    authorization = VapidTokens(KEY, SUBJECT, Clock()).authorization("https://push.example")
    assert claims(authorization) == {"aud": "https://push.example", "exp": 1_700_043_200, "sub": SUBJECT}
    assert LIFETIME_SECONDS <= 24 * 3_600
    assert authorization.endswith(", k=" + base64url(public_bytes(KEY.public_key())))


def test_a_token_is_kept_and_renewed_early() -> None:
    """It is signed once per origin, and anew long before its end."""
    clock = Clock()
    tokens = VapidTokens(KEY, SUBJECT, clock)
    first = tokens.authorization("https://a")
    assert tokens.authorization("https://a") == first != tokens.authorization("https://b")
    clock.now += LIFETIME_SECONDS - RENEW_EARLY_SECONDS - 1
    assert tokens.authorization("https://a") == first
    clock.now += 1
    assert tokens.authorization("https://a") != first


def test_a_refused_token_is_replaced_once_by_another() -> None:
    """Even within the same second the new token differs, and refusals of the old one do not make a third."""
    tokens = VapidTokens(KEY, SUBJECT, Clock())
    first = tokens.authorization("https://a")
    tokens.renew("https://a", first)
    second = tokens.authorization("https://a")
    tokens.renew("https://a", first)
    assert tokens.authorization("https://a") == second != first


def test_origins_are_forgotten_beyond_a_bound() -> None:
    """Origins are user input: what is kept of them does not grow without end."""
    tokens = VapidTokens(KEY, SUBJECT, Clock())
    for number in range(ORIGINS_MAX + 10):
        tokens.authorization(f"https://push{number}.example")
    assert len(tokens._tokens) == ORIGINS_MAX


@pytest.mark.parametrize("subject", ["", "push@example.com", "http://example.com", "mailto:", "mailto:a@b\r\nx"])
def test_a_wrong_subject_is_named(tmp_path: Path, subject: str) -> None:
    """Apple refuses it, so the start does."""
    path = tmp_path / "vapid"
    path.write_text(base64url((7).to_bytes(32, "big")))
    with pytest.raises(CredentialsError, match="subject"):
        WebPushConnector(WebPushConfig(str(path), subject))


def test_a_raw_key_in_base64url_is_the_same_key(tmp_path: Path) -> None:
    """The form in which most VAPID tools write keys is read as well as PEM."""
    path = tmp_path / "vapid"
    path.write_text(base64url((7).to_bytes(32, "big")) + "\n")
    assert load_p256_key(str(path), "key").private_numbers() == KEY.private_numbers()


def test_a_wrong_key_file_is_named(tmp_path: Path) -> None:
    """The error names the setting, and nothing of what is in the file."""
    path = tmp_path / "vapid"
    path.write_text("hush")
    with pytest.raises(CredentialsError, match="Web Push vapid_key_file") as raised:
        WebPushConnector(WebPushConfig(str(path), SUBJECT))
    assert "hush" not in str(raised.value)
