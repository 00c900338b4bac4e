"""Is the old installation at rest: no worker, nothing unread, nothing that waits for a further attempt?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import aiokafka.admin
from aiokafka.structs import TopicPartition

from streams.audit.reading import TopicReader
from streams.group_offsets import offsets_of_group
from streams.repartition.state import latest
from streams.settings import Settings, kafka_client_options
from streams.stages.broadcast_rows import PROGRESS, read_progress
from streams.stages.schedule_table import RETRIES, read_pending
from streams.topics import TopicNames

# What the stages read; all of it must have been.
INPUTS: Final = (
    *("notifications", "due", "verdicts", "scheduled", "outbox", "outbox-bulk"),
    *("device-changes", "devices", "profiles", "preferences", "broadcasts"),
)


async def unrest(settings: Settings, reader: TopicReader) -> AsyncIterator[str]:
    """Yield a sentence for each thing that is still under way."""
    names = TopicNames.of(settings)
    members, read_up_to = await _group(settings)
    if members:
        yield f"{members} workers are in the group {settings.app_id}: stop them"
    for name in INPUTS:
        topic = names.topic(name)
        ends = await reader.ends(topic, settings.partitions)
        unread = sum(max(0, end - read_up_to.get(TopicPartition(topic, number), 0)) for number, end in ends.items())
        if unread:
            yield f"{unread} offsets of {topic} are not read: stop what writes to it, and let a worker finish"
    for partition in range(settings.partitions):
        async with latest(reader, names.changelog("schedule"), partition, settings.partitions) as rows:
            retries = [read_pending(key).due_at for key, _ in rows.rows(RETRIES)]
        if retries:
            yield f"{len(retries)} deliveries of partition {partition} wait for a further attempt: let a worker finish"
        async with latest(reader, names.changelog("broadcasts"), partition, settings.partitions) as rows:
            running = [key[1:].decode() for key, row in rows.rows(PROGRESS) if not read_progress(row).has_ended]
        for broadcast in running:
            yield f"the broadcast {broadcast} has not ended on partition {partition}: let it end, or cancel it"


async def _group(settings: Settings) -> tuple[int, Mapping[TopicPartition, int]]:
    """Return how many workers there are, and how far they have read."""
    admin = aiokafka.admin.AIOKafkaAdminClient(**kafka_client_options(settings))
    await admin.start()
    try:
        (described,) = await admin.describe_consumer_groups([settings.app_id])
        offsets = await offsets_of_group(admin, settings.app_id)
    finally:
        await admin.close()
    return len(described.groups[0][5]), offsets
