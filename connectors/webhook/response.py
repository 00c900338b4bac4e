"""Answer → outcome, by Standard Webhooks, "Delivery success and failure", and RFC 9110. Pure.

A receiver is somebody's program: only a status that says that the request was not taken is certain. A 5xx says nothing
of the kind, nor does a gateway that got no answer in time. A redirect is not followed, the endpoint is user input: 301,
307 and 308 say that the request belongs elsewhere; 302 and 303 are what programs answer after they have done what was
asked (section 15.4.4), so they prove nothing, nor does 409, the word for what is there already.
"""

from __future__ import annotations

from connectors.http import Answer
from connectors.http.outcomes import Refusal, outcome_of_status
from connectors.outcome import Outcome

REFUSALS = {
    400: Refusal("bad_request"),
    401: Refusal("unauthorized"),
    403: Refusal("forbidden"),
    404: Refusal("not_found", retry=True),  # also where a receiver is just being deployed
    408: Refusal("request_timeout", retry=True),  # section 15.5.9: it did not come whole in time
    410: Refusal("gone", gone=True),  # "Sender should disable the webhook endpoint"
    413: Refusal("payload_too_large"),
    421: Refusal("misdirected_request", retry=True),  # section 15.5.20: by another connection
    425: Refusal("too_early", retry=True),  # RFC 8470 section 5.2
    429: Refusal("too_many_requests", retry=True),
}
UNPROVEN = (300, 302, 303, 304, 409)


def outcome_of_answer(answer: Answer, now: float) -> Outcome:
    """The outcome of one answer at `now` (epoch seconds)."""
    return outcome_of_status(answer, now, REFUSALS, UNPROVEN)
