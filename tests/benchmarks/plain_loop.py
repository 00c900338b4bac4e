"""What a good engineer writes without ringonce: aiokafka, fastavro, RocksDB, one transaction for each batch.

It does the work of the suppress stage on sound records: the same contracts and policy, an id memory of 24 h, outbox,
one status for each event, slots and ids in a changelog, offsets in the transaction, RocksDB after the commit. It has
one transactional producer and one task for each partition, so that the partitions' commits overlap. It leaves out what
takes the time to get right: recovery, standby, poison, routing, schedules, verdicts, sweeping, views.

plain_loop_our_codec.py is the same loop with our codec, which he would not have: it shows what the lane itself costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import rocksdict
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from schemas.keys import partition_of
from streams.app import slot_policies
from streams.lane.clock import wall_ms
from streams.policies.identity import seen_digest
from streams.policies.suppression import Admit, Place, Suppress, decide
from streams.settings import Settings, load_settings
from streams.topics import TopicNames
from streams.types_file import NotificationTypes
from tests.benchmarks.plain_codec import FASTAVRO, LoopCodec

BATCH_RECORDS_MAX = 4_000
BATCH_BYTES = 512 * 1024
FETCH_BYTES = 2 * 1024 * 1024
SEEN_MS = 24 * 3600 * 1000

Record = tuple[bytes | None, bytes]


class PartitionLoop:
    """Suppression of one partition."""

    def __init__(self, settings: Settings, partition: int, codec: LoopCodec) -> None:
        self.partition = partition
        self.codec = codec
        self.partitions = settings.partitions
        self.group = settings.app_id
        names = TopicNames.of(settings)
        self.source = TopicPartition(names.topic("notifications"), partition)
        self.outbox, self.statuses = names.topic("outbox"), names.topic("statuses")
        self.changelog = names.changelog("slots")
        self.policy_of = slot_policies(NotificationTypes.load(), settings)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_bloom_filter(10, False)
        options.set_block_based_table_factory(blocks)
        self.store = rocksdict.Rdict(str(Path(settings.data_dir) / f"plain-{partition}"), options=options)
        self.producer: Any = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap,
            transactional_id=f"{settings.app_id}-plain-{partition}",
            max_batch_size=BATCH_BYTES,
            max_request_size=2 * BATCH_BYTES,
        )

    async def run(self, consumer: Any) -> None:
        """Work until cancelled."""
        while True:
            got = await consumer.getmany(self.source, timeout_ms=50, max_records=BATCH_RECORDS_MAX)
            for records in got.values():
                await self.step(records)

    async def step(self, records: Sequence[Any]) -> None:
        """Decide on a batch, commit it, and then write the local store."""
        now, partition, codec = wall_ms(), self.partition, self.codec
        events = codec.events(records)
        digests = [
            seen_digest(record.key, event.notification_id) for record, event in zip(records, events, strict=True)
        ]
        wanted = [b"i" + digest for digest in digests] + [b"s" + record.key for record in records]
        rows = cast("list[bytes | None]", self.store.get(wanted))
        places: dict[bytes, Place | None] = {}
        seen: dict[bytes, bytes] = {}
        changed: dict[bytes, bytes] = {}
        statuses: list[Record] = []
        outbox: dict[int, list[Record]] = {}
        seen_now = now.to_bytes(8, "big")
        for index, (record, event) in enumerate(zip(records, events, strict=True)):
            slot, digest, mark, row = record.key, digests[index], rows[index], rows[len(records) + index]
            notification_id = event.notification_id
            policy = self.policy_of(slot)
            assert policy is not None
            remembered = digest in seen or (mark is not None and int.from_bytes(mark, "big") > now - SEEN_MS)
            if slot not in places:
                places[slot] = None if row is None else Place._make(codec.read_slot(row))
            held, known = (places[slot],), "FINAL" if remembered else None
            decision = decide(notification_id, event.send_at, event.expires_at, held, known, now, policy)  # type: ignore[arg-type] # FINAL is one of them
            state, reason, by, until = "DUPLICATE", b"seen before", None, None
            if isinstance(decision, Suppress):
                state, reason, by, until = "SUPPRESSED", b"the slot is held", decision.by, decision.until
            elif isinstance(decision, Admit):
                place = places[slot] = decision.place
                changed[slot] = codec.write_slot(*place)
                user = slot.rpartition(b":")[0]
                value = codec.delivery(event.notification, now, place.send_by, partition, record.offset)
                outbox.setdefault(partition_of(user, self.partitions), []).append((user, value))
                state, reason, until = "ADMITTED", b"the window is free", place.send_by
            status = codec.status(now, partition, notification_id, slot, state, reason, record.offset, by, until)
            seen[digest] = seen_now
            statuses.append((slot, status))
        # All ids of the batch in one changelog record: that is what ringonce does, too.
        changelog: list[Record] = [(b"s" + slot, row) for slot, row in changed.items()]
        changelog.append((b"b" + seen_now + b"%d" % records[-1].offset, b"".join(seen)))
        await self.commit(records[-1].offset + 1, statuses, outbox, changelog)
        batch = rocksdict.WriteBatch(raw_mode=True)
        for slot, row in changed.items():
            batch.put(b"s" + slot, row)
        for digest, at in seen.items():
            batch.put(b"i" + digest, at)
        self.store.write(batch)

    async def commit(
        self, end: int, statuses: list[Record], outbox: dict[int, list[Record]], changelog: list[Record]
    ) -> None:
        """One transaction: outputs, changelog, offset."""
        await self.producer.begin_transaction()
        sent = await self.send(self.statuses, self.partition, statuses)
        sent += await self.send(self.changelog, self.partition, changelog)
        for number, records in outbox.items():
            sent += await self.send(self.outbox, number, records)
        await asyncio.gather(*sent)
        await self.producer.send_offsets_to_transaction({self.source: OffsetAndMetadata(end, "")}, self.group)
        await self.producer.commit_transaction()

    async def send(self, topic: str, partition: int, records: list[Record]) -> list[asyncio.Future[Any]]:
        """Send the records in as few batches as they fit into."""
        futures, batch = [], self.producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                futures.append(await self.producer.send_batch(batch, topic, partition=partition))
                batch = self.producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        futures.append(await self.producer.send_batch(batch, topic, partition=partition))
        return futures


async def run(settings: Settings, codec: LoopCodec) -> None:
    """Consume all partitions until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    loops = [PartitionLoop(settings, partition, codec) for partition in range(settings.partitions)]
    for loop in loops:
        await loop.producer.start()
    consumer: Any = AIOKafkaConsumer(
        loops[0].source.topic,
        bootstrap_servers=settings.bootstrap,
        group_id=settings.app_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    # There is one process: all are its own, for good.
    while len(consumer.assignment()) < settings.partitions:  # noqa: ASYNC110 (aiokafka has no event for it)
        await asyncio.sleep(0.02)
    tasks = [asyncio.create_task(loop.run(consumer)) for loop in loops]
    gc.freeze()
    print("ready", flush=True)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    await consumer.stop()
    for loop in loops:
        await loop.producer.stop()
        loop.store.close()


if __name__ == "__main__":
    uvloop.run(run(load_settings(**json.loads(sys.argv[1])), FASTAVRO))
