"""The faults that a simulator can be told to have, and the seeded plan that decides which request meets which."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What can go wrong. *Processed* means: the push is accepted and on record, whatever the client learns of it."""

    SLOW = "slow"  # processed at once, answered after `seconds`
    THROTTLE = "throttle"  # 429 with Retry-After; not processed
    UNAVAILABLE = "unavailable"  # 503; not processed
    UNAVAILABLE_BUT_DELIVERED = "unavailable_but_delivered"  # 503; processed all the same
    INTERNAL = "internal"  # 500; not processed
    EXPIRE_TOKENS = "expire_tokens"  # the credential of this request is void from now on; not processed
    REFUSE_CONNECTION = "refuse_connection"  # cut right after the TLS handshake, nothing read
    RESET_BEFORE = "reset_before"  # cut when the request is read; not processed
    RESET_AFTER_ACCEPT = "reset_after_accept"  # processed, then cut without an answer
    HANG = "hang"  # processed, never answered
    HANG_BEFORE = "hang_before"  # not processed, never answered
    REFUSE_STREAM = "refuse_stream"  # RST_STREAM REFUSED_STREAM; not processed (RFC 9113 section 8.7)
    RESET_STREAM = "reset_stream"  # processed, then RST_STREAM INTERNAL_ERROR
    GOAWAY_EVERY = "goaway_every"  # each `every`th request of a connection is beyond the last stream id of a GOAWAY


# In the order in which they strike when several hit one request: the least that a client learns comes first.
ORDER = (
    Fault.RESET_BEFORE,
    Fault.HANG_BEFORE,
    Fault.REFUSE_STREAM,
    Fault.RESET_AFTER_ACCEPT,
    Fault.HANG,
    Fault.RESET_STREAM,
    Fault.UNAVAILABLE_BUT_DELIVERED,
    Fault.EXPIRE_TOKENS,
    Fault.THROTTLE,
    Fault.UNAVAILABLE,
    Fault.INTERNAL,
    Fault.SLOW,
)


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that hits one request, with its numbers."""

    fault: Fault
    seconds: float
    retry_after_seconds: float | None


@dataclass(slots=True)
class _Rule:
    strike: Strike
    share: float
    count_left: int | None
    every: int
    chance: random.Random

    def hits(self) -> bool:
        # Drawn even when used up: the sequence of one rule depends on its own seed only.
        hit = self.chance.random() < self.share
        return hit and self.count_left != 0

    def spend(self) -> None:
        if self.count_left is not None:
            self.count_left -= 1


class Faults:
    """A plan of faults. Empty at first; each kind is set and cleared on its own. `struck` counts what it did."""

    def __init__(self) -> None:
        self.struck: Counter[Fault] = Counter()
        self._rules: dict[Fault, _Rule] = {}

    def set(
        self,
        fault: Fault,
        *,
        share: float = 1.0,
        seed: int = 0,
        count: int | None = None,
        seconds: float = 1.0,
        retry_after_seconds: float | None = 1.0,
        every: int = 100,
    ) -> None:
        """Let `fault` hit `share` (0 to 1) of the requests from now on, at most `count` of them, drawn from `seed`.

        `seconds` is for SLOW; `retry_after_seconds` for THROTTLE and UNAVAILABLE (None: no Retry-After header);
        `every` for GOAWAY_EVERY, which takes no share. Raises ValueError for a number out of its range.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share must be between 0 and 1, not {share}")
        if seconds < 0 or (retry_after_seconds is not None and retry_after_seconds < 0):
            raise ValueError("seconds and retry_after_seconds must not be negative")
        if every < 1 or (count is not None and count < 0):
            raise ValueError("every must be at least 1, and count not negative")
        strike = Strike(fault, seconds, retry_after_seconds)
        self._rules[fault] = _Rule(strike, share, count, every, random.Random(seed))

    def clear(self, fault: Fault | None = None) -> None:
        """End one fault, or all."""
        if fault is None:
            self._rules.clear()
        else:
            self._rules.pop(fault, None)

    def draw(self) -> Strike | None:
        """Decide what hits the next request."""
        if not self._rules:
            return None
        struck: Strike | None = None
        for fault in ORDER:
            rule = self._rules.get(fault)
            if rule is not None and rule.hits() and struck is None:
                rule.spend()
                struck = rule.strike
        if struck is not None:
            self.struck[struck.fault] += 1
        return struck

    def refuses_connection(self) -> bool:
        """Decide whether the next connection is cut."""
        return self._strikes_alone(Fault.REFUSE_CONNECTION)

    def goes_away(self, requests: int) -> bool:
        """Decide whether a connection that has brought `requests` is told to go away with the last of them."""
        rule = self._rules.get(Fault.GOAWAY_EVERY)
        return rule is not None and requests % rule.every == 0 and self._strikes_alone(Fault.GOAWAY_EVERY)

    def _strikes_alone(self, fault: Fault) -> bool:
        rule = self._rules.get(fault)
        if rule is None or not rule.hits():
            return False
        rule.spend()
        self.struck[fault] += 1
        return True
