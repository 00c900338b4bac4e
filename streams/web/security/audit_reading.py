"""Reads the audit log, the newest first, a page at a time: an offset tells where the next one goes on."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.codec import Codec
from schemas.keys import partition_of
from schemas.poison import PoisonError
from streams.audit.reading import TopicReader
from streams.settings import Settings, kafka_client_options
from streams.topics import TopicNames
from streams.web.security.audit_log import KEY


class AuditPage(NamedTuple):
    """Entries, the newest first. `before`: what to ask with for older ones; None: there are none."""

    entries: list[dict[str, Any]]
    before: int | None


async def read_page(settings: Settings, codec: Codec, limit: int, before: int | None) -> AuditPage:
    """Return the newest `limit` entries, of those before this offset where one is given.

    Raises what aiokafka raises when Kafka cannot be reached, and RecordUnreadableError.
    """
    topic = TopicNames.of(settings).audit_log
    partition = partition_of(KEY, settings.partitions)
    entries: list[dict[str, Any]] = []
    async with TopicReader(kafka_client_options(settings)) as reader:
        first = (await reader.starts(topic, settings.partitions, None))[partition]
        end = (await reader.ends(topic, settings.partitions))[partition]
        end = end if before is None else min(end, before)
        start = max(first, end - limit)
        if start < end:
            async for records in reader.read(topic, partition, start, end):
                entries += [_entry(codec, record) for record in records if record.offset < end]
    return AuditPage(entries[::-1], start if first < start < end else None)


def _entry(codec: Codec, record: Any) -> dict[str, Any]:
    try:
        return {"offset": record.offset, **codec.decode(record.value, ("AuditEntry",)).record}
    except PoisonError as error:  # whoever writes here besides the workers, cannot hide it
        return {"offset": record.offset, "unreadable": error.reason}
