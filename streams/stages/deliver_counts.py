"""What deliver counts: attempts by outcome, endings, retries, and how long notifications waited."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from connectors.outcome import ProviderName
from streams.metrics import Buckets, Metric, counter, histogram
from streams.policies.suppression import OTHER_TYPES

OUTCOMES: Final = ("ACCEPTED", "NOT_SENT", "UNKNOWN")
ENDS: Final = ("ACCEPTED", "UNKNOWN", "DEAD", "EXPIRED", "NO_DEVICE", "OPTED_OUT", "SUPPRESSED")
REASONS_MAX: Final = 40  # of one provider: the words that they document are fewer; what they may say is not bounded
OTHER_REASONS: Final = "other"
PRIORITIES: Final = ("critical", "normal", "bulk")  # in the order of Priority


class DeliverNoted:
    """What one step has done so far."""

    __slots__ = ("accepted_ms", "claimed_ms", "ended", "retries", "sends")

    def __init__(self) -> None:
        self.sends: Counter[tuple[str, str, str]] = Counter()  # provider, outcome, reason where it was not accepted
        self.ended: Counter[tuple[str, str]] = Counter()  # type, state
        self.retries: Counter[str] = Counter()
        self.claimed_ms: dict[int, list[int]] = {}
        self.accepted_ms: dict[str, list[int]] = {}


class DeliverCounts:
    """The counts of all partitions of a worker since it started. A step adds its own once it is committed."""

    def __init__(self, types: Iterable[str] = ()) -> None:
        self.types = (*sorted(types), OTHER_TYPES)
        self._named = frozenset(self.types)
        self.sends: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[tuple[str, str, str]] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.retries: Counter[str] = Counter()
        self.claimed_ms = [Buckets() for _ in PRIORITIES]
        self.accepted_ms = {name.value: Buckets() for name in ProviderName}
        self._reasons: dict[str, set[str]] = {name.value: set() for name in ProviderName}

    def note(self, noted: DeliverNoted) -> None:
        """Add what a step has done."""
        for (provider, outcome, reason), count in noted.sends.items():
            self.sends[provider, outcome] += count
            if outcome != "ACCEPTED":
                self.failed[provider, outcome, self._reason(provider, reason)] += count
        for (name, state), count in noted.ended.items():
            self.ended[self._type(name), state] += count
        for name, count in noted.retries.items():
            self.retries[self._type(name)] += count
        for priority, values in noted.claimed_ms.items():
            self.claimed_ms[priority].note(values)
        for provider, values in noted.accepted_ms.items():
            self.accepted_ms[provider].note(values)

    def _type(self, name: str) -> str:
        return name if name in self._named else OTHER_TYPES

    def _reason(self, provider: str, reason: str) -> str:
        known = self._reasons[provider]
        if reason not in known:
            if len(known) >= REASONS_MAX:
                return OTHER_REASONS
            known.add(reason)
        return reason


class DeliverCollector(Collector):
    """Shows the counts of a worker."""

    def __init__(self, counts: DeliverCounts) -> None:
        self._counts = counts
        self._shown: set[tuple[str, str, str]] = set()

    def collect(self) -> Iterable[Family]:
        """Return the families with their values; what has not happened yet is there with 0, where its labels are
        known."""
        counts = self._counts
        sends, failed = counter(Metric.SENDS_TOTAL), counter(Metric.SENDS_FAILED_TOTAL)
        ended, retries = counter(Metric.ENDED_TOTAL), counter(Metric.RETRIES_TOTAL)
        claimed, accepted = (
            histogram(Metric.ADMITTED_TO_CLAIMED_SECONDS),
            histogram(Metric.CLAIMED_TO_ACCEPTED_SECONDS),
        )
        for provider, buckets in counts.accepted_ms.items():
            for outcome in OUTCOMES:
                sends.add_metric([provider, outcome.lower()], counts.sends[provider, outcome])
            buckets.show(accepted, [provider])
        for key, count in sorted(counts.failed.items()):
            provider, outcome, reason = key
            # A series that begins with 8 has no rate: a reason that is new is shown as 0 once, and caught up with then.
            failed.add_metric([provider, outcome.lower(), reason], count if key in self._shown else 0)
            self._shown.add(key)
        for name in counts.types:
            for state in ENDS:
                ended.add_metric([name, state.lower()], counts.ended[name, state])
            retries.add_metric([name], counts.retries[name])
        for priority, buckets in zip(PRIORITIES, counts.claimed_ms, strict=True):
            buckets.show(claimed, [priority])
        return sends, failed, ended, retries, claimed, accepted
