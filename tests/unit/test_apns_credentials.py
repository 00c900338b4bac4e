"""Provider tokens of APNs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.apns import ApnsConfig, ApnsConnector
from connectors.apns.credentials import RENEWAL_SECONDS_MIN, ProviderTokens
from connectors.credentials import CredentialsError, from_base64url

KEY = ec.derive_private_key(7, ec.SECP256R1())
PRIVATE_PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def issued_at(authorization: str) -> int:
    claims = json.loads(from_base64url(authorization.removeprefix("bearer ").split(".")[1]))
    assert claims["iss"] == "TEAM"
    return int(claims["iat"])


@settings(deadline=None, max_examples=50)
@given(start=st.integers(1_700_000_000, 1_700_010_000), steps=st.lists(st.integers(1, 1_500), max_size=30))
def test_no_token_is_an_hour_old_and_none_changes_within_20_minutes(start: int, steps: list[int]) -> None:
    """Whenever a worker starts and however it sends, Apple's two limits hold, and no token is from the future.

    start |--step--|----step----|--step--|      each step: one send
    """
    clock = Clock(start)
    tokens = ProviderTokens(KEY, "KEY", "TEAM", clock)
    token, since = tokens.authorization(), clock.now
    for step in steps:
        clock.now += step
        now_token = tokens.authorization()
        assert 60 <= clock.now - issued_at(now_token) < 3_600
        if now_token != token:
            assert clock.now - since >= RENEWAL_SECONDS_MIN
            token, since = now_token, clock.now


def test_workers_of_a_fleet_present_the_same_token() -> None:
    """Two workers that start within the same half hour sign the same bytes."""
    first, second = (ProviderTokens(KEY, "KEY", "TEAM", Clock(1_700_000_000 + delay)) for delay in (0, 600))
    assert first.authorization() == second.authorization()


def test_an_expired_token_is_renewed_once_in_20_minutes() -> None:
    """The first refusal makes a new token, refusals of the old one find it, and the next waits for 20 minutes."""
    clock = Clock(1_700_000_000)
    tokens = ProviderTokens(KEY, "KEY", "TEAM", clock)
    old = tokens.authorization()
    assert tokens.renew(old)
    new = tokens.authorization()
    assert new != old
    assert tokens.renew(old)
    assert tokens.authorization() == new
    assert not tokens.renew(new)
    clock.now += RENEWAL_SECONDS_MIN
    assert tokens.renew(new)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"secret-that-must-not-be-shown",
        PRIVATE_PEM.replace(b"M", b"N", 3),
        ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
)
def test_a_wrong_key_file_is_named_and_not_shown(tmp_path: Path, content: bytes | None) -> None:
    """The error names the setting, and nothing of what is in the file."""
    path = tmp_path / "key.p8"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CredentialsError, match="APNs key_file") as raised:
        ApnsConnector(ApnsConfig("https://127.0.0.1:1", str(path), "KEY", "TEAM", "com.example"))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("missing", ["key_id", "team_id", "topic"])
def test_a_setting_that_is_not_set_is_named(tmp_path: Path, missing: str) -> None:
    """An empty key id, team id or topic stops the start."""
    path = tmp_path / "key.p8"
    path.write_bytes(PRIVATE_PEM)
    values = {"key_id": "KEY", "team_id": "TEAM", "topic": "com.example", missing: ""}
    with pytest.raises(CredentialsError, match=missing):
        ApnsConnector(
            ApnsConfig("https://127.0.0.1:1", str(path), values["key_id"], values["team_id"], values["topic"])
        )
