"""Moving an installation to more partitions, under new names.

    0. the old one is at rest, and fenced: no worker that was paused writes to it any more
    1. topics of the new one, without state
    2. its state: slots, ids, caps; what is pending, as events that are due then; devices, profiles, preferences, texts
    3. a mark that all of it is there
    4. the old one is retired: what was pending there ends as CANCELLED, with where it went

A crash before 3 leaves the old one as it was: delete the new topics and start again. A crash after 3 leaves two systems
of which the old one may still hold pending notifications: start again, and 4 is finished.
"""

from __future__ import annotations

from collections.abc import Callable

import aiokafka
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.audit.reading import TopicReader
from streams.group_offsets import offsets_of_member
from streams.kafka_consumer import stop_consumer
from streams.publish.partition_writer import PartitionWriter
from streams.repartition.copying import Copy, Moved
from streams.repartition.rest import unrest
from streams.repartition.retiring import fence, retire
from streams.settings import Settings, kafka_client_options
from streams.topics import TABLES, TopicNames, ensure_topics


class RepartitionError(Exception):
    """It cannot be done, or not now; each line is one reason, and what to do."""


async def repartition(old: Settings, new: Settings, say: Callable[[str], None]) -> Moved:
    """Do all of it, or what is left of it. Raises RepartitionError, and what aiokafka raises."""
    _check(old, new)
    moved = Moved()
    async with TopicReader(kafka_client_options(old)) as reader:
        if not await _is_marked(new):
            reasons = [reason async for reason in unrest(old, reader)]
            if reasons:
                raise RepartitionError("\n".join(reasons))
            await fence(old)
            await _make_topics(new, reader)
            say(f"copying {old.partitions} partitions to {new.partitions}")
            async with PartitionWriter(new) as writer:
                await Copy(old, new, reader, writer, moved).run()
            await _mark(new)
        say("retiring the old installation")
        for partition in range(old.partitions):
            await retire(old, new, reader, partition, moved)
    return moved


def _check(old: Settings, new: Settings) -> None:
    if new.partitions <= old.partitions or new.partitions % old.partitions:
        raise RepartitionError(
            f"--partitions: must be a multiple of {old.partitions}, so that each partition is divided among its own: "
            f"{2 * old.partitions}, {3 * old.partitions} …; is {new.partitions}"
        )
    if new.topic_prefix == old.topic_prefix:
        raise RepartitionError(f"--to-prefix: must differ from {old.topic_prefix!r}, which the old topics have")
    if new.app_id == old.app_id:
        raise RepartitionError(f"--to-app-id: must differ from {old.app_id!r}, which the old changelogs have")


async def _make_topics(new: Settings, reader: TopicReader) -> None:
    report = await ensure_topics(new)
    if report.differences:
        raise RepartitionError("\n".join(report.differences))
    names = TopicNames.of(new)
    # Producers may write to the new `notifications` already: it waits there for the first worker.
    for topic in map(names.changelog, TABLES):
        if any((await reader.ends(topic, new.partitions)).values()):
            raise RepartitionError(f"{topic} is not empty: delete the topics of the new installation, and start again")


def _marker(new: Settings) -> aiokafka.AIOKafkaConsumer:
    """A group that reads nothing: its offset is the mark."""
    return aiokafka.AIOKafkaConsumer(
        **kafka_client_options(new), group_id=f"{new.app_id}-repartition", enable_auto_commit=False
    )


def _mark_place(new: Settings) -> TopicPartition:
    return TopicPartition(TopicNames.of(new).notifications, 0)


async def _is_marked(new: Settings) -> bool:
    """Whether all of the state is there."""
    consumer = _marker(new)
    await consumer.start()
    try:
        return bool(await offsets_of_member(consumer._coordinator, [_mark_place(new)]))
    finally:
        await stop_consumer(consumer)


async def _mark(new: Settings) -> None:
    consumer = _marker(new)
    await consumer.start()
    try:
        consumer.assign([_mark_place(new)])
        await consumer.commit({_mark_place(new): OffsetAndMetadata(1, "all of the state is there")})
    finally:
        await stop_consumer(consumer)
