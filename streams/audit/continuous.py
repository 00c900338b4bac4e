"""The audit that never ends: each worker reads the statuses of its own partitions as others would, and judges them.

It reads what is committed, with a consumer of its own, so that it sees also what somebody wrote who should not have
written. It is bounded in all that it takes: a sample of the slots, so many records a second; what it cannot keep up
with it passes over, and says so. `ringonce audit` looks at everything, whenever it is asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import aiokafka
from aiokafka.structs import TopicPartition
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from schemas.codec import Codec
from streams.audit.auditor import rules_of_slots, status_row
from streams.audit.reading import decoder
from streams.audit.rows import Violation
from streams.audit.sample import SlotSample
from streams.kafka_consumer import stop_consumer
from streams.lane.app import LaneApp
from streams.lane.lane import StepLane
from streams.metrics import Metric, counter, gauge
from streams.settings import Settings, kafka_client_options
from streams.topics import TopicNames
from streams.types_file import NotificationTypes

logger = logging.getLogger(__name__)

PROMISES = ("P1", "P2", "P3", "P4")
WAIT_MS = 1_000
RECORDS_MAX = 2_000
RECORDS_PER_SECOND_MAX = 10_000  # 2 to 3 % of a core
SAMPLED_PER_SECOND_MAX = 500  # about 2 % of a core
BEHIND_MAX = 200_000  # records; then it goes on at the end
SWEEP_LATE_MS_MAX = 300_000
TOLD_ERRORS_MAX = 20
AGAIN_SECONDS = 5.0


class ContinuousAudit:
    """The audit of one worker. `violations` by promise must stay empty; `passed_over` counts records not looked at."""

    def __init__(self, app: LaneApp, settings: Settings, types: NotificationTypes, codec: Codec) -> None:
        self._app = app
        self._options = kafka_client_options(settings)
        self._topic = TopicNames.of(settings).statuses
        self._decode = decoder(codec, "Status")
        self._since: dict[TopicPartition, int] = {}
        self.sample = SlotSample(rules_of_slots(settings, types))
        self.violations: Counter[str] = Counter()
        self.passed_over = 0

    async def run(self) -> None:
        """Audit until cancelled. Without Kafka it tries again: it must never be what ends a worker."""
        while True:
            consumer = aiokafka.AIOKafkaConsumer(
                isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="latest", **self._options
            )
            try:
                await consumer.start()
                while True:
                    await self._turn(consumer)
            except Exception as error:
                logger.warning("audit: %r; again in %g s", error, AGAIN_SECONDS)
            finally:
                await stop_consumer(consumer)
            self._since.clear()
            self.sample.forget()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _turn(self, consumer: Any) -> None:
        """Follow the partitions that this worker has right now, and judge what came."""
        started_at = time.monotonic()
        wanted = {TopicPartition(self._topic, partition) for partition in self._app.lanes.lanes("suppress")}
        if wanted != set(self._since):
            await self._follow(consumer, wanted)
        if not wanted:
            await asyncio.sleep(WAIT_MS / 1000)
            return
        got = await consumer.getmany(timeout_ms=WAIT_MS, max_records=RECORDS_MAX)
        read = sum(len(records) for records in got.values())
        sampled = sum(self._take(tp, records) for tp, records in got.items())
        now = time.time_ns() // 1_000_000
        for violations in self.sample.judge(now):
            self._tell(violations)
            await asyncio.sleep(0)
        self._tell(self._unswept(now))
        if read == RECORDS_MAX:
            await self._keep_up(consumer)
        seconds = max(read / RECORDS_PER_SECOND_MAX, WAIT_MS / 2000 if read else 0.0)
        if sampled > SAMPLED_PER_SECOND_MAX * max(seconds, WAIT_MS / 1000):
            self.sample.halve()
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - started_at)))

    async def _follow(self, consumer: Any, wanted: set[TopicPartition]) -> None:
        """Start at the end: what was before is another owner's, or `ringonce audit`'s."""
        self.sample.forget()
        consumer.assign(list(wanted))
        if wanted:
            await consumer.seek_to_end(*wanted)
        self._since = dict.fromkeys(wanted, time.time_ns() // 1_000_000)

    def _take(self, tp: TopicPartition, records: Iterable[Any]) -> int:
        sampled = 0
        for record in records:
            if record.key is None or not self.sample.wants(record.key):
                continue
            place = f"{tp.topic}-{tp.partition}@{record.offset}"
            row = status_row(self._decode(record.value), record, place)
            self.sample.add(record.key, row, self._since[tp])
            sampled += 1
        return sampled

    async def _keep_up(self, consumer: Any) -> None:
        ends = await consumer.end_offsets(list(self._since))
        behind = sum([end - await consumer.position(tp) for tp, end in ends.items()])
        if behind > BEHIND_MAX:
            self.passed_over += behind
            await self._follow(consumer, set(self._since))

    def _unswept(self, now: int) -> list[Violation]:
        """P4: what may be forgotten is forgotten soon."""
        late = []
        for partition, lane in self._app.lanes.lanes("suppress").items():
            next_at = lane.decider.next_at_ms() if isinstance(lane, StepLane) else None
            if next_at is not None and now - next_at > SWEEP_LATE_MS_MAX:
                sentence = f"suppress-{partition}: what could be swept at {next_at} is still there"
                late.append(Violation("P4", sentence, now, None, ()))
        return late

    def _tell(self, found: Iterable[Violation]) -> None:
        for violation in found:
            self.violations[violation.promise] += 1
            if sum(self.violations.values()) <= TOLD_ERRORS_MAX:
                slot = "" if violation.slot is None else f" slot {violation.slot.decode(errors='replace')}:"
                logger.error("audit: %s is broken:%s %s", violation.promise, slot, violation.sentence)


class AuditCollector(Collector):
    """Shows the audit of this worker."""

    def __init__(self, audit: ContinuousAudit) -> None:
        self._audit = audit

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        audit = self._audit
        violations = counter(Metric.AUDIT_VIOLATIONS_TOTAL)
        for promise in PROMISES:
            violations.add_metric([promise], audit.violations[promise])
        checked, passed_over = counter(Metric.AUDIT_STATUSES_TOTAL), counter(Metric.AUDIT_PASSED_OVER_TOTAL)
        checked.add_metric([], audit.sample.checked)
        passed_over.add_metric([], audit.passed_over)
        share, overdue = gauge(Metric.AUDIT_SAMPLE_RATIO), gauge(Metric.AUDIT_OVERDUE)
        share.add_metric([], audit.sample.share)
        overdue.add_metric([], audit.sample.overdue)
        return violations, checked, passed_over, share, overdue
