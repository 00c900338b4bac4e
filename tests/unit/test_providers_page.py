"""docs/providers.md names every reason that the code knows, and no other, with what becomes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from connectors.apns import response as apns
from connectors.fcm import response as fcm
from connectors.http import Answer
from connectors.outcome import Accepted, Outcome, Unknown
from connectors.webhook import response as webhook
from connectors.webpush import response as webpush

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S.*?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL))
NOW = 1_700_000_000.0
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
# Firebase, "ErrorCode", and google.rpc.Code: the status that each code comes with.
FCM_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "THIRD_PARTY_AUTH_ERROR": 401,
    "PERMISSION_DENIED": 403,
    "SENDER_ID_MISMATCH": 403,
    "NOT_FOUND": 404,
    "UNREGISTERED": 404,
    "QUOTA_EXCEEDED": 429,
    "RESOURCE_EXHAUSTED": 429,
}
# Messages by which one code has two meanings.
FCM_DETAILS = {
    "INVALID_ARGUMENT": "The registration token is not a valid FCM registration token",
    "QUOTA_EXCEEDED": "Device Message Rate Exceeded",
}


def from_apns(status: int, reason: str) -> Outcome:
    return apns.outcome_of_answer(Answer(status, {}, json.dumps({"reason": reason}).encode()), NOW)


def from_fcm(status: int, code: str, message: str = "") -> Outcome:
    error = {"message": message, "details": [{"@type": FCM_ERROR, "errorCode": code}]}
    return fcm.outcome_of_answer(Answer(status, {}, json.dumps({"error": error}).encode()), NOW)


# Provider, status, reason: all that the code makes of it.
KNOWN: list[tuple[str, int, str, list[Outcome]]] = [
    *(("APNs", row.status, reason, [from_apns(row.status, reason)]) for reason, row in apns.REFUSALS.items()),
    *(
        (
            "FCM",
            FCM_STATUS[code],
            code,
            [from_fcm(FCM_STATUS[code], code, said) for said in {"", FCM_DETAILS.get(code, "")}],
        )
        for code in fcm.REFUSALS
    ),
    *(
        ("Web Push", status, row.reason, [webpush.outcome_of_answer(Answer(status, {}, b""), NOW)])
        for status, row in webpush.REFUSALS.items()
    ),
    *(
        ("Webhook", status, row.reason, [webhook.outcome_of_answer(Answer(status, {}, b""), NOW)])
        for status, row in webhook.REFUSALS.items()
    ),
    *(
        ("Webhook", status, f"http_{status}" if status >= 400 else "http_3xx", [outcome])
        for status in webhook.UNPROVEN
        for outcome in [webhook.outcome_of_answer(Answer(status, {}, b""), NOW)]
    ),
    *(
        ("APNs", status, reason, [from_apns(status, reason)])
        for status, reason in ((500, "InternalServerError"), (503, "ServiceUnavailable"), (503, "Shutdown"))
    ),
    *(("FCM", status, code, [from_fcm(status, code)]) for status, code in ((500, "INTERNAL"), (503, "UNAVAILABLE"))),
]
PROVIDERS = ("APNs", "FCM", "Web Push", "Webhook")


def word_of(outcome: Outcome) -> str:
    """What the page calls it."""
    if isinstance(outcome, Accepted | Unknown):
        return "accepted" if isinstance(outcome, Accepted) else "unknown"
    if outcome.gone_at_ms is not None:
        return "gone"
    if not outcome.retry:
        return "final"
    return "again, all" if outcome.provider_wide else "again"


def rows_of(provider: str) -> list[tuple[str, str, str]]:
    """Statuses, reasons and what becomes of them: the rows of three cells whose first one is of statuses."""
    cells = [line.strip("|").split("|") for line in SECTIONS[provider].splitlines() if line.startswith("|")]
    return [(row[0], row[1], row[2].strip()) for row in cells if len(row) == 3 and re.search(r"\d", row[0])]


def word_in(cell: str) -> str:
    """The word of a row; where a token is renewed first, what comes then."""
    said = cell.partition("; then ")[2] if cell.startswith("a new ") else cell
    found = re.match(r"again, all|again|final|gone|accepted|unknown", said)
    assert found is not None, f"{cell!r} has no word of the page"
    return found[0]


@pytest.mark.parametrize(
    ("provider", "status", "reason", "outcomes"), KNOWN, ids=[f"{known[0]} {known[1]} {known[2]}" for known in KNOWN]
)
def test_each_reason_is_in_the_table_with_its_outcome(
    provider: str, status: int, reason: str, outcomes: list[Outcome]
) -> None:
    """With its status, the right word, and how long it waits where no Retry-After says so."""
    rows = [row for row in rows_of(provider) if f"`{reason}`" in row[1] and str(status) in row[0]]
    assert {word_in(cell) for _, _, cell in rows} == {word_of(outcome) for outcome in outcomes}
    for outcome in outcomes:
        wait_seconds = None if isinstance(outcome, Accepted) else outcome.retry_after_seconds
        shown = {None: "", 900.0: "15 minutes"}.get(wait_seconds, f"{wait_seconds or 0:g} s")
        assert any(shown in cell for _, _, cell in rows if word_in(cell) == word_of(outcome))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_table_has_no_reason_that_the_code_does_not_know(provider: str) -> None:
    """What was renamed or removed does not stay behind."""
    known = {reason for name, _, reason, _ in KNOWN if name == provider} | {"message.token", "message.fid"}
    named = {word for _, reasons, _ in rows_of(provider) for word in re.findall(r"`([^`]+)`", reasons)}
    assert {word for word in named if not re.fullmatch(r"http_.xx", word)} <= known
