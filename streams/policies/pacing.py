"""How fast: a token bucket, and a rate that rises from a tenth to the whole of it. Pure.

The scheme by which workers share one limit: partitions are equal shares of it, and a worker has the shares of the
partitions that Kafka has assigned to it. Nobody has to be asked, and it holds while workers come and go, because a
partition has one owner.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

BURST_SECONDS = 0.25  # of the rate may be saved up; a transaction that takes this long costs nothing
RAMP_SHARE_FIRST = 0.1


class Bucket(NamedTuple):
    """So many may go now, as of this instant (milliseconds since the epoch)."""

    tokens: float
    at: int


def refill(bucket: Bucket, now: int, per_second: float, burst_seconds: float = BURST_SECONDS) -> Bucket:
    """Return the bucket with what has come in since; a clock that went back adds nothing.

    Any stretch of t seconds sees at most `per_second * (t + burst_seconds) + 1` tokens.
    """
    at = max(now, bucket.at)
    tokens = bucket.tokens + (at - bucket.at) / 1000 * per_second
    return Bucket(min(max(1.0, per_second * burst_seconds), tokens), at)


def spend(bucket: Bucket, tokens: int) -> Bucket:
    """Return the bucket after so many have gone; more than there were is a debt."""
    return bucket._replace(tokens=bucket.tokens - tokens)


def next_token_at(bucket: Bucket, per_second: float, tokens: float = 1.0) -> int:
    """Return when so many tokens are there, milliseconds since the epoch."""
    missing = max(0.0, tokens - bucket.tokens)
    return bucket.at + ceil(missing * 1000 / per_second)


def ramped(per_second: float, now: int, since: int, ramp_ms: int) -> float:
    """Return the rate at `now`, when it has been rising since `since`: a tenth at first, all of it after `ramp_ms`."""
    if not ramp_ms or now - since >= ramp_ms:
        return per_second
    return per_second * (RAMP_SHARE_FIRST + (1 - RAMP_SHARE_FIRST) * max(0, now - since) / ramp_ms)
