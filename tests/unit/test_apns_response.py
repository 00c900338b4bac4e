"""Answer → outcome for APNs."""

from __future__ import annotations

import json

import pytest

from connectors.apns.response import REFUSALS, outcome_of_answer
from connectors.http import Answer
from connectors.outcome import Accepted, NotSent, Unknown

NOW = 1_700_000_000.0


def answer(status: int, headers: dict[str, str] | None = None, **body: object) -> Answer:
    return Answer(status, headers or {}, json.dumps(body).encode() if body else b"")


def test_a_200_is_accepted_with_the_id() -> None:
    """The apns-id of the answer is the reference."""
    assert outcome_of_answer(answer(200, {"apns-id": "I"}), NOW) == Accepted(200, "I")


@pytest.mark.parametrize("reason", REFUSALS)
def test_every_documented_reason_is_a_certain_refusal_in_apples_word(reason: str) -> None:
    """Each reason of the table gives NotSent with that reason and what the table says of it."""
    refusal = REFUSALS[reason]
    outcome = outcome_of_answer(answer(refusal.status, reason=reason), NOW)
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.status) == (reason, refusal.status)
    assert (outcome.retry, outcome.provider_wide) == (refusal.retry, refusal.provider_wide)
    assert (outcome.gone_at_ms is not None) == refusal.gone


@pytest.mark.parametrize("reason", ["BadDeviceToken", "Forbidden", "ExpiredToken", "Unregistered", "PayloadTooLarge"])
def test_what_apple_says_not_to_retry_is_not_retried(reason: str) -> None:
    """Apple's list of reasons that are final."""
    assert not REFUSALS[reason].retry


def test_a_410_says_since_when_the_token_is_gone() -> None:
    """The timestamp of the answer is milliseconds, and is taken as it is."""
    outcome = outcome_of_answer(answer(410, reason="Unregistered", timestamp=1_699_000_000_123), NOW)
    assert isinstance(outcome, NotSent)
    assert outcome.gone_at_ms == 1_699_000_000_123


@pytest.mark.parametrize("timestamp", [None, 0, -1, "1699000000123", True, 1e12])
def test_a_410_without_a_usable_timestamp_means_now(timestamp: object) -> None:
    """The address is gone since the answer."""
    outcome = outcome_of_answer(answer(410, reason="ExpiredToken", timestamp=timestamp), NOW)
    assert isinstance(outcome, NotSent)
    assert outcome.gone_at_ms == 1_700_000_000_000


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
def test_a_token_of_another_environment_or_app_is_not_removed(reason: str) -> None:
    """It may be the setting that is wrong, for all devices at once."""
    assert outcome_of_answer(answer(400, reason=reason), NOW) == NotSent(reason, retry=False, status=400)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, NotSent("New", retry=False, status=400)),
        (403, NotSent("New", retry=True, status=403, provider_wide=True)),
        (410, NotSent("New", retry=False, status=410, gone_at_ms=1_700_000_000_000)),
        (429, NotSent("New", retry=True, status=429, retry_after_seconds=60.0)),
    ],
)
def test_a_reason_that_apple_adds_later_is_judged_by_its_status(status: int, expected: NotSent) -> None:
    """What concerns the credentials concerns all pushes, and waits for a person."""
    assert outcome_of_answer(answer(status, reason="New"), NOW) == expected


def test_too_many_requests_concern_the_device_and_too_many_tokens_concern_all() -> None:
    """The two 429 differ in whom they concern."""
    device = outcome_of_answer(answer(429, {"retry-after": "7"}, reason="TooManyRequests"), NOW)
    assert device == NotSent("TooManyRequests", retry=True, status=429, retry_after_seconds=7.0)
    everyone = outcome_of_answer(answer(429, reason="TooManyProviderTokenUpdates"), NOW)
    assert isinstance(everyone, NotSent)
    assert everyone.provider_wide
    assert everyone.retry_after_seconds == 60.0


@pytest.mark.parametrize(("status", "reason"), [(500, "InternalServerError"), (503, "Shutdown"), (503, "New")])
def test_a_5xx_proves_nothing(status: int, reason: str) -> None:
    """Whatever reason Apple gives with a 5xx, the push may have been sent."""
    assert outcome_of_answer(answer(status, reason=reason), NOW) == Unknown(reason, status, 900.0)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"reason": 5}', b"[" * 50_000])
def test_an_answer_without_a_reason_is_judged_by_its_status(body: bytes) -> None:
    """A 4xx that says nothing readable is a refusal without another attempt."""
    assert outcome_of_answer(Answer(400, {}, body), NOW) == NotSent("http_400", retry=False, status=400)
