"""Workers come and go under load, 1 → 2 → 4 → 2, then each is replaced, twice: nothing is lost, nobody waits long."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from schemas.keys import partition_of, slot_key
from schemas.records import FINAL_STATES
from streams.audit.auditor import AuditOptions
from streams.commands.audit import run_audit
from streams.demo.processes import Process
from streams.settings import kafka_client_options
from tests.integration.system import PARTITIONS, USERS, System, event, now_ms, system

EVENTS_PER_SECOND = 120
SETTLED_SECONDS = 3.0  # between two changes: standbys read along meanwhile
PAUSE_SECONDS_MAX = 10.0
AUDIT_SECONDS_MAX = 60.0
RESULTS = os.environ.get("RINGONCE_TEST_SCALING_RESULTS")  # where the pauses are written to, for a person


class Feed:
    """A steady stream of events, and when each was acknowledged, by the id that it has."""

    def __init__(self, running: System) -> None:
        self._running = running
        self.sent_at: dict[str, int] = {}
        self.partitions: dict[str, int] = {}
        self.enough = asyncio.Event()

    async def run(self) -> None:
        options = kafka_client_options(self._running.settings)
        producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            for number in itertools.count():
                if self.enough.is_set():
                    return
                user, notification_id = f"user-{number % USERS:06d}", f"n{number}"
                message = event(user, "order_ready", notification_id)
                await producer.send_and_wait(self._running.topics.notifications, message.value, key=message.key)
                self.sent_at[notification_id] = now_ms()
                self.partitions[notification_id] = partition_of(slot_key(user, "order_ready"), PARTITIONS)
                await asyncio.sleep(1 / EVENTS_PER_SECOND)
        finally:
            await producer.stop()


async def _change_workers(running: System, feed: Feed, first: Process) -> None:
    """1 → 2 → 4 → 2 workers, then both replaced by others on their disks, twice."""
    workers = {"one": first}

    async def join(*names: str) -> None:
        for name in names:
            log_file = running.directory / f"{name}.log"
            if log_file.exists():  # of its life before, in which it was ready too
                log_file.replace(log_file.with_suffix(f".{now_ms()}.log"))
            workers[name] = await asyncio.to_thread(running.worker, name)
        await asyncio.sleep(SETTLED_SECONDS)

    async def leave(*names: str) -> None:
        for name in names:
            await asyncio.to_thread(workers.pop(name).stop)
        await asyncio.sleep(SETTLED_SECONDS)

    feeding = asyncio.create_task(feed.run())
    try:
        await join("two")
        await join("three", "four")
        await leave("three", "four")
        for _ in range(2):
            for name in ("one", "two"):
                await leave(name)
                await join(name)
    finally:
        feed.enough.set()
        await feeding


def _pauses(decided_at: Mapping[str, int], feed: Feed) -> dict[int, float]:
    """For each partition, the longest that an event waited for its first decision, in seconds."""
    longest: dict[int, float] = defaultdict(float)
    for notification_id, sent_at in feed.sent_at.items():
        partition = feed.partitions[notification_id]
        longest[partition] = max(longest[partition], (decided_at[notification_id] - sent_at) / 1000)
    return dict(longest)


@pytest.mark.timeout(600)
def test_one_two_four_two_workers_and_a_rolling_restart_twice(kafka: str, prefix: str, tmp_path: Path) -> None:
    """No window is broken, nothing is lost, and no partition pauses for ten seconds."""
    with system(kafka, prefix, tmp_path) as running:
        first = running.worker("one")
        running.wait_for_devices()
        feed = Feed(running)
        asyncio.run(_change_workers(running, feed, first))
        statuses = running.statuses(lambda seen: sum(map(len, seen.final().values())) >= len(feed.sent_at))
        ends = Counter(status["notification_id"] for status in statuses.records if status["state"] in FINAL_STATES)
        assert ends == Counter(list(feed.sent_at))  # each exactly once
        decided_at: dict[str, int] = {}
        for status in statuses.records:
            decided_at.setdefault(status["notification_id"], status["at"])
        pauses = _pauses(decided_at, feed)
        assert set(pauses) == set(range(PARTITIONS))
        if RESULTS:
            Path(RESULTS).write_text(json.dumps({"events": len(feed.sent_at), "pauses_seconds": pauses}), "utf-8")
        assert max(pauses.values()) < PAUSE_SECONDS_MAX, pauses
        options = AuditOptions(push_log=Path(running.simulators["log_file"]))
        report, lines = asyncio.run(run_audit(running.settings, options, AUDIT_SECONDS_MAX))
        assert not report.violations, "\n".join(lines)
        assert report.states["UNKNOWN"] == 0  # whoever leaves in order leaves nothing open
