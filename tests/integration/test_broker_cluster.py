"""Three brokers, every record on two of them at the least: one after the other is killed while events stream in."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connectors.embedded_kafka import EmbeddedCluster, EmbeddedKafkaError
from schemas.records import FINAL_STATES
from streams.audit.auditor import AuditOptions
from streams.commands.audit import run_audit
from streams.settings import kafka_client_options
from tests.integration.system import PARTITIONS, USERS, EventId, System, event, system

EVENTS_PER_SECOND = 200
CALM_SECONDS = 6.0  # before, between and after the faults
GONE_SECONDS = 8.0  # that a broker is away: longer than its session, so that others lead its partitions
RETRY_SECONDS_MAX = 60.0


async def _stream(running: System, enough: asyncio.Event) -> list[EventId]:
    """Produce events at a steady pace until it is enough; return the places of those that were acknowledged."""
    options = kafka_client_options(running.settings)
    producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True, request_timeout_ms=60_000)
    await producer.start()
    waiting = []
    try:
        for number in itertools.count():
            if enough.is_set():
                break
            message = event(f"user-{number % USERS:06d}", "order_ready", f"n{number}")
            waiting.append(await producer.send(running.topics.notifications, message.value, key=message.key))
            await asyncio.sleep(1 / EVENTS_PER_SECOND)
        async with asyncio.timeout(RETRY_SECONDS_MAX):
            done = await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        await producer.stop()
    refused = [each for each in done if isinstance(each, BaseException)]
    assert all(isinstance(each, KafkaError) for each in refused), refused[:3]
    return [(each.partition, each.offset) for each in done if not isinstance(each, BaseException)]


async def _with_brokers_killed(running: System, cluster: EmbeddedCluster) -> list[EventId]:
    enough = asyncio.Event()
    streaming = asyncio.create_task(_stream(running, enough))
    await asyncio.sleep(CALM_SECONDS)
    for broker in cluster.brokers:
        broker.kill()
        await asyncio.sleep(GONE_SECONDS)
        await asyncio.to_thread(broker.restart)
        await asyncio.sleep(CALM_SECONDS)
    enough.set()
    return await streaming


@pytest.mark.timeout(600)
def test_one_broker_after_the_other_is_killed_and_no_acknowledged_event_is_lost(prefix: str, tmp_path: Path) -> None:
    """Replication factor 3, two in sync: every acknowledged event ends exactly once, and the promise is kept."""
    with (
        EmbeddedCluster(tmp_path / "brokers", partitions=PARTITIONS, fast_start=True) as cluster,
        system(cluster.bootstrap, prefix, tmp_path, {"REPLICATION_FACTOR": "3"}) as running,
    ):
        for name in ("one", "two"):
            running.worker(name)
        running.wait_for_devices()
        acknowledged = asyncio.run(_with_brokers_killed(running, cluster))
        assert len(acknowledged) > EVENTS_PER_SECOND * CALM_SECONDS
        assert len(set(acknowledged)) == len(acknowledged)
        statuses = running.statuses(lambda seen: set(acknowledged) <= set(seen.final()))
        ends = Counter(
            (status["origin_partition"], status["origin_offset"])
            for status in statuses.records
            if status["state"] in FINAL_STATES
        )
        assert {place: ends[place] for place in acknowledged if ends[place] != 1} == {}
        options = AuditOptions(push_log=Path(running.simulators["log_file"]))
        report, lines = asyncio.run(run_audit(running.settings, options, RETRY_SECONDS_MAX))
        assert not report.violations, "\n".join(lines)
        assert report.events >= len(acknowledged)
        states = {status["state"] for status in statuses.records}
        assert {"ACCEPTED", "SUPPRESSED"} <= states


def test_a_cluster_needs_two_of_three(tmp_path: Path) -> None:
    """With one of three brokers gone the others serve and take it back; a place in the cluster has its own port."""
    cluster = EmbeddedCluster(tmp_path, fast_start=True)
    with pytest.raises(EmbeddedKafkaError, match="no address"):
        _ = cluster.bootstrap
    with cluster:
        ports = cluster.bootstrap.split(",")
        assert len(set(ports)) == 3
        cluster.brokers[0].kill()
        assert not cluster.brokers[0].running
        cluster.brokers[0].restart()
        assert cluster.bootstrap.split(",") == ports
        assert all(broker.running for broker in cluster.brokers)
    assert not any(broker.running for broker in cluster.brokers)
