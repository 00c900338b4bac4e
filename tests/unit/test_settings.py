"""Settings: one line for each that is wrong, and no secret in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.settings import SettingsError, kafka_client_options, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the machine that the test runs on."""
    for name in os.environ:
        if name.startswith("RINGONCE_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PARTITIONS": "0"}, "RINGONCE_PARTITIONS: must be at least 1, is 0"),
        ({"PARTITIONS": "many"}, "RINGONCE_PARTITIONS: must be a whole number, is many"),
        ({"WEB_PORT": "65536"}, "RINGONCE_WEB_PORT: must be at most 65535, is 65536"),
        ({"PARTITION": "3"}, "RINGONCE_PARTITION: no such setting; did you mean RINGONCE_PARTITIONS?"),
        ({"BOOTSTRAP": "kafka"}, "RINGONCE_BOOTSTRAP: must be host:port, or several with commas between, is kafka"),
        ({"TIME_ZONE": "Berlin"}, "RINGONCE_TIME_ZONE: there is no time zone 'Berlin'; did you mean "),
        ({"TOPIC_PREFIX": "a b"}, "RINGONCE_TOPIC_PREFIX: must match ^[A-Za-z0-9._-]*$, is 'a b'"),
        ({"TYPES_FILE": "/none"}, "RINGONCE_TYPES_FILE: must be a file that exists, is /none"),
        ({"APNS_KEY_FILE": "/none"}, "RINGONCE_APNS_KEY_FILE: must be a file that exists, is /none"),
        (
            {"APNS_KEY_FILE": __file__, "APNS_KEY_ID": "K"},
            "RINGONCE_APNS_TEAM_ID: must be set, because RINGONCE_APNS_KEY_FILE is",
        ),
        (
            {"WEBPUSH_VAPID_KEY_FILE": __file__},
            "RINGONCE_WEBPUSH_SUBJECT: must be set, because RINGONCE_WEBPUSH_VAPID_KEY_FILE is",
        ),
        ({"WEBPUSH_ALLOW_PRIVATE_ENDPOINTS": "maybe"}, "must be true or false, is maybe"),
        ({"FCM_BASE_URL": "http://a"}, "RINGONCE_FCM_BASE_URL: must be a URL that starts with https://"),
        ({"FCM_CONNECTIONS": "0"}, "RINGONCE_FCM_CONNECTIONS: must be at least 1, is 0"),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_PASSWORD": "hunter2"},
            "RINGONCE_SASL_USERNAME: must be set, because RINGONCE_SECURITY_PROTOCOL is",
        ),
        (
            {"GRACE_SECONDS": "14"},
            "RINGONCE_GRACE_SECONDS: must cover a request (10 s) and the clock skew (5 s), is 14",
        ),
        ({"HEARTBEAT_SECONDS": "4"}, "RINGONCE_HEARTBEAT_SECONDS: must be at most a third of"),
    ],
)
def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], line: str) -> None:
    """The line names the setting, what it must be, and what it is."""
    for name, value in environment.items():
        monkeypatch.setenv(f"RINGONCE_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mistakes are two lines, so that nobody mends them one start at a time."""
    monkeypatch.setenv("RINGONCE_PARTITIONS", "0")
    monkeypatch.setenv("RINGONCE_WEB_PORT", "-1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "RINGONCE_PARTITIONS",
        "RINGONCE_WEB_PORT",
    ]


@pytest.mark.parametrize("url", ["https://me:hunter2@registry", "ftp://me:hunter2@registry"])
def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Neither an error nor the settings themselves show a password, also not one in a URL."""
    monkeypatch.setenv("RINGONCE_SCHEMA_REGISTRY_URL", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    monkeypatch.delenv("RINGONCE_SCHEMA_REGISTRY_URL")
    monkeypatch.setenv("RINGONCE_SASL_PASSWORD", "hunter2")
    assert "hunter2" not in repr(load_settings())


def test_the_environment_reaches_nested_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A provider is on once its credentials are there."""
    key = tmp_path / "key.p8"
    key.touch()
    assert not load_settings().apns.enabled
    for name, value in {"KEY_FILE": str(key), "KEY_ID": "K", "TEAM_ID": "T", "TOPIC": "app"}.items():
        monkeypatch.setenv(f"RINGONCE_APNS_{name}", value)
    settings = load_settings()
    assert settings.apns.enabled
    assert (settings.apns.key_file, settings.apns.topic) == (key, "app")
    assert not settings.fcm.enabled


def test_kafka_client_options_carry_the_credentials() -> None:
    """What aiokafka gets: the address, TLS, and the password in clear."""
    settings = load_settings(
        bootstrap="a:1,b:2", security_protocol="SASL_SSL", sasl_username="me", sasl_password="hunter2"
    )
    options = kafka_client_options(settings)
    assert options.pop("ssl_context").check_hostname
    assert options == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "hunter2",
    }


def test_no_address_is_a_clear_error() -> None:
    """A worker without a bootstrap address says which setting it wants."""
    with pytest.raises(SettingsError, match=r"^RINGONCE_BOOTSTRAP: must be set"):
        kafka_client_options(load_settings())


def test_the_environment_of_apns_chooses_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production by default, Apple's sandbox where it is asked for, and a base URL of one's own before both."""
    assert load_settings().apns.url == "https://api.push.apple.com"
    monkeypatch.setenv("RINGONCE_APNS_ENVIRONMENT", "sandbox")
    assert load_settings().apns.url == "https://api.sandbox.push.apple.com"
    monkeypatch.setenv("RINGONCE_APNS_BASE_URL", "https://localhost:8443")
    assert load_settings().apns.url == "https://localhost:8443"
