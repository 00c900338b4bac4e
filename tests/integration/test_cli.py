"""The command line as a person meets it: what it prints and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.embedded_kafka import SharedKafka
from connectors.embedded_kafka.jars import kafka_version
from schemas.codec import Codec

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 120.0


def _run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**clean, "COLUMNS": "200", **environment},
        timeout=SECONDS_MAX,
        check=False,
    )


def _on(kafka: str, prefix: str) -> dict[str, str]:
    return {
        "RINGONCE_BOOTSTRAP": kafka,
        "RINGONCE_TOPIC_PREFIX": prefix,
        "RINGONCE_APP_ID": f"{prefix}app",
        "RINGONCE_PARTITIONS": "2",
    }


async def _read(kafka: str, topic: str, count: int) -> list[tuple[bytes, bytes]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(2)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        async with asyncio.timeout(SECONDS_MAX):
            return [(record.key, record.value) for record in [await consumer.getone() for _ in range(count)]]
    finally:
        await consumer.stop()


def test_topics_then_events_in_the_order_of_each_key(kafka: str, prefix: str, tmp_path: Path) -> None:
    """After `topics`, `publish --file` puts every valid line on Kafka in order, and ends with 1 for the other ones."""
    environment = _on(kafka, prefix)
    created = _run("topics", **environment)
    assert created.returncode == 0, created.stderr
    assert f"created {prefix}notifications" in created.stdout
    lines = [json.dumps({"notification_id": str(n), "user_id": f"u{n % 7}", "type": "t"}) for n in range(5000)]
    (tmp_path / "events.jsonl").write_text("\n".join([*lines[:9], "{", *lines[9:]]), encoding="utf-8")
    published = _run("publish", "--file", str(tmp_path / "events.jsonl"), **environment)
    assert published.returncode == 1
    assert "line 10: is not JSON" in published.stderr
    assert "1 lines were refused, 5,000 published" in published.stderr
    ids: dict[bytes, list[int]] = {}
    for key, value in asyncio.run(_read(kafka, f"{prefix}notifications", 5000)):
        record = Codec().decode(value, {"Notification"}).record
        ids.setdefault(key, []).append(int(record["notification_id"]))
    assert ids == {f"u{user}:t".encode(): list(range(user, 5000, 7)) for user in range(7)}


def test_one_event_and_a_pipe(kafka: str, prefix: str) -> None:
    """Options publish one event; `--file -` takes JSON lines from a pipe."""
    environment = _on(kafka, prefix)
    assert _run("topics", **environment).returncode == 0
    one = _run("publish", "--user", "u", "--type", "t", "--id", "n1", "--data", "a=b", "--in", "1h", **environment)
    assert (one.returncode, one.stdout) == (0, f"published to {prefix}notifications: u:t\n")
    piped = _run("publish", "--file", "-", stdin='{"user_id":"u","type":"t","notification_id":"n2"}\n', **environment)
    assert piped.returncode == 0, piped.stderr
    values = [value for _, value in asyncio.run(_read(kafka, f"{prefix}notifications", 2))]
    records = [Codec().decode(value, {"Notification"}).record for value in values]
    assert [record["notification_id"] for record in records] == ["n1", "n2"]
    assert records[0]["send_at"] - records[0]["created_at"] == 3_600_000


def test_topics_check_creates_nothing(kafka: str, prefix: str) -> None:
    """`topics --check` on an empty cluster names what is missing and ends with 1."""
    checked = _run("topics", "--check", **_on(kafka, prefix))
    assert checked.returncode == 1
    assert f"{prefix}outbox: is missing" in checked.stderr


def test_a_wrong_setting_is_one_line_and_ends_with_2() -> None:
    """No traceback, no secret."""
    wrong = _run("topics", RINGONCE_PARTITIONS="0", RINGONCE_SASL_PASSWORD="hunter2")
    assert (wrong.returncode, wrong.stderr) == (2, "RINGONCE_PARTITIONS: must be at least 1, is 0\n")
    unset = _run("topics")
    assert (unset.returncode, unset.stderr) == (2, "RINGONCE_BOOTSTRAP: must be set to Kafka's address, host:port\n")


def test_a_missing_kafka_is_waited_for_and_then_given_up() -> None:
    """It says what it waits for, and ends with 1 when the time is over."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    waited = _run("topics", "--wait-seconds", "1", RINGONCE_BOOTSTRAP=address)
    assert waited.returncode == 1
    assert f"waiting for Kafka at {address}" in waited.stderr
    assert f"no Kafka answers at {address} after 1 s" in waited.stderr


def test_options_that_contradict_each_other_end_with_2() -> None:
    """One event or a file, not both, and not two instants."""
    assert _run("publish", "--user", "u", "--type", "t", "--file", "x").returncode == 2
    assert (
        _run("publish", "--user", "u", "--type", "t", "--in", "1h", "--send-at", "2027-01-01T00:00:00Z").returncode == 2
    )
    assert _run("publish", "--user", "u", "--type", "t", "--data", "x").returncode == 2


def test_a_broker_in_the_background(tmp_path: Path) -> None:
    """start, start again, status, stop: one broker, known to every command by its state file."""
    environment = {"RINGONCE_CACHE": str(tmp_path)}
    real = Path(os.environ.get("RINGONCE_CACHE") or Path.home() / ".cache" / "ringonce") / f"kafka-{kafka_version()}"
    if real.exists():
        (tmp_path / f"kafka-{kafka_version()}").symlink_to(real)
    assert _run("broker", "status", **environment).returncode == 1
    started = _run("broker", "start", **environment)
    try:
        assert started.returncode == 0, started.stderr
        assert _run("broker", "start", **environment).stdout == started.stdout
        assert _run("broker", "status", **environment).stdout == started.stdout
    finally:
        stopped = _run("broker", "stop", "--erase", **environment)
    assert stopped.stderr == "stopped\n"
    assert _run("broker", "stop", **environment).stderr == "none was running\n"


def test_a_stale_state_file_never_ends_a_stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has the broker's old id but another start time is left alone."""
    monkeypatch.setenv("RINGONCE_CACHE", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        started_at = psutil.Process(stranger.pid).create_time() - 60
        state = {"pid": stranger.pid, "started_at": started_at, "bootstrap": "127.0.0.1:1", "log_file": "log"}
        directory = tmp_path / "brokers" / "default"
        directory.mkdir(parents=True)
        (directory / "running.json").write_text(json.dumps(state), encoding="utf-8")
        assert SharedKafka().status() is None
        assert SharedKafka().stop() is False
        assert stranger.poll() is None
        stranger.communicate(b"\n")
