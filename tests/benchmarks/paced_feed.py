"""Notifications on a topic at an even rate, at little cost: who feeds takes its CPU from what is measured.

They are encoded before. Each partition has one batch under way, of all that has become due by then; a notification's
time counts from when it was due, so that waiting for the batch before is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from tests.benchmarks.deliver_workload import Target
from tests.benchmarks.workload import Event

START_SECONDS: Final = 0.5  # for encoding to be over, and a second for each so many
ENCODED_A_SECOND: Final = 20_000
TICK_SECONDS: Final = 0.002  # what is due within it goes together


async def produce_paced(
    bootstrap: str,
    topic: str,
    targets: Sequence[Target],
    record_of: Callable[[Target, int], tuple[int, Event]],
    rate: int,
) -> Mapping[str, float]:
    """Produce what `record_of` makes of each and the time that it is due; return that by its mark, in milliseconds
    since the epoch."""
    starts_at = time.time() + START_SECONDS + len(targets) / ENCODED_A_SECOND
    due_at = {target.mark: (starts_at + number / rate) * 1000 for number, target in enumerate(targets)}
    queues: dict[int, list[tuple[float, Event]]] = {}
    for target in targets:
        at = due_at[target.mark]
        partition, record = record_of(target, int(at))
        queues.setdefault(partition, []).append((at, record))
    if time.time() > starts_at:
        raise RuntimeError(f"{len(targets)} notifications were not encoded in time: the machine is too busy to tell")
    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        async with asyncio.TaskGroup() as group:
            for partition, queue in queues.items():
                group.create_task(_feed(producer, topic, partition, queue))
    finally:
        await producer.stop()
    return due_at


async def _feed(producer: Any, topic: str, partition: int, queue: Sequence[tuple[float, Event]]) -> None:
    done = 0
    while done < len(queue):
        early = queue[done][0] / 1000 - time.time()
        await asyncio.sleep(max(TICK_SECONDS, early))
        now, batch, before = time.time() * 1000, producer.create_batch(), done
        while done < len(queue) and queue[done][0] <= now:
            record = queue[done][1]
            if batch.append(key=record.slot, value=record.value, timestamp=None) is None:
                break  # it is full; the others are next
            done += 1
        if done == before:
            continue  # the clock of the loop is a little ahead of the wall clock
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))
