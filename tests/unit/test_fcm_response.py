"""Answer → outcome for FCM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.fcm.response import outcome_of_answer
from connectors.http import Answer
from connectors.outcome import Accepted, NotSent, Outcome, Unknown

NOW = 1_700_000_000.0
NOW_MS = 1_700_000_000_000
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def outcome(
    code: int,
    status: str = "",
    error_code: str = "",
    message: str = "",
    field: str = "",
    headers: dict[str, str] | None = None,
) -> Outcome:
    details: list[dict[str, Any]] = []
    if error_code:
        details.append({"@type": FCM_ERROR, "errorCode": error_code})
    if field:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "d"}]})
    error = {"code": code, "message": message, "status": status, "details": details}
    return outcome_of_answer(Answer(code, headers or {}, json.dumps({"error": error}).encode()), NOW)


def test_a_200_is_accepted_with_the_name_of_the_message() -> None:
    """The message's name is the reference."""
    assert outcome_of_answer(Answer(200, {}, b'{"name": "projects/p/messages/1"}'), NOW) == Accepted(
        200, "projects/p/messages/1"
    )


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "name", ["", "projects/p/messages/0:15%31", 'a "b" \\ c', "Grüße", "line\nbreak", "\ud800", 7, None]
)
def test_the_name_is_what_json_says_it_is(name: object, indent: int | None) -> None:
    """Whether it is taken out of the usual answer, or the whole of it is parsed."""
    expected = Accepted(200, name if isinstance(name, str) else "")
    for document in ({"name": name}, {"name": name, "more": 1}, {"more": {}, "name": name}):
        body = json.dumps(document, indent=indent).encode()
        assert outcome_of_answer(Answer(200, {}, body + b"\r\n"), NOW) == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"name": "a"', b'{"name": "a"} x', b'{"name": "a\nb"}', b'{"name"\x0b: "a"}', b'["name"]', b"\xff"],
)
def test_a_200_that_is_no_document_of_fcm_is_accepted_without_a_name(body: bytes) -> None:
    """Accepted is what the status says; a parser would refuse all of these."""
    assert outcome_of_answer(Answer(200, {}, body), NOW) == Accepted(200, "")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            outcome(404, "NOT_FOUND", "UNREGISTERED"),
            NotSent("UNREGISTERED", retry=False, status=404, gone_at_ms=NOW_MS),
        ),
        (
            outcome(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
            NotSent("SENDER_ID_MISMATCH", retry=False, status=403),
        ),
        (
            outcome(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
            NotSent("QUOTA_EXCEEDED", retry=True, status=429, retry_after_seconds=60.0, provider_wide=True),
        ),
        (
            outcome(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", headers={"retry-after": "5"}),
            NotSent("QUOTA_EXCEEDED", retry=True, status=429, retry_after_seconds=5.0, provider_wide=True),
        ),
        (
            outcome(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Device Message Rate Exceeded"),
            NotSent("QUOTA_EXCEEDED", retry=True, status=429, retry_after_seconds=60.0),
        ),
        (
            outcome(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "The registration token is not valid"),
            NotSent("INVALID_ARGUMENT", retry=False, status=400, gone_at_ms=NOW_MS),
        ),
        (
            outcome(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Invalid ttl", "message.android.ttl"),
            NotSent("INVALID_ARGUMENT", retry=False, status=400),
        ),
        (
            outcome(400, "INVALID_ARGUMENT", "", "Invalid registration", "message.token"),
            NotSent("INVALID_ARGUMENT", retry=False, status=400, gone_at_ms=NOW_MS),
        ),
        (
            outcome(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
            NotSent("THIRD_PARTY_AUTH_ERROR", retry=True, status=401),
        ),
        (
            outcome(401, "UNAUTHENTICATED"),
            NotSent("UNAUTHENTICATED", retry=True, status=401, provider_wide=True),
        ),
        (
            outcome(403, "PERMISSION_DENIED"),
            NotSent("PERMISSION_DENIED", retry=True, status=403, provider_wide=True),
        ),
        (outcome(503, "UNAVAILABLE", "UNAVAILABLE"), Unknown("UNAVAILABLE", 503, 10.0)),
        (
            outcome(503, "UNAVAILABLE", "UNAVAILABLE", headers={"retry-after": "120"}),
            Unknown("UNAVAILABLE", 503, 120.0),
        ),
        (
            outcome(500, "INTERNAL", "INTERNAL", headers={"retry-after": "1"}),
            Unknown("INTERNAL", 500, 10.0),
        ),
        (
            outcome(400, "INVALID_ARGUMENT", "", "Invalid Firebase Installation ID", "message.fid"),
            NotSent("INVALID_ARGUMENT", retry=False, status=400, gone_at_ms=NOW_MS),
        ),
        (outcome(500, "INTERNAL", "INTERNAL"), Unknown("INTERNAL", 500, 10.0)),
        (outcome(418, "NEW_STATUS", "NEW_CODE"), NotSent("NEW_CODE", retry=False, status=418)),
    ],
)
def test_each_error_of_fcm_becomes_its_outcome(given: Outcome, expected: Outcome) -> None:
    """FCM's own code decides, else Google's; a 5xx proves nothing, even where Firebase says to retry."""
    assert given == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 7}', b'{"error": {"details": 7, "status": 7}}'])
def test_an_answer_that_is_not_googles_is_judged_by_its_status(body: bytes) -> None:
    """A proxy's 502 is unknown, its 400 a refusal."""
    assert outcome_of_answer(Answer(502, {}, body), NOW) == Unknown("http_502", 502, 10.0)
    assert outcome_of_answer(Answer(400, {}, body), NOW) == NotSent("http_400", retry=False, status=400)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error": {"status": 7}}'])
def test_a_401_or_429_without_googles_words_is_judged_by_its_status(body: bytes) -> None:
    """The access token is renewed as for UNAUTHENTICATED; a 429 waits for the minute that Firebase asks for."""
    unauthenticated = NotSent("UNAUTHENTICATED", retry=True, status=401, provider_wide=True)
    assert outcome_of_answer(Answer(401, {}, body), NOW) == unauthenticated
    throttled = NotSent("http_429", retry=True, status=429, retry_after_seconds=60.0, provider_wide=True)
    assert outcome_of_answer(Answer(429, {}, body), NOW) == throttled


def test_a_code_that_google_adds_later_is_judged_by_its_status() -> None:
    """Its word is kept."""
    assert outcome(401, "NEW") == NotSent("NEW", retry=True, status=401, provider_wide=True)
    throttled = NotSent("NEW", retry=True, status=429, retry_after_seconds=60.0, provider_wide=True)
    assert outcome(429, "NEW") == throttled
