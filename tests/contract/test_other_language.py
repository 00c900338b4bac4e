"""Producers in other languages that know only what schemas/ says: the .avsc file, the key, the partition."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from connectors.embedded_kafka.jars import kafka_jars
from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from tests.integration.system import PARTITIONS, USERS, System, event, system

ROOT = Path(__file__).parents[2]
PRODUCERS = Path(__file__).parent / "producers"
NOTIFICATION = ROOT / "schemas" / "avsc" / "notification.avsc"
SECONDS_MAX = 120.0
KIND = "order_ready"
USER_IDS = [f"user-{number:06d}" for number in range(USERS)]

EXAMPLES: list[dict[str, Any]] = [
    {"notification_id": "n", "user_id": "u", "type": "t", "created_at": 0},
    {"notification_id": "ü" * 64, "user_id": "a:b/c", "type": "x.y-z_9", "created_at": 1_795_000_000_000},
    {"notification_id": "n", "user_id": "u" * 256, "type": "t" * 64, "created_at": -1, "send_at": 2**53 - 1},
    {"notification_id": "n", "user_id": "u", "type": "t", "created_at": 63, "expires_at": 64, "title": "", "body": "b"},
    {
        "notification_id": "n",
        "user_id": "u",
        "type": "t",
        "created_at": 64,
        "send_at_local": "2026-12-24T18:00",
        "time_zone": "Europe/Berlin",
    },
    {
        "notification_id": "n",
        "user_id": "u",
        "type": "t",
        "created_at": 8191,
        "data": {"a": "1", "": "", "ü": "😀" * 99},
    },
]


def find_node() -> str:
    """Return Node.js, or skip."""
    return shutil.which("node") or pytest.skip("there is no Node.js on this machine")


def find_java() -> str:
    """Return a Java that can run a source file, or skip: the runtime that runs Kafka here has no compiler."""
    homes = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if "JAVA_HOME" in os.environ else []
    for java in [*map(str, homes), shutil.which("java")]:
        if java is None or not Path(java).exists():
            continue
        listed = subprocess.run([java, "--list-modules"], capture_output=True, text=True, timeout=60, check=False)
        version = re.search(r"java\.base@(\d+)", listed.stdout)
        if "jdk.compiler@" in listed.stdout and version and int(version[1]) >= 17:
            return java
    pytest.skip("there is no JDK (17 or newer, with its compiler) on this machine")


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_javascript_writes_the_same_bytes(example: dict[str, Any]) -> None:
    """Sixty lines of JavaScript that read the .avsc and the Avro specification write what our codec writes."""
    done = subprocess.run(
        [find_node(), str(PRODUCERS / "notification.mjs"), str(NOTIFICATION), json.dumps(example)],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=True,
    )
    value = bytes.fromhex(done.stdout)
    assert value == Codec().encode("Notification", example)
    record = Codec().decode(value, ("Notification",)).record
    assert {name: record[name] for name in example} == example


@pytest.fixture(scope="module")
def running(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with one worker that knows its devices."""
    with system(kafka, f"o{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("other")) as found:
        found.worker("worker")
        found.wait_for_devices()
        yield found


def test_javas_own_client_reaches_a_user(running: System) -> None:
    """Kafka's Java client, untouched, puts each key where we look for it, and what it wrote is sent."""
    command = [find_java(), "-cp", os.pathsep.join(map(str, kafka_jars())), str(PRODUCERS / "Producer.java")]
    fingerprint = Codec().header("Notification", running.topics.notifications)[2:].hex()
    ids = {f"java-{user}": user for user in USER_IDS}
    done = subprocess.run(
        [*command, running.settings.bootstrap or "", running.topics.notifications, fingerprint],
        input="".join(f"{notification_id} {user} java_news\n" for notification_id, user in ids.items()),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    partitions = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert partitions == [partition_of(slot_key(user, "java_news"), PARTITIONS) for user in USER_IDS]
    assert len(set(partitions)) == PARTITIONS
    seen = running.statuses(lambda seen: all("ACCEPTED" in seen.states(found) for found in ids))
    assert all(seen.states(found).count("ADMITTED") == 1 for found in ids)


def librdkafka_partition(key: bytes) -> int:
    """Its default partitioner for a record with a key (`consistent_random`): CRC-32, modulo the count."""
    return zlib.crc32(key) % PARTITIONS


def test_a_crc32_partitioner_changes_nothing(running: System) -> None:
    """Records in the partition that librdkafka chooses are routed to their slot: still one for each window, the same
    id is still a duplicate, and each record that was produced ends once."""
    first = [event(user, "wrong_place", f"crc-{user}") for user in USER_IDS]
    second = [event(user, "wrong_place", f"crc-again-{user}") for user in USER_IDS]
    strays = [m for m in first if librdkafka_partition(m.key) != partition_of(m.key, PARTITIONS)]
    assert len(strays) > USERS // 2

    async def produce() -> set[tuple[int, int]]:
        producer = AIOKafkaProducer(bootstrap_servers=running.settings.bootstrap)
        await producer.start()
        try:
            places = []
            # The first try of a producer with the one partitioner, the second of one with the other.
            for messages, partition in (
                (first, librdkafka_partition),
                (first, lambda key: partition_of(key, PARTITIONS)),
                (second, librdkafka_partition),
            ):
                for m in messages:
                    stored = await producer.send_and_wait(
                        running.topics.notifications, key=m.key, value=m.value, partition=partition(m.key)
                    )
                    places.append((stored.partition, stored.offset))
            return set(places)
        finally:
            await producer.stop()

    places = asyncio.run(produce())
    final = running.statuses(lambda seen: places <= seen.final().keys()).final()
    assert all(len(final[place]) == 1 for place in places)
    ends = [final[place][0] for place in places]
    assert (ends.count("ACCEPTED"), ends.count("DUPLICATE"), ends.count("SUPPRESSED")) == (USERS, USERS, USERS)
