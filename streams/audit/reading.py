"""Reads the record: whole topics, read committed, partition by partition, and the providers' push log."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiokafka
import aiokafka.admin
from aiokafka.structs import TopicPartition
from fastavro import schemaless_reader

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from streams.audit.rows import PushRow
from streams.group_offsets import offsets_of_group
from streams.kafka_consumer import stop_consumer
from streams.since import records_since

FETCH_BYTES_MAX = 4 * 1024 * 1024
RECORDS_MAX = 20_000
STALL_SECONDS_MAX = 45.0  # longer than any transaction may stay open: Kafka aborts it before


class RecordUnreadableError(Exception):
    """A topic has more, but nothing arrives: a transaction is open for longer than it may be."""


def decoder(codec: Codec, name: str) -> Callable[[bytes], dict[str, Any]]:
    """Return what decodes values of one record. Bytes that our own stages wrote need no checks of their structure."""
    contract = CONTRACTS[name]
    header, size, parsed = contract.header, len(contract.header), contract.parsed

    def decode(value: bytes) -> dict[str, Any]:
        if value[:size] == header:
            record: Any = schemaless_reader(io.BytesIO(value[size:]), parsed, None)
            return dict(record)
        return codec.decode(value, (name,)).record

    return decode


class TopicReader:
    """Reads topics up to the ends that they have when it is asked."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        self._options = dict(client_options)
        self._committed = self._consumer("read_committed")
        self._plain = self._consumer("read_uncommitted")

    def _consumer(self, isolation_level: str) -> aiokafka.AIOKafkaConsumer:
        return aiokafka.AIOKafkaConsumer(
            isolation_level=isolation_level,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=50,
            **self._options,
        )

    async def __aenter__(self) -> TopicReader:
        try:
            await self._committed.start()
            await self._plain.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop_consumer(self._committed)
        await stop_consumer(self._plain)

    async def ends(self, topic: str, partitions: int) -> dict[int, int]:
        """Return the ends, what is in open transactions included: reading up to them waits for these."""
        wanted = [TopicPartition(topic, partition) for partition in range(partitions)]
        return {tp.partition: end for tp, end in (await self._plain.end_offsets(wanted)).items()}

    async def starts(self, topic: str, partitions: int, since: int | None) -> dict[int, int]:
        """Return the first offset of each partition, or the first of a record that is not older than `since`."""
        wanted = [TopicPartition(topic, partition) for partition in range(partitions)]
        if since is None:
            return {tp.partition: start for tp, start in (await self._plain.beginning_offsets(wanted)).items()}
        found = await records_since(self._plain, wanted, since)
        return {tp.partition: offset for tp, offset in found.first.items()}

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Any]]:
        """Yield the committed records of one partition in lists. Raises RecordUnreadableError."""
        tp = TopicPartition(topic, partition)
        self._committed.assign([tp])
        self._committed.seek(tp, start)
        loop = asyncio.get_running_loop()
        position, heard_at = start, loop.time()
        while position < end:
            got = await self._committed.getmany(tp, timeout_ms=250, max_records=RECORDS_MAX)
            reached = await self._committed.position(tp)
            if reached > position:
                position, heard_at = reached, loop.time()
            elif loop.time() - heard_at > STALL_SECONDS_MAX:
                raise RecordUnreadableError(f"{topic}-{partition}: nothing committed at {position}, the end is {end}")
            records = got.get(tp)
            if records:
                yield records

    async def committed_offsets(self, group: str, topic: str) -> dict[int, int]:
        """Return how far a consumer group has committed each partition of a topic."""
        admin = aiokafka.admin.AIOKafkaAdminClient(**self._options)
        await admin.start()
        try:
            offsets = await offsets_of_group(admin, group)
        finally:
            await admin.close()
        return {tp.partition: offset for tp, offset in offsets.items() if tp.topic == topic}


def read_push_log(path: Path) -> Iterator[PushRow]:
    """Yield the push of each line. Raises OSError, ValueError or KeyError for what is no push log."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                return  # still being written
            push = json.loads(line)
            place = f"{path.name}:{number}"
            yield PushRow(
                push["notification_id"], push["at_ms"], push["provider"], push["address"], push["push_id"], place
            )
