"""Answer → outcome, by RFC 8030 and RFC 8292. Pure.

The RFCs give statuses but no words, and each push service words its bodies in its own way, so the reasons are ours.
Nothing in them says that a 5xx proves refusal, so it is `Unknown`. A redirect says that the request was not taken here
(RFC 9110 section 15.4) and is not followed: the endpoint is user input.
"""

from __future__ import annotations

from connectors.http import Answer
from connectors.http.outcomes import Refusal, outcome_of_status
from connectors.outcome import Outcome

UNAUTHORIZED = "unauthorized"
FORBIDDEN = "forbidden"


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
    return outcome_of_status(answer, now, REFUSALS)
