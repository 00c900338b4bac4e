"""Whether the outputs of suppression are exactly right, for a workload whose window is longer than the run.

Then the answer does not depend on time: of each slot exactly the first event in the order of its partition is admitted,
and every event has exactly one status. Only the record is read, with read committed: no word of the worker is taken.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas.codec import Codec
from schemas.keys import partition_of
from tests.benchmarks.counts import read_counts
from tests.benchmarks.workload import Workload

READ_SECONDS_MAX: Final = 120.0
SHOWN_MAX: Final = 10


@dataclass(slots=True)
class Verification:
    """What is wrong, in sentences; nothing, if the outputs are exact."""

    admitted: int = 0
    suppressed: int = 0
    flaws: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def flaw(self, kind: str, detail: str) -> None:
        """Count a flaw, and keep the first few in full."""
        self.flaws[kind] += 1
        if len(self.examples) < SHOWN_MAX:
            self.examples.append(f"{kind}: {detail}")

    def assert_exact(self) -> None:
        """Raise AssertionError unless there is no flaw."""
        assert not self.flaws, f"{dict(self.flaws)}\n" + "\n".join(self.examples)


async def verify(
    bootstrap: str, statuses: str, outbox: str, workload: Workload, *, counted: bool = False
) -> Verification:
    """Read the two topics to their ends and compare them with the workload. `counted`: with counts for statuses."""
    found = Verification()
    first = _first_of_each_slot(workload)
    if counted:
        await _verify_counts(bootstrap, statuses, workload, first, found)
    else:
        await _verify_statuses(bootstrap, statuses, workload, first, found)
    await _verify_outbox(bootstrap, outbox, workload, first, found)
    return found


def _first_of_each_slot(workload: Workload) -> Mapping[bytes, tuple[int, int]]:
    first: dict[bytes, tuple[int, int]] = {}
    for partition, events in enumerate(workload.partitions):
        for offset, event in enumerate(events):
            first.setdefault(event.slot, (partition, offset))
    return first


async def _verify_statuses(
    bootstrap: str, topic: str, workload: Workload, first: Mapping[bytes, tuple[int, int]], found: Verification
) -> None:
    codec = Codec()
    seen = [bytearray(len(events)) for events in workload.partitions]
    async for key, value, partition in records(bootstrap, topic):
        status = codec.decode(value, ("Status",)).record
        origin = (status["origin_partition"], status["origin_offset"])
        if not (0 <= origin[0] < len(seen) and 0 <= origin[1] < len(seen[origin[0]])):
            found.flaw("a status of no event", str(status))
            continue
        event = workload.partitions[origin[0]][origin[1]]
        seen[origin[0]][origin[1]] = min(255, seen[origin[0]][origin[1]] + 1)
        admitted = first[event.slot] == origin
        wanted = "ADMITTED" if admitted else "SUPPRESSED"
        found.admitted += status["state"] == "ADMITTED"
        found.suppressed += status["state"] == "SUPPRESSED"
        if status["state"] != wanted:
            found.flaw(f"{status['state']} instead of {wanted}", f"{event.slot!r} at {origin}: {status}")
        if key != event.slot or partition != origin[0] or status["notification_id"] != event.notification_id:
            found.flaw("a status of another event", f"{event} at {origin}: {status}")
        holder = workload.partitions[first[event.slot][0]][first[event.slot][1]].notification_id
        if not admitted and status["by_notification_id"] != holder:
            found.flaw("suppressed by another one than the one admitted", f"{event.slot!r} at {origin}: {status}")
    _once(seen, "status", found)


async def _verify_counts(
    bootstrap: str, topic: str, workload: Workload, first: Mapping[bytes, tuple[int, int]], found: Verification
) -> None:
    counts: Counter[str] = Counter()
    async for _, value, _ in records(bootstrap, topic):
        counts += read_counts(value or b"")
    found.admitted, found.suppressed = counts["ADMITTED"], counts["SUPPRESSED"]
    expected = {"ADMITTED": len(first), "SUPPRESSED": workload.count - len(first)}
    if counts != expected:
        found.flaw("another count", f"{dict(counts)} instead of {expected}")


async def _verify_outbox(
    bootstrap: str, topic: str, workload: Workload, first: Mapping[bytes, tuple[int, int]], found: Verification
) -> None:
    codec = Codec()
    sent: Counter[bytes] = Counter()
    async for key, value, partition in records(bootstrap, topic):
        delivery = codec.decode(value, ("Delivery",)).record
        notification = delivery["notification"]
        slot = f"{notification['user_id']}:{notification['type']}".encode()
        origin = (delivery["origin_partition"], delivery["origin_offset"])
        user = slot.rpartition(b":")[0]
        sent[slot] += 1
        if first.get(slot) != origin:
            found.flaw("a delivery that is not the first of its slot", f"{slot!r} at {origin}")
            continue
        event = workload.partitions[origin[0]][origin[1]]
        if codec.decode(event.value, ("Notification",)).record != notification:
            found.flaw("a delivery that says something else than its event", f"{slot!r} at {origin}")
        if key != user or partition != partition_of(user, len(workload.partitions)):
            found.flaw("a delivery in the wrong place", f"{slot!r} at {origin}: key {key!r}, partition {partition}")
    for slot in first:
        if sent[slot] != 1:
            found.flaw("no delivery" if not sent[slot] else "a delivery twice", repr(slot))


def _once(seen: list[bytearray], what: str, found: Verification) -> None:
    for partition, counts in enumerate(seen):
        for offset, count in enumerate(counts):
            if count != 1:
                found.flaw(f"no {what}" if not count else f"a {what} twice", f"event {partition}-{offset}")


async def records(bootstrap: str, topic: str) -> AsyncIterator[tuple[bytes | None, bytes | None, int]]:
    """What is committed on a topic: key, value, partition."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(await _numbers(consumer, topic))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        give_up_at = time.monotonic() + READ_SECONDS_MAX
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{topic} was not read in {READ_SECONDS_MAX:.0f} s")
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    yield record.key, record.value, tp.partition
    finally:
        await consumer.stop()


async def _numbers(consumer: Any, topic: str) -> set[int]:
    await consumer._client._wait_on_metadata(topic)
    numbers: set[int] = consumer.partitions_for_topic(topic)
    return numbers
