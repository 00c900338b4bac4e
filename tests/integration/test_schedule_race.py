"""Cancels that race with the release of what they cancel."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from schemas.keys import partition_of
from streams.app import AppParts, create_app
from streams.lane.clock import wall_ms
from streams.settings import load_settings
from streams.topics import TopicNames, ensure_topics
from streams.types_file import NotificationTypes
from tests.integration.kafka_records import WAIT_SECONDS_MAX, producing, until_read
from tests.integration.schedule_record import ScheduleRecord, command, deferral, produce, until_ended

COUNT = 10_000
PARTITIONS = 3
SPREAD_MS = 6_000


def test_ten_thousand_cancels_race_with_the_release(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Each cancel is written within some 100 ms of the due time: one of the two happens, and the answer says which."""
    settings = load_settings(
        bootstrap=kafka, topic_prefix=prefix, app_id=f"{prefix}app", partitions=PARTITIONS, data_dir=tmp_path
    )
    names = TopicNames.of(settings)

    async def scenario() -> ScheduleRecord:
        await ensure_topics(settings)
        types = NotificationTypes.load()
        app = create_app(AppParts(settings, types, stages=frozenset({"schedule"}), faust={"web_enabled": False}))
        app.finalize()
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await app.start()
                await app.lanes.opened.wait()
            now = wall_ms()
            due = [now + 6_000 + number * SPREAD_MS // COUNT for number in range(COUNT)]
            await produce(settings, (deferral(number, due[number], now) for number in range(COUNT)))
            await _cancel(kafka, names.scheduled, due)
            await until_read(kafka, settings.app_id, [names.scheduled])
            return await until_ended(settings, COUNT)
        finally:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await app.stop()

    record = asyncio.run(scenario())
    outcomes = [record.outcomes[f"r-{number}"] for number in range(COUNT)]
    assert set(outcomes) == {"CANCELLED", "ALREADY_RELEASED"}, "the race must be won by both"
    for number, outcome in enumerate(outcomes):
        name = f"n-{number}"
        assert record.states[name] == (["CANCELLED"] if outcome == "CANCELLED" else ["RELEASED"])
        assert record.released[name] == (outcome == "ALREADY_RELEASED")
    cancelled = outcomes.count("CANCELLED")
    assert record.early_ms == []
    counts = record.counts
    assert counts.difference() == 0
    assert (counts.scheduled, counts.released, counts.cancelled, counts.pending) == (
        COUNT,
        COUNT - cancelled,
        cancelled,
        0,
    )


async def _cancel(kafka: str, topic: str, due: list[int]) -> None:
    """Write each cancel close to its due time, a little before or after it."""
    chance = random.Random(1)
    order = sorted((at + chance.randint(-120, 80), number) for number, at in enumerate(due))
    async with producing(kafka, linger_ms=2) as producer:
        sent = []
        for at, number in order:
            message = command(number, at)
            await asyncio.sleep(max(0, at - wall_ms()) / 1000)  # it races with the clock
            partition = partition_of(message.key, PARTITIONS)
            sent.append(await producer.send(topic, message.value, message.key, partition))
        await asyncio.gather(*sent)
