"""What an answer of a user service says of a user, and whether it is asked again right away. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Final, NamedTuple

from streams.policies.profiles import Lookup, NotFound, Unavailable, Unusable, read_document

BODY_BYTES_MAX: Final = 65_536
AGAIN_MS_MAX: Final = (
    60_000  # whoever asks for more is asked after this nevertheless: a notification is of use for minutes
)
BACKOFF_MS_FIRST: Final = 100
RETRY_MS_MAX: Final = 2_000  # a user whose profile takes longer than this waits elsewhere


class Answer(NamedTuple):
    """`body`: None where it is longer than BODY_BYTES_MAX. `encoding`: what Content-Encoding says."""

    status: int
    body: bytes | None
    encoding: str = ""
    retry_after_seconds: float | None = None


class NoAnswer(NamedTuple):
    """`at_once`: the connection failed, and another one may not; a time-out has cost enough time already."""

    reason: str
    at_once: bool


def lookup_of(answer: Answer | NoAnswer, zone_named: Callable[[str], tzinfo | None]) -> Lookup:
    """Return what is known by an answer. Redirects are not followed: where they lead to, nobody has allowed."""
    if isinstance(answer, NoAnswer):
        return Unavailable(f"the user service: {answer.reason}", 0, answer.at_once)
    status, asked_seconds = answer.status, answer.retry_after_seconds
    again_ms = min(AGAIN_MS_MAX, int((asked_seconds or 0.0) * 1000))
    if status == 200:
        return _read(answer, zone_named)
    if status in (404, 410):
        return NotFound(f"the user service knows no such user ({status})")
    if status in (401, 403):
        reason = f"the user service refuses this worker ({status}): look at RINGONCE_USER_SERVICE_TOKEN_FILE"
        return Unavailable(reason, again_ms)
    if status in (408, 425, 429) or status >= 500:
        return Unavailable(
            f"the user service answers {status}",
            again_ms,
            status >= 500 or (status == 429 and asked_seconds is not None),
        )
    if 300 <= status < 400:
        return Unusable(f"the user service redirects ({status}), which is not followed: set RINGONCE_USER_SERVICE_URL")
    return Unusable(f"the user service answers {status}, neither 200 nor 404")


def _read(answer: Answer, zone_named: Callable[[str], tzinfo | None]) -> Lookup:
    if answer.encoding not in ("", "identity"):
        return Unusable(f"the user service answers in {answer.encoding[:40]!r}, which it was not asked for")
    if answer.body is None:
        return Unusable(f"the user service answers with more than {BODY_BYTES_MAX:,} bytes")
    try:
        return read_document(answer.body, zone_named)
    except ValueError as error:
        return Unusable(f"the answer of the user service cannot be used: {error}")


def retry_in_ms(found: Lookup, attempt: int, attempts: int, chance: float) -> int | None:
    """Return after how long it is asked again after the attempt of this number (first = 1), None: not now.

    The waits before attempts 2, 3 and 4 are drawn from 0 to 100, 200 and 400 ms, beyond what the service asked for.
    """
    if not isinstance(found, Unavailable) or not found.at_once or attempt >= attempts:
        return None
    wait = found.again_ms + int((BACKOFF_MS_FIRST << (attempt - 1)) * chance)
    return wait if wait <= RETRY_MS_MAX else None
