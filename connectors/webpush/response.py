"""Answer → outcome, by RFC 8030 and RFC 8292. Pure.

The RFCs give statuses but no words, and each push service words its bodies in its own way, so the reasons are ours.
Nothing in them says that a 5xx proves refusal, so it is `Unknown`. A redirect says that the request was not taken here
(RFC 9110 section 15.4) and is not followed: the endpoint is user input.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.http import Answer
from connectors.http.outcomes import retry_after_seconds
from connectors.outcome import Accepted, NotSent, Outcome, Unknown

UNAUTHORIZED = "unauthorized"
FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a status means; `gone`: the subscription is of no use any more."""

    reason: str
    retry: bool = False
    gone: bool = False


REFUSALS = {
    400: Refusal("bad_request"),  # RFC 8030 section 5.2: TTL missing or malformed; services: malformed encryption
    401: Refusal(UNAUTHORIZED),  # RFC 8292 section 4.2: no VAPID header
    403: Refusal(FORBIDDEN),  # RFC 8292 section 4.2: the token is not valid, or the subscription is for another key
    404: Refusal("not_found", gone=True),  # RFC 8030 section 7.3: expired subscription
    410: Refusal("gone", gone=True),  # the same, as most services say it
    413: Refusal("payload_too_large"),  # RFC 8030 section 7.2
    429: Refusal("too_many_requests", retry=True),  # RFC 8030 section 8.4, with Retry-After
}


def outcome_of_answer(answer: Answer, now: float) -> Outcome:
    """The outcome of one answer at `now` (epoch seconds). 201 is RFC 8030's answer, 200 and 202 are seen as well."""
    if 200 <= answer.status < 300:
        return Accepted(answer.status, answer.headers.get("location", ""))
    if answer.status >= 500:
        return Unknown(f"http_{answer.status}", answer.status, retry_after_seconds(answer.headers, now))
    refusal = REFUSALS.get(answer.status) or Refusal(f"http_{answer.status}")
    return NotSent(
        refusal.reason,
        retry=refusal.retry,
        status=answer.status,
        retry_after_seconds=retry_after_seconds(answer.headers, now),
        gone_at_ms=int(now * 1000) if refusal.gone else None,
    )
