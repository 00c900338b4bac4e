"""Suppression with Faust as its documentation writes it: a table, an agent, `async for event in stream`.

Default settings, RocksDB, Avro by a codec of fastavro. It makes no promise: no transactions, at least once, the window
of the event's arrival, no memory of ids. So it does less than the others, and its outputs are right as long as nothing
fails. https://faust-streaming.github.io/faust/playbooks/quickstart.html, .../userguide/tables.html
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterable
from typing import Any, cast

import faust
from fastavro import schemaless_reader, schemaless_writer
from faust.serializers import codecs
from faust.tables.manager import TableManager

from schemas.contracts import CONTRACTS
from schemas.keys import partition_of
from streams.settings import Settings, load_settings
from streams.topics import TopicNames


class AvroCodec(codecs.Codec):
    """Single-object encoding of one contract."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._contract = CONTRACTS[name]

    def _dumps(self, obj: Any) -> bytes:
        buffer = io.BytesIO()
        buffer.write(self._contract.header)
        schemaless_writer(buffer, self._contract.parsed, obj)
        return buffer.getvalue()

    def _loads(self, s: bytes) -> Any:
        buffer = io.BytesIO(s)
        buffer.seek(len(self._contract.header))
        return schemaless_reader(buffer, self._contract.parsed, None)


WINDOW_SECONDS = 3600
SEND_SECONDS = 300


def create_app(settings: Settings) -> faust.App:
    """The app of the tutorial."""
    for name in ("Notification", "Delivery", "Status"):
        codecs.register(name.lower(), AvroCodec(name))
    names = TopicNames.of(settings)
    app = faust.App(
        settings.app_id,
        broker=f"kafka://{settings.bootstrap}",
        store="rocksdb://",
        datadir=str(settings.data_dir),
        topic_partitions=settings.partitions,
        web_enabled=False,
    )
    notifications = app.topic(names.topic("notifications"), key_type=bytes, value_serializer="notification")
    outbox = app.topic(names.topic("outbox"), key_type=bytes, value_serializer="delivery")
    statuses = app.topic(names.topic("statuses"), key_type=bytes, value_serializer="status")
    slots = app.Table("slots", partitions=settings.partitions)

    async def suppress(stream: AsyncIterable[Any]) -> None:
        async for event in stream.events():  # type: ignore[attr-defined] # Faust's stream
            notification, message = event.value, event.message
            now = int(time.time() * 1000)
            slot = f"{notification['user_id']}:{notification['type']}"
            held = slots.get(slot)
            status = {
                "notification_id": notification["notification_id"],
                "user_id": notification["user_id"],
                "type": notification["type"],
                "at": now,
                "stage": "suppress",
                "origin_partition": message.partition,
                "origin_offset": message.offset,
                "attempt": 0,
            }
            if held is not None and held["until"] > now:
                status |= {
                    "state": "SUPPRESSED",
                    "reason": "the slot is held",
                    "by_notification_id": held["id"],
                    "until": held["until"],
                }
            else:
                send_by = now + SEND_SECONDS * 1000
                slots[slot] = {"id": notification["notification_id"], "until": send_by + WINDOW_SECONDS * 1000}
                user = notification["user_id"].encode()
                delivery = {
                    "admitted_at": now,
                    "send_by": send_by,
                    "attempt": 1,
                    "devices": [],
                    "origin_partition": message.partition,
                    "origin_offset": message.offset,
                    "notification": notification,
                }
                await outbox.send(key=user, value=delivery, partition=partition_of(user, settings.partitions))
                status |= {"state": "ADMITTED", "reason": "the window is free", "until": send_by}
            await statuses.send(key=message.key, value=status, partition=message.partition)

    app.agent(notifications)(suppress)
    return app


async def run(settings: Settings) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = create_app(settings)
    app.finalize()
    await app.start()
    recovered = cast(TableManager, app.tables).recovery.completed
    while not (app.consumer.assignment() and recovered.is_set()):  # noqa: ASYNC110 (Faust has no event for both)
        await asyncio.sleep(0.02)
    print("ready", flush=True)
    await stop.wait()
    await app.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(run(load_settings(**json.loads(sys.argv[1]))))
