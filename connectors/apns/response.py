"""Answer → outcome, by Apple's "Handling notification responses from APNs". Pure.

Every 4xx is a refusal: Apple words each of its reasons as something that is wrong with the request, the credentials or
the device. A 5xx proves nothing: Apple says only that one may retry after 15 minutes, not that nothing was taken, and a
`Shutdown` may overtake a push that went through. So 5xx is `Unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.http import Answer
from connectors.http.outcomes import retry_after_seconds
from connectors.json_text import json_object
from connectors.outcome import Accepted, NotSent, Outcome, Unknown

# "You can retry ... with a delay"; for 5xx Apple advises to begin the waits with 15 minutes.
SERVER_ERROR_WAIT_SECONDS = 900.0
# "Retry with a delay" after TooManyRequests, without a figure: a minute, as for the other 429.
THROTTLED_WAIT_SECONDS = 60.0
EXPIRED_PROVIDER_TOKEN = "ExpiredProviderToken"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a reason means: the fields are those of `NotSent`; `gone`: the token is of no use any more."""

    status: int
    retry: bool = False
    retry_after_seconds: float | None = None
    gone: bool = False
    provider_wide: bool = False


# "Understand error codes", table of the `reason` values, complete but for those with 5xx. What concerns a setting (the
# signing key, the topic) is worth another attempt once a person has mended it, so the backlog waits instead of being
# given up. Apple: do not retry BadDeviceToken, DeviceTokenNotForTopic, Forbidden, ExpiredToken, Unregistered,
# PayloadTooLarge. BadDeviceToken is also what a right token of the other environment gets: to remove devices for it
# would remove all of them when a setting is wrong, so only what comes with 410 says that an address is gone.
REFUSALS = {
    "BadCollapseId": Refusal(400),
    "BadDeviceToken": Refusal(400),
    "BadExpirationDate": Refusal(400),
    "BadMessageId": Refusal(400),
    "BadPriority": Refusal(400),
    "BadTopic": Refusal(400, retry=True, provider_wide=True),
    "DeviceTokenNotForTopic": Refusal(400),
    "DuplicateHeaders": Refusal(400),
    "IdleTimeout": Refusal(400, retry=True),
    "InvalidPushType": Refusal(400),
    "MissingDeviceToken": Refusal(400),
    "MissingTopic": Refusal(400, retry=True, provider_wide=True),
    "PayloadEmpty": Refusal(400),
    "TopicDisallowed": Refusal(400, retry=True, provider_wide=True),
    "BadCertificate": Refusal(403, retry=True, provider_wide=True),
    "BadCertificateEnvironment": Refusal(403, retry=True, provider_wide=True),
    EXPIRED_PROVIDER_TOKEN: Refusal(403, retry=True, provider_wide=True),
    "Forbidden": Refusal(403),
    "InvalidProviderToken": Refusal(403, retry=True, provider_wide=True),
    "MissingProviderToken": Refusal(403, retry=True, provider_wide=True),
    "UnrelatedKeyIdInToken": Refusal(403, retry=True, provider_wide=True),
    "BadEnvironmentKeyIdInToken": Refusal(403, retry=True, provider_wide=True),
    "BadEnvironmentKeyInToken": Refusal(403, retry=True, provider_wide=True),  # so the service says it, not the table
    "BadPath": Refusal(404),
    "MethodNotAllowed": Refusal(405),
    "ExpiredToken": Refusal(410, gone=True),
    "Unregistered": Refusal(410, gone=True),
    "PayloadTooLarge": Refusal(413),
    # "Update the authentication token no more than once every 20 minutes": the one that we have may serve meanwhile,
    # and one minute is the shortest wait that is no hammering.
    "TooManyProviderTokenUpdates": Refusal(
        429, retry=True, retry_after_seconds=THROTTLED_WAIT_SECONDS, provider_wide=True
    ),
    # "Too many requests were made consecutively to the same device token."
    "TooManyRequests": Refusal(429, retry=True, retry_after_seconds=THROTTLED_WAIT_SECONDS),
}


def outcome_of_answer(answer: Answer, now: float) -> Outcome:
    """The outcome of one answer at `now` (epoch seconds)."""
    if 200 <= answer.status < 300:
        return Accepted(answer.status, answer.headers.get("apns-id", ""))
    said = json_object(answer.body)
    reason = said.get("reason")
    if not isinstance(reason, str) or not reason:
        reason = f"http_{answer.status}"
    wait_seconds = retry_after_seconds(answer.headers, now)
    if answer.status >= 500:
        return Unknown(reason, answer.status, SERVER_ERROR_WAIT_SECONDS if wait_seconds is None else wait_seconds)
    refusal = REFUSALS.get(reason) or _by_status(answer.status)
    gone_at_ms = None
    if refusal.gone:
        # Only a 410 carries it: when APNs first knew that the token was no longer good for the topic.
        timestamp = said.get("timestamp")
        gone_at_ms = timestamp if type(timestamp) is int and timestamp > 0 else int(now * 1000)
    return NotSent(
        reason,
        retry=refusal.retry,
        status=answer.status,
        retry_after_seconds=refusal.retry_after_seconds if wait_seconds is None else wait_seconds,
        gone_at_ms=gone_at_ms,
        provider_wide=refusal.provider_wide,
    )


def _by_status(status: int) -> Refusal:
    """A reason that Apple adds later. 403: "an error with the certificate or with the provider's token"."""
    if status == 429:
        return REFUSALS["TooManyRequests"]
    return Refusal(status, retry=status == 403, gone=status == 410, provider_wide=status == 403)
