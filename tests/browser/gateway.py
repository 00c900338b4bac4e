"""What tests ask a worker directly, beside the page: to have something to look at, and to see what came of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from tests.browser.watched import SECONDS_MAX
from tests.integration.system import now_ms

LOOK_SECONDS = 0.1


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    """Ask a worker for something that it takes."""
    answer = httpx.post(url + path, json=body, timeout=SECONDS_MAX, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def until(url: str, path: str, is_so: Callable[[Any], bool]) -> Any:
    """Ask until this is so. Raises AssertionError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while time.monotonic() < give_up_at:
        answer = httpx.get(url + path, timeout=SECONDS_MAX, trust_env=False)
        if answer.is_success and is_so(answer.json()):
            return answer.json()
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"{path}: the last answer was {answer.text[:500]}")


def sent(url: str, user: str, kind: str, **values: Any) -> str:
    """Send a notification, and return its id."""
    values.setdefault("notification_id", f"n-{uuid.uuid4().hex[:10]}")
    post(url, "/notifications", {"user_id": user, "type": kind, "data": {"order": "1"}, **values})
    return str(values["notification_id"])


def scheduled(url: str, user: str, kind: str, in_ms: int = 3_600_000, **values: Any) -> str:
    """Schedule a notification for later, and return its id once it waits."""
    name = sent(url, user, kind, send_at=now_ms() + in_ms, **values)
    until(url, "/schedule?limit=1000", lambda each: name in [n["notification_id"] for n in each["notifications"]])
    return name
