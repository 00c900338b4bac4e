"""Whether a delivery that certainly was not sent is tried again, and when: exponential back-off with full jitter."""

from __future__ import annotations

from typing import NamedTuple

BACKOFF_DOUBLINGS_MAX = 30  # beyond this the ceiling has long been reached; keeps the number small


class RetryPolicy(NamedTuple):
    """The rules of one notification type.

    With first 1 s and max 60 s the waits before attempts 2, 3, 4, 5 are drawn from 0 to 1, 2, 4 and 8 seconds.
    """

    attempts: int
    backoff_ms_first: int
    backoff_ms_max: int


class RetryAt(NamedTuple):
    """Try again, not before this instant."""

    due_at: int


class GiveUp(NamedTuple):
    """Do not try again: the attempts are used up, or the next one would start after `send_by`."""

    reason: str


def next_attempt(
    attempt: int, now: int, send_by: int, retry_after_ms: int | None, chance: float, policy: RetryPolicy
) -> RetryAt | GiveUp:
    """Decide what follows the attempt of this number (first = 1). Instants in milliseconds since the epoch.

    `chance` is drawn uniformly from [0, 1) by the caller. `retry_after_ms`: what the provider asked for, kept to the
    letter and not shortened by jitter.
    """
    if attempt >= policy.attempts:
        return GiveUp("attempts_exhausted")
    ceiling = min(policy.backoff_ms_max, policy.backoff_ms_first << min(attempt - 1, BACKOFF_DOUBLINGS_MAX))
    wait = int(ceiling * chance)
    if retry_after_ms is not None:
        wait += retry_after_ms
    if now + wait >= send_by:
        return GiveUp("send_by_passed")
    return RetryAt(now + wait)
