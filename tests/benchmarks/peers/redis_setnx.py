"""Suppression with Redis: `SET slot … NX GET PX`, by one worker that reads and writes with aiokafka.

`one`: one command after the other, as in most examples. `pipelined`: one pipeline for each batch of records. At least
once: after a crash between the command and the status an event meets the slot that it took itself. redis-server runs
as a child, keeps nothing on disk (the faster choice), and is counted with the worker.
https://redis.io/docs/latest/commands/set/, https://redis.io/docs/latest/develop/use/pipelining/
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import redis.asyncio as redis
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.keys import partition_of
from tests.benchmarks.peers.given import (
    SEND_MS,
    WINDOW_MS,
    Given,
    delivery,
    now_ms,
    read_notification,
    status,
    write,
)

BATCH_RECORDS_MAX = 4_000
BATCH_BYTES = 512 * 1024
FETCH_BYTES = 2 * 1024 * 1024
START_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.02


@contextlib.asynccontextmanager
async def server(directory: str) -> AsyncIterator[Any]:
    """A client of a redis-server of our own, on a socket of its own."""
    program, socket = shutil.which("redis-server"), str(Path(directory) / "redis.sock")
    assert program is not None, "looked for before the worker was started"
    options = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", directory]
    process = await asyncio.create_subprocess_exec(program, *options, stdout=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not Path(socket).exists():  # noqa: ASYNC110 ASYNC240 (a file calls nobody back, and a look is short)
                await asyncio.sleep(LOOK_SECONDS)
        client = redis.Redis(unix_socket_path=socket)
        yield client
        await client.aclose()
    finally:
        process.terminate()
        await process.wait()


class Worker:
    """Decides on batches, and writes what comes of them."""

    def __init__(self, given: Given, client: Any, producer: Any) -> None:
        self._given = given
        self._redis = client
        self._producer = producer
        self._outputs: dict[tuple[str, int], list[tuple[bytes, bytes]]] = {}

    async def step(self, records: Sequence[Any]) -> None:
        """Decide on a batch; all of it is in Kafka afterwards."""
        read = [read_notification(record.value) for record in records]
        now = now_ms()
        values = [f"{event['notification_id']}|{now + SEND_MS + WINDOW_MS}" for event in read]
        px = SEND_MS + WINDOW_MS
        if self._given.mode == "one":
            for record, event, value in zip(records, read, values, strict=True):
                self._note(record, event, await self._redis.set(record.key, value, nx=True, get=True, px=px), now)
        else:
            pipeline = self._redis.pipeline(transaction=False)
            for record, value in zip(records, values, strict=True):
                pipeline.set(record.key, value, nx=True, get=True, px=px)
            for record, event, held in zip(records, read, await pipeline.execute(), strict=True):
                self._note(record, event, held, now)
        await self._send()

    def _note(self, record: Any, event: dict[str, Any], held: bytes | None, now: int) -> None:
        holder = None
        if held is not None:
            by, _, until = held.decode().partition("|")
            holder = by, int(until)
        told = write("Status", status(event, record.partition, record.offset, now, holder))
        self._outputs.setdefault((self._given.statuses, record.partition), []).append((record.key, told))
        if holder is None:
            user = event["user_id"].encode()
            passed = write("Delivery", delivery(event, record.partition, record.offset, now))
            to = self._given.outbox, partition_of(user, self._given.partitions)
            self._outputs.setdefault(to, []).append((user, passed))

    async def _send(self) -> None:
        sent = []
        for (topic, partition), records in self._outputs.items():
            batch = self._producer.create_batch()
            for key, value in records:
                if batch.append(key=key, value=value, timestamp=None) is None:
                    sent.append(await self._producer.send_batch(batch, topic, partition=partition))
                    batch = self._producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
            sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        self._outputs.clear()
        await asyncio.gather(*sent)


async def work(worker: Worker, consumer: Any) -> None:
    """Read, decide, write, commit; until cancelled."""
    while True:
        got = await consumer.getmany(timeout_ms=50, max_records=BATCH_RECORDS_MAX)
        for records in got.values():
            await worker.step(records)
        if got:
            await consumer.commit()


async def run(given: Given) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=given.bootstrap, max_batch_size=BATCH_BYTES, max_request_size=2 * BATCH_BYTES
    )
    consumer: Any = AIOKafkaConsumer(
        given.notifications,
        bootstrap_servers=given.bootstrap,
        group_id=given.group,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=50,
    )
    async with server(given.directory) as client, producer, consumer:
        while len(consumer.assignment()) < given.partitions:  # noqa: ASYNC110 (aiokafka has no event for it)
            await asyncio.sleep(LOOK_SECONDS)
        working = asyncio.create_task(work(Worker(given, client, producer), consumer))
        stopping = asyncio.create_task(stop.wait())
        print("ready", flush=True)
        await asyncio.wait([stopping, working], return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


if __name__ == "__main__":
    uvloop.run(run(Given.from_command_line()))
