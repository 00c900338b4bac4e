"""docs/providers.md names every reason that the code knows, with what becomes of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import connectors.apns.response
import connectors.fcm.response
import connectors.webhook.response
import connectors.webpush.response

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S.*?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))

KNOWN: list[tuple[str, str, bool]] = [
    *(("APNs", reason, refusal.gone) for reason, refusal in connectors.apns.response.REFUSALS.items()),
    *(("FCM", code, refusal.gone) for code, refusal in connectors.fcm.response.REFUSALS.items()),
    *(("Web Push", refusal.reason, refusal.gone) for refusal in connectors.webpush.response.REFUSALS.values()),
    *(("Webhook", refusal.reason, refusal.gone) for refusal in connectors.webhook.response.REFUSALS.values()),
]


@pytest.mark.parametrize(("provider", "reason", "gone"), KNOWN, ids=[f"{name} {reason}" for name, reason, _ in KNOWN])
def test_each_reason_is_in_the_table_of_its_provider(provider: str, reason: str, gone: bool) -> None:
    """And the table says that the device is gone exactly where the code says so."""
    rows = [line for line in SECTIONS[provider].splitlines() if f"`{reason}`" in line and line.startswith("|")]
    assert rows, f"{reason} is not in docs/providers.md"
    said = {row.rsplit("|", 2)[1].strip().startswith("gone") for row in rows}
    if (provider, reason) != ("FCM", "INVALID_ARGUMENT"):  # judged by its detail, so it stands there twice
        assert said == {gone}
