"""What commands share that ask a worker: where it is, what it answers, and how people write instants and names."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from streams.commands.terminal import fail
from streams.publish.instants import duration_ms, instant_ms
from streams.settings import Settings, load_settings

ASK_SECONDS_MAX = 10.0
MOVING_SECONDS_MAX = 15.0  # a partition that moves to another worker is there again in less
AGAIN_SECONDS = 0.5


def get(url: str, query: Mapping[str, str] | None = None) -> Any:
    """Return what a worker answers, as JSON; end the command where it answers anything but 200.

    While it answers 503, because partitions move, it is asked again for a while.
    """
    key = load_settings().api.key
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    until = time.monotonic() + MOVING_SECONDS_MAX
    try:
        with httpx.Client(headers=headers, timeout=ASK_SECONDS_MAX, trust_env=False) as client:
            while (answer := client.get(url, params=query)).status_code == 503 and time.monotonic() < until:
                time.sleep(AGAIN_SECONDS)
    except httpx.HTTPError as error:
        fail(f"no worker answers at {url}: {error or type(error).__name__}; is one running? --url names another one")
    try:
        document = answer.json()
    except ValueError:
        fail(f"{url} is no worker of ringonce: it answers {answer.status_code} without JSON")
    if answer.status_code == 401:
        fail(f"{document.get('detail', document)}; RINGONCE_API_KEY is the key that commands send")
    if answer.status_code != 200:
        fail(str(document.get("detail", document)))
    return document


def worker_url(settings: Settings) -> str:
    """Return where the workers of these settings answer, if the settings say so."""
    host = settings.web_advertised_host or settings.web_host
    if not settings.web_port:
        fail("the workers listen on any free port: name one with --url", 2)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.web_port}"


def quoted(part: str) -> str:
    """Return a name as a part of a path; a dot segment would be taken out of it on its way."""
    return quote(part, safe="").replace(".", "%2E")


def shown(at: int | None) -> str:
    """Return an instant for people."""
    if at is None:
        return "?"
    try:
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(at)


def instant(option: str, text: str | None) -> int | None:
    """Read the instant that an option gives."""
    try:
        return None if text is None else instant_ms(text)
    except ValueError as error:
        fail(f"{option}: {error}", 2)


def instant_in(option: str, text: str | None) -> int | None:
    """Read the instant that an option gives as a time from now."""
    try:
        return None if text is None else now_ms() + duration_ms(text)
    except ValueError as error:
        fail(f"{option}: {error}", 2)


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
