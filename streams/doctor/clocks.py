"""This machine's clock against that of each broker: windows and claims rest on it.

A broker tells its time with the acknowledgement of a record of a topic that is stamped on arrival. The topic is made
for this question and removed again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from streams.doctor.finding import Finding, fail, ok, skip, warn
from streams.settings import Settings, kafka_client_options
from streams.topics import wait_until_visible

TRIES: Final = 5
PARTITIONS_PER_BROKER: Final = 2


class Offset(NamedTuple):
    """By how much a broker's clock is ahead of ours, and how far that may be wrong, in milliseconds."""

    ahead_ms: float
    error_ms: float


async def check_clocks(settings: Settings) -> list[Finding]:
    """Ask each broker for its time."""
    name = f"{settings.topic_prefix}{settings.app_id}-doctor-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(**kafka_client_options(settings))
    await admin.start()
    try:
        brokers = len((await admin.describe_cluster())["brokers"])
        topic = NewTopic(
            name, PARTITIONS_PER_BROKER * brokers, 1, topic_configs={"message.timestamp.type": "LogAppendTime"}
        )
        response = await admin.create_topics([topic])
        code = response.topic_errors[0][1]
        if code != 0:
            raise for_code(code)()
        try:
            await wait_until_visible(admin, {name})
            (described,) = await admin.describe_topics([name])
            leaders = {partition["leader"]: partition["partition"] for partition in described["partitions"]}
            return judge_clocks(await _offsets(settings, name, leaders), settings.clock_skew_seconds_max)
        finally:
            await admin.delete_topics([name])
    except KafkaError as error:
        found = f"the brokers' time cannot be asked for, which takes a topic of its own ({name}): {error!r}"
        return [
            skip("clocks", found, "allow Create, Write and Delete on topics of that prefix, or compare with `date`")
        ]
    finally:
        await admin.close()


async def _offsets(settings: Settings, topic: str, leaders: Mapping[int, int]) -> dict[int, Offset]:
    producer = AIOKafkaProducer(**kafka_client_options(settings), acks="all")
    await producer.start()
    try:
        found: dict[int, Offset] = {}
        for broker, partition in sorted(leaders.items()):
            for _ in range(TRIES):
                before = time.time() * 1000
                stored = await producer.send_and_wait(topic, b"what time is it?", partition=partition)
                after = time.time() * 1000
                offset = Offset(stored.timestamp - (before + after) / 2, (after - before) / 2 + 1)
                if broker not in found or offset.error_ms < found[broker].error_ms:
                    found[broker] = offset
        return found
    finally:
        await producer.stop()


def judge_clocks(offsets: Mapping[int, Offset], skew_seconds_max: float) -> list[Finding]:
    """Judge by the rule that workers keep: half of what two of them may differ by. Pure."""
    allowed_ms = skew_seconds_max * 500
    findings = []
    for broker, offset in sorted(offsets.items()):
        side = "ahead of" if offset.ahead_ms > 0 else "behind"
        found = f"the clock of broker {broker} is {abs(offset.ahead_ms):.0f} ms {side} ours (± {offset.error_ms:.0f})"
        off = abs(offset.ahead_ms) - offset.error_ms
        todo = "run a time service (chrony, systemd-timesyncd) on both; a worker that is off admits and sends nothing"
        if off > allowed_ms:
            findings.append(fail("clocks", f"{found}, more than the {allowed_ms:.0f} ms that are allowed", todo))
        elif off > allowed_ms / 2:
            findings.append(warn("clocks", f"{found}; {allowed_ms:.0f} ms are allowed", todo))
        else:
            findings.append(ok("clocks", found))
    return findings
