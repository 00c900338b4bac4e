"""The topics on a real cluster."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from streams.settings import Settings, load_settings
from streams.topics import TopicNames, ensure_topics, topic_specs


def _settings(kafka: str, prefix: str) -> Settings:
    return load_settings(bootstrap=kafka, topic_prefix=prefix, app_id=f"{prefix}app", partitions=2)


async def _until_it_has(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> None:
    """A broker answers for a moment as if nothing had changed."""
    async with asyncio.timeout(30):
        while True:
            (described,) = await admin.describe_topics([topic])
            if described["error_code"] == 0 and len(described["partitions"]) == partitions:
                return
            await asyncio.sleep(0.05)


def test_creates_what_is_missing_and_finds_it_as_it_must_be(kafka: str, prefix: str) -> None:
    """On an empty cluster all topics are created; a second look finds nothing to create and nothing to say."""
    settings = _settings(kafka, prefix)
    first = asyncio.run(ensure_topics(settings))
    assert set(first.created) == {spec.name for spec in topic_specs(settings)}
    assert first.differences == ()
    second = asyncio.run(ensure_topics(settings))
    assert (second.created, second.differences) == ((), ())


def test_says_each_difference_and_changes_nothing(kafka: str, prefix: str) -> None:
    """Another partition count and another cleanup policy are reported, one line each, at every look."""
    settings = _settings(kafka, prefix)
    names = TopicNames.of(settings)

    async def make_wrong() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(names.topic("devices"), 3, 1)])
            await _until_it_has(admin, names.topic("devices"), 3)
        finally:
            await admin.close()

    asyncio.run(make_wrong())
    first = asyncio.run(ensure_topics(settings)).differences
    assert f"{prefix}devices: has 3 partitions, must have 2" in first
    assert f"{prefix}devices: has cleanup.policy=delete, must have compact" in first
    assert all(line.startswith(f"{prefix}devices: ") for line in first)
    assert asyncio.run(ensure_topics(settings)).differences == first


def test_a_look_only_creates_nothing(kafka: str, prefix: str) -> None:
    """With create=False each missing topic is a difference, and stays missing."""
    settings = _settings(kafka, prefix)
    report = asyncio.run(ensure_topics(settings, create=False))
    assert report.created == ()
    assert set(report.differences) == {f"{spec.name}: is missing" for spec in topic_specs(settings)}
    assert asyncio.run(ensure_topics(settings, create=False)).differences == report.differences


def test_workers_that_start_at_once_do_not_trip_over_each_other(kafka: str, prefix: str) -> None:
    """Two that create the same topics at the same time both succeed, and each topic is created by one of them."""
    settings = _settings(kafka, prefix)

    async def both() -> list[str]:
        one, other = await asyncio.gather(ensure_topics(settings), ensure_topics(settings))
        assert (one.differences, other.differences) == ((), ())
        return [*one.created, *other.created]

    assert sorted(asyncio.run(both())) == sorted(spec.name for spec in topic_specs(settings))


def test_added_partitions_are_noticed(kafka: str, prefix: str) -> None:
    """Somebody who adds partitions to a running system breaks its keys apart; that is said, not followed."""
    settings = _settings(kafka, prefix)
    outbox = TopicNames.of(settings).topic("outbox")

    async def scenario() -> tuple[str, ...]:
        await ensure_topics(settings)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        try:
            await admin.create_partitions({outbox: NewPartitions(4)})
            await _until_it_has(admin, outbox, 4)
        finally:
            await admin.close()
        return (await ensure_topics(settings)).differences

    assert asyncio.run(scenario()) == (f"{outbox}: has 4 partitions, must have 2",)
