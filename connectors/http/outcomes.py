"""From what HTTP says to what the project says: the part that is the same for every provider."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from connectors.exchange import CONNECT_FAILED, DEADLINE_PASSED, HEADERS_TOO_LARGE, Failure
from connectors.outcome import NotSent, Unknown

# The name of an endpoint resolves to no public address.
PRIVATE_ADDRESS = "private_address"
# Nothing that we send again would fare better.
_FINAL = frozenset((DEADLINE_PASSED, HEADERS_TOO_LARGE, PRIVATE_ADDRESS))


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
