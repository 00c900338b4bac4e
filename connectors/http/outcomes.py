"""From what HTTP says to what the project says: the part that is the same for several providers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from connectors.exchange import CONNECT_FAILED, DEADLINE_PASSED, HEADERS_TOO_LARGE, Answer, Failure
from connectors.outcome import Accepted, NotSent, Outcome, Unknown

# The name of an endpoint resolves to no public address.
PRIVATE_ADDRESS = "private_address"
# More origins are busy than the connector speaks to at a time.
TOO_MANY_ORIGINS = "too_many_origins"
# Nothing that we send again would fare better.
_FINAL = frozenset((DEADLINE_PASSED, HEADERS_TOO_LARGE, PRIVATE_ADDRESS))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a status means, where it is certain that the request was not taken. `reason` is our word for it; `gone`: the
    address is of no use any more."""

    reason: str
    retry: bool = False
    gone: bool = False


def outcome_of_status(
    answer: Answer, now: float, refusals: Mapping[int, Refusal], unproven: Collection[int] = ()
) -> Outcome:
    """The outcome at `now` (epoch seconds) of an answer of which the status says all.

    Every 5xx may have been taken, and what is `unproven`; what is not among `refusals` is refused for good.
    """
    status, wait_seconds = answer.status, retry_after_seconds(answer.headers, now)
    if 200 <= status < 300:
        return Accepted(status, answer.headers.get("location", ""))
    if status >= 500 or status in unproven:
        return Unknown(f"http_{status}", status, wait_seconds)
    refusal = refusals.get(status) or Refusal(f"http_{status}")
    gone_at_ms = int(now * 1000) if refusal.gone else None
    return NotSent(refusal.reason, refusal.retry, status, wait_seconds, gone_at_ms)


def outcome_of_failure(failure: Failure, *, one_server: bool) -> NotSent | Unknown:
    """The outcome without an answer. `one_server`: a failed connect concerns every push to the provider."""
    if failure.may_have_arrived:
        return Unknown(failure.reason)
    return NotSent(
        failure.reason,
        retry=failure.reason not in _FINAL,
        provider_wide=one_server and failure.reason == CONNECT_FAILED,
    )


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """The Retry-After header, in seconds or as a date (RFC 9110 section 10.2.3); None where it is absent or wrong."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
