"""Answer → outcome, by Firebase's "ErrorCode" and Google Cloud's error model (google.rpc.Status). Pure.

FCM has answered 503 for pushes that it delivered, and its messages have no idempotency key: every 5xx is `Unknown`,
UNAVAILABLE and INTERNAL included, whatever Firebase says of retrying them. It says when: not before 10 seconds, nor
before what a Retry-After header says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.http import Answer
from connectors.http.outcomes import retry_after_seconds
from connectors.json_text import json_object
from connectors.outcome import Accepted, NotSent, Outcome, Unknown

# Firebase, "Handling retries": the shortest wait after an error of the server.
SERVER_ERROR_WAIT_SECONDS_MIN = 10.0
UNAUTHENTICATED = "UNAUTHENTICATED"
_TARGETS = frozenset(("message.token", "message.fid"))
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a code means: the fields are those of `NotSent`; `gone`: the token is of no use any more."""

    retry: bool = False
    retry_after_seconds: float | None = None
    gone: bool = False
    provider_wide: bool = False


# FcmError.errorCode, as far as it comes with a 4xx, then google.rpc.Code for what fails before FCM sees it. What
# concerns the credentials is worth another attempt once a person has mended it, so the backlog waits.
REFUSALS = {
    # Judged by its detail: see `_names_the_token`.
    "INVALID_ARGUMENT": Refusal(),
    "UNREGISTERED": Refusal(gone=True),
    # The token belongs to another Firebase project: this one can never use it, but it may be ours that is wrong.
    "SENDER_ID_MISMATCH": Refusal(),
    # Firebase, "Handling retries": without a Retry-After header, wait 60 seconds.
    "QUOTA_EXCEEDED": Refusal(retry=True, retry_after_seconds=60.0, provider_wide=True),
    # The APNs certificate or the Web Push key that FCM holds is wrong; Android devices are not concerned.
    "THIRD_PARTY_AUTH_ERROR": Refusal(retry=True),
    UNAUTHENTICATED: Refusal(retry=True, provider_wide=True),
    "PERMISSION_DENIED": Refusal(retry=True, provider_wide=True),
    "RESOURCE_EXHAUSTED": Refusal(retry=True, retry_after_seconds=60.0, provider_wide=True),
    # Without UNREGISTERED it is the project that does not exist.
    "NOT_FOUND": Refusal(retry=True, provider_wide=True),
    "FAILED_PRECONDITION": Refusal(),
    "OUT_OF_RANGE": Refusal(),
}
# A code that Google adds later.
_UNLISTED = {401: REFUSALS[UNAUTHENTICATED], 429: REFUSALS["RESOURCE_EXHAUSTED"]}


def outcome_of_answer(answer: Answer, now: float) -> Outcome:
    """The outcome of one answer at `now` (epoch seconds)."""
    said = json_object(answer.body)
    if 200 <= answer.status < 300:
        name = said.get("name")
        return Accepted(answer.status, name if isinstance(name, str) else "")
    error = said.get("error")
    error = error if isinstance(error, dict) else {}
    # Without a code of Google's a 401 is still one of the access token, which can be renewed.
    code = _error_code(error) or (UNAUTHENTICATED if answer.status == 401 else f"http_{answer.status}")
    wait_seconds = retry_after_seconds(answer.headers, now)
    if answer.status >= 500:
        return Unknown(code, answer.status, max(SERVER_ERROR_WAIT_SECONDS_MIN, wait_seconds or 0.0))
    refusal = REFUSALS.get(code) or _UNLISTED.get(answer.status) or Refusal()
    if code == "INVALID_ARGUMENT" and _names_the_token(error):
        refusal = Refusal(gone=True)
    if code == "QUOTA_EXCEEDED" and "device" in str(error.get("message", "")).lower():
        # The same code for too many messages to one device ("Device Message Rate Exceeded").
        refusal = Refusal(retry=True, retry_after_seconds=60.0)
    return NotSent(
        code,
        retry=refusal.retry,
        status=answer.status,
        retry_after_seconds=refusal.retry_after_seconds if wait_seconds is None else wait_seconds,
        gone_at_ms=int(now * 1000) if refusal.gone else None,
        provider_wide=refusal.provider_wide,
    )


def _error_code(error: dict[str, Any]) -> str:
    """FCM's own code where there is one, else Google's general one."""
    for detail in _details(error, _FCM_ERROR):
        code = detail.get("errorCode")
        if isinstance(code, str) and code:
            return code
    status = error.get("status")
    return status if isinstance(status, str) else ""


def _names_the_token(error: dict[str, Any]) -> bool:
    """Whether an INVALID_ARGUMENT is about the address, not about what we say with it.

    A violation names its field; Google's own example of an invalid token has no violation, only this message: "The
    registration token is not a valid FCM registration token".
    """
    fields = [
        violation.get("field")
        for detail in _details(error, _BAD_REQUEST)
        for violation in detail.get("fieldViolations") or []
        if isinstance(violation, dict)
    ]
    if fields:
        return not _TARGETS.isdisjoint(map(str, fields))
    said = str(error.get("message", "")).lower()
    return "registration token" in said or "installation id" in said


def _details(error: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    details = error.get("details")
    if not isinstance(details, list):
        return []
    return [detail for detail in details if isinstance(detail, dict) and detail.get("@type") == kind]
