"""Token buckets by name, so many of them at most: who may do something now, and who has to wait for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BucketRule:
    """`per_second` on the long run, `burst` at once. `per_second` 0: no limit."""

    per_second: float
    burst: float


class TokenBuckets:
    """One bucket for each name that took something lately. Time is in seconds, from any clock that does not go back."""

    def __init__(self, rule: BucketRule, names_max: int) -> None:
        self._rule = rule
        self._names_max = names_max
        self._buckets: dict[str, tuple[float, float]] = {}
        """By name what is left and since when, the one that was used longest ago first."""

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, now: float) -> float:
        """Take one token and return 0; or take nothing and return after how many seconds there is one."""
        wait = self.wait(name, now)
        if self._rule.per_second > 0 and not wait:
            left = self._left(name, now)
            self._buckets.pop(name, None)
            self._buckets[name] = (left - 1.0, now)
            if len(self._buckets) > self._names_max:
                # Its bucket has had the longest time to fill up: of all it forgets least.
                del self._buckets[next(iter(self._buckets))]
        return wait

    def wait(self, name: str, now: float) -> float:
        """Return after how many seconds there is a token; 0: there is one now."""
        if self._rule.per_second <= 0:
            return 0.0
        return max(0.0, (1.0 - self._left(name, now)) / self._rule.per_second)

    def _left(self, name: str, now: float) -> float:
        left, since = self._buckets.get(name, (self._rule.burst, now))
        return min(self._rule.burst, left + max(0.0, now - since) * self._rule.per_second)
