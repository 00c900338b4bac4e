"""The connectors that a worker's settings ask for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from connectors.outcome import ProviderName
from connectors.simulators import ProviderSimulators
from streams.connect import open_connectors
from streams.demo.processes import provider_environment
from streams.setting_error import SettingsError
from streams.settings import load_settings


def test_a_provider_without_credentials_is_off() -> None:
    """Without any setting there is no connector."""
    assert open_connectors(load_settings()) == {}


def test_each_provider_has_its_connector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the settings that lead to the simulators there is one of each name."""

    async def scenario() -> None:
        async with ProviderSimulators(tmp_path) as simulators:
            for name, value in provider_environment(simulators.description()).items():
                monkeypatch.setenv(name, value)
            connectors = open_connectors(load_settings())
            assert {name: connector.name for name, connector in connectors.items()} == {
                name: name for name in ProviderName
            }
            for connector in connectors.values():
                await connector.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("variable", "others"),
    [
        ("RINGONCE_APNS_KEY_FILE", {"APNS_KEY_ID": "k", "APNS_TEAM_ID": "t", "APNS_TOPIC": "a"}),
        ("RINGONCE_FCM_SERVICE_ACCOUNT_FILE", {}),
        ("RINGONCE_WEBPUSH_VAPID_KEY_FILE", {"WEBPUSH_SUBJECT": "mailto:a@b.example"}),
        ("RINGONCE_WEBHOOK_SECRET_FILE", {}),
    ],
)
def test_credentials_that_are_none_are_named_by_their_variable(
    variable: str, others: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the environment variable, and nothing of what is in the file."""
    file = tmp_path / "credentials"
    file.write_text("hunter2", encoding="ascii")
    monkeypatch.setenv(variable, str(file))
    for name, value in others.items():
        monkeypatch.setenv(f"RINGONCE_{name}", value)
    with pytest.raises(SettingsError) as caught:
        open_connectors(load_settings())
    assert str(caught.value).startswith(variable)
    assert "hunter2" not in str(caught.value)
