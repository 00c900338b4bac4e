"""Retires an installation whose state was copied: what was pending there ends, with where it went."""

from __future__ import annotations

from typing import Final

from schemas.codec import Codec
from schemas.keys import split_slot_key
from streams.audit.reading import TopicReader
from streams.codec import open_codec
from streams.lane.clock import wall_ms
from streams.lane.step import Step
from streams.lane.transaction import PartitionTransaction
from streams.repartition.copying import Moved
from streams.repartition.state import latest
from streams.settings import Settings, kafka_client_options
from streams.stages.schedule_ledger import read_ledger_row, write_ledger
from streams.stages.schedule_table import DEFERRALS, LEDGER_KEY, read_pending
from streams.stages.scheduled_rows import PLAIN_CODEC
from streams.stages.traced_rows import bare
from streams.topics import TopicNames

STAGES: Final = ("suppress", "schedule", "deliver", "broadcast")
TRANSACTION_MS: Final = 30_000
RETIRED_AT_ONCE: Final = 2_000
CLOSE_SECONDS_MAX: Final = 10.0


def _transaction(settings: Settings, stage: str, partition: int) -> PartitionTransaction:
    options = kafka_client_options(settings)
    return PartitionTransaction(stage, partition, settings.app_id, (), options, TRANSACTION_MS)


async def fence(old: Settings) -> None:
    """Take each partition of each stage, so that no worker that was paused commits anything from here on."""
    for stage in STAGES:
        for partition in range(old.partitions):
            transaction = _transaction(old, stage, partition)
            await transaction.fence()
            await transaction.close(CLOSE_SECONDS_MAX)


async def retire(old: Settings, new: Settings, reader: TopicReader, partition: int, moved: Moved) -> None:
    """End what is pending in one old partition, in transactions of the stage that had it."""
    names = TopicNames.of(old)
    changelog = names.changelog("schedule")
    codec = open_codec(old)
    transaction = _transaction(old, "schedule", partition)
    await transaction.fence()
    try:
        async with latest(reader, changelog, partition, old.partitions) as rows:
            pending = list(rows.rows(DEFERRALS))
            ledger = next((read_ledger_row(row) for _, row in rows.rows(LEDGER_KEY)), None)
        for start in range(0, len(pending), RETIRED_AT_ONCE):
            step = Step()
            some = pending[start : start + RETIRED_AT_ONCE]
            for key, row in some:
                _cancel(step, names, codec, partition, key, row, new)
            if ledger is not None:
                counts = ledger.counts
                counts = counts._replace(cancelled=counts.cancelled + len(some), pending=counts.pending - len(some))
                ledger = ledger._replace(counts=counts)
                step.emit(changelog, partition, LEDGER_KEY, write_ledger(ledger, wall_ms()))
            await transaction.commit(step)
            moved.retired += len(some)
    finally:
        await transaction.close(CLOSE_SECONDS_MAX)


def _cancel(step: Step, names: TopicNames, codec: Codec, partition: int, key: bytes, row: bytes, new: Settings) -> None:
    pending = read_pending(key)
    record = PLAIN_CODEC.decode(bare(row), ("Deferral",)).record
    user, kind = split_slot_key(pending.slot)
    status = {
        "notification_id": pending.notification_id.decode(),
        "user_id": user,
        "type": kind,
        "state": "CANCELLED",
        "reason": f"moved to {TopicNames.of(new).notifications}",
        "at": wall_ms(),
        "stage": "schedule",
        "origin_partition": record["origin_partition"],
        "origin_offset": record["origin_offset"],
        "attempt": 0,
        "provider": None,
        "device_id": None,
        "by_notification_id": None,
        "until": pending.due_at,
    }
    step.emit(names.changelog("schedule"), partition, key, None)
    step.emit(names.statuses, partition, pending.slot, codec.encode("Status", status, names.statuses))
