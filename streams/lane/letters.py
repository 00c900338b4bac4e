"""How many dead letters a lane may write: a bad deployment must not drain a whole topic into them.

Each stage has its share of the limit on each partition. A lane that has used it up takes nothing more until there is
room again, so that what follows waits in Kafka, unspoilt, until somebody has mended what is wrong; some go on dying at
the pace of the limit, so that nothing hangs for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, counter, gauge
from streams.policies.pacing import Bucket, next_token_at, refill, spend

from .step import Step

logger = logging.getLogger(__name__)

BURST_SECONDS = 60.0  # a minute's worth may come at once


@dataclass(frozen=True, slots=True)
class LetterRule:
    """`per_minute`: the share of one lane, 0: no limit. `topic`: where dead letters go."""

    topic: str
    per_minute: float


NO_LETTER_RULE = LetterRule("", 0.0)


class LettersCollector(Collector):
    """Shows what the lanes of a worker have written, and which of them wait because of it."""

    def __init__(self, budgets: Callable[[], Mapping[tuple[str, int], LetterBudget]]) -> None:
        self._budgets = budgets

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        total, paused = counter(Metric.DEAD_LETTERS_TOTAL), gauge(Metric.DEAD_LETTERS_PAUSED)
        for (stage, partition), budget in sorted(self._budgets().items()):
            total.add_metric([stage, str(partition)], budget.total)
            paused.add_metric([stage, str(partition)], float(budget.is_paused))
        return total, paused


class LetterBudget:
    """What one lane may still write. `total`: what it has written since it was opened."""

    def __init__(self, lane: str, rule: LetterRule) -> None:
        self._lane = lane
        self._rule = rule
        self._bucket = Bucket(rule.per_minute, _now_ms())
        self.total = 0
        self.paused_until = 0.0  # on the monotonic clock, in seconds

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be taken now."""
        return time.monotonic() < self.paused_until

    def note(self, step: Step, partition: int) -> None:
        """Note the letters of a step that is committed."""
        count = len(step.outputs.get((self._rule.topic, partition), ()))
        if not count:
            return
        self.total += count
        if not self._rule.per_minute:
            return
        per_second = self._rule.per_minute / 60
        bucket = spend(refill(self._bucket, _now_ms(), per_second, BURST_SECONDS), count)
        self._bucket = bucket
        if bucket.tokens < 1:
            was_paused = self.paused_until > 0
            self.paused_until = next_token_at(bucket, per_second) / 1000
            if not was_paused:
                logger.error(
                    "%s: more than %g dead letters in a minute; nothing more is taken but at that pace. Look at them "
                    "(`ringonce dead-letters list`), mend the cause, and replay them; the limit is "
                    "RINGONCE_DEAD_LETTERS_PER_MINUTE_MAX over all partitions",
                    self._lane,
                    self._rule.per_minute,
                )
        elif bucket.tokens > self._rule.per_minute / 2:
            self.paused_until = 0.0


def _now_ms() -> int:
    return int(time.monotonic() * 1000)
