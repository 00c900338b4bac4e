"""Writes the state of an installation into the topics of another one with more partitions."""

from __future__ import annotations

from collections.abc import Container
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from schemas.codec import Codec
from schemas.keys import partition_of
from streams.audit.reading import TopicReader
from streams.codec import open_codec
from streams.lane.clock import wall_ms
from streams.policies.identity import seen_digest
from streams.policies.scheduling import Counts
from streams.publish.partition_writer import PartitionWriter
from streams.repartition.split import Numbers, Where, cap_partition, divided, heirs, place_partition
from streams.repartition.state import Latest, latest
from streams.settings import Settings
from streams.stages.blocks import BLOCK_PREFIX, Block, read_block, write_block
from streams.stages.cap_rows import CAP_PREFIX
from streams.stages.schedule_ledger import Ledger, write_ledger
from streams.stages.schedule_table import DEFERRALS, LEDGER_KEY, RETRIES, read_pending
from streams.stages.scheduled_rows import PLAIN_CODEC
from streams.stages.slots_table import PLACE_PREFIX
from streams.stages.traced_rows import traced
from streams.topics import TopicNames

COMPACTED: Final = ("devices", "profiles", "preferences", "templates")


@dataclass(slots=True)
class Moved:
    """How many rows were written: places of slots, blocks of ids, users with caps, pending notifications, records of
    the compacted topics; and how many pending ones ended in the old installation."""

    places: int = 0
    blocks: int = 0
    capped_users: int = 0
    pending: int = 0
    records: int = 0
    retired: int = 0


class Copy:
    """Writes the state of the old installation into the topics of the new one."""

    def __init__(
        self, old: Settings, new: Settings, reader: TopicReader, writer: PartitionWriter, moved: Moved
    ) -> None:
        self._old, self._new = old, new
        self._from, self._to = TopicNames.of(old), TopicNames.of(new)
        self._reader, self._writer, self._moved = reader, writer, moved
        self._codec: Codec = open_codec(new)
        self._numbers = Numbers()

    async def run(self) -> None:
        """Copy everything. Raises KafkaError, RecordUnreadableError."""
        for partition in range(self._old.partitions):
            async with self._table("schedule", partition) as schedule:
                pending = await self._pending(schedule)
                await self._blocks("schedule", partition, schedule, place_partition(self._new.partitions))
                await self._ledgers(partition)
            async with self._table("slots", partition) as slots:
                await self._slots(partition, slots, pending)
            async with self._table("deliveries", partition) as deliveries:
                await self._caps(partition, deliveries)
            for name in COMPACTED:
                await self._compacted(name, partition)

    def _table(self, name: str, partition: int) -> AbstractAsyncContextManager[Latest]:
        return latest(self._reader, self._from.changelog(name), partition, self._old.partitions)

    async def _pending(self, rows: Latest) -> set[bytes]:
        """Write what is pending as events that are due then; return the digests of their ids, which are new again."""
        digests: set[bytes] = set()
        for key, row in rows.rows(DEFERRALS):
            pending = read_pending(key)
            held = traced(row)
            event = PLAIN_CODEC.decode(held.row, ("Deferral",)).record["notification"]
            event |= {"send_at": pending.due_at, "send_at_local": None, "time_zone": None}
            value = self._codec.encode("Notification", event, self._to.notifications)
            to = partition_of(pending.slot, self._new.partitions)
            await self._writer.put(self._to.notifications, to, pending.slot, value, held.headers)
            digests.add(seen_digest(pending.slot, pending.notification_id))
            self._moved.pending += 1
        return digests

    async def _ledgers(self, partition: int) -> None:
        """Each new partition begins with nothing pending: what was comes as events."""
        row = write_ledger(Ledger(Counts(), DEFERRALS, RETRIES), wall_ms())
        for heir in heirs(partition, self._old.partitions, self._new.partitions):
            await self._writer.put(self._to.changelog("schedule"), heir, LEDGER_KEY, row)

    async def _slots(self, partition: int, rows: Latest, pending: set[bytes]) -> None:
        where = place_partition(self._new.partitions)
        for key, row in rows.rows(PLACE_PREFIX):
            await self._writer.put(self._to.changelog("slots"), where(key), key, row)
            self._moved.places += 1
        await self._blocks("slots", partition, rows, where, pending)

    async def _caps(self, partition: int, rows: Latest) -> None:
        """Of deliver only the caps: nothing is under way, so no claim is asked for again."""
        where = cap_partition(self._new.partitions)
        named: set[bytes] = set()
        for key, row in rows.rows(CAP_PREFIX):
            await self._writer.put(self._to.changelog("deliveries"), where(key), key, row)
            named.add(key)
            self._moved.capped_users += 1
        to = heirs(partition, self._old.partitions, self._new.partitions)
        for _, row in rows.rows(BLOCK_PREFIX):
            block = read_block(row)
            block = block._replace(slots=[key for key in block.slots if key in named])
            for heir, part in divided(block, to, where):
                await self._block("deliveries", heir, part)

    async def _blocks(
        self, table: str, partition: int, rows: Latest, where: Where, dropped: Container[bytes] = ()
    ) -> None:
        to = heirs(partition, self._old.partitions, self._new.partitions)
        for _, row in rows.rows(BLOCK_PREFIX):
            for heir, part in divided(read_block(row), to, where, dropped):
                await self._block(table, heir, part)

    async def _block(self, table: str, partition: int, block: Block) -> None:
        key = self._numbers.key(table, partition, block.sweep_at)
        await self._writer.put(self._to.changelog(table), partition, key, write_block(block))
        self._moved.blocks += 1

    async def _compacted(self, name: str, partition: int) -> None:
        topic = self._from.topic(name)
        async with latest(self._reader, topic, partition, self._old.partitions) as rows:
            for key, value in rows.rows():
                await self._writer.put(self._to.topic(name), partition_of(key, self._new.partitions), key, value)
                self._moved.records += 1
