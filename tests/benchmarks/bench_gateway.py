"""How fast one worker takes notifications over HTTP, each answered once Kafka has it with acks=all.

    python -m tests.benchmarks.bench_gateway [--seconds 8] [--runs 3] [--json FILE]

One worker with all stages works on what it takes while it takes it; the embedded broker, the simulators and the client
share the machine with it. The client keeps connections open and sends the next request when the one before is
answered: singly over many connections, in batches of 100 and of 1,000 over few. Every notification is of a user of its
own. All are counted on the topic afterwards: as many as were answered with 202, no more and no less. Twice: without
keys, and with an API key.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

import psutil
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from connectors.embedded_kafka import EmbeddedKafka
from streams.settings import kafka_client_options
from streams.web.security.keys import new_key
from streams.web.security.keys_file import change_keys
from tests.benchmarks.results import measured_on, written_on
from tests.integration.system import PARTITIONS, System, system, web_url
from tests.integration.test_web import until_status

KIND: Final = "order_ready"
WARM_SECONDS: Final = 2.0
REST_SECONDS: Final = 1.0  # between two ways, so that what one has left behind is not the other's
WANTED_PER_SECOND: Final = {1: 800, 100: 2_000, 1_000: 2_000}


class Way(NamedTuple):
    """How it is asked."""

    batch: int
    connections: int


WAYS: Final = (Way(1, 64), Way(100, 8), Way(1_000, 4))


@dataclass(frozen=True, slots=True)
class Run:
    """One run. CPU is that of the whole worker, which also works on what it has taken."""

    with_key: bool
    batch: int
    connections: int
    notifications_per_second: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_notification: float
    refused: int


class Connection(asyncio.Protocol):
    """Sends one request after the other, and notes what each took."""

    def __init__(self, requests: Iterator[bytes], running: Callable[[], bool]) -> None:
        self._requests = requests
        self._running = running
        self._transport: asyncio.Transport | None = None
        self._seen = b""
        self._sent_at = 0.0
        self.took: list[float] = []
        self.refused: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # that of uvloop is none by name
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        if not self._running():
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, found, body = self._seen.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.took.append(time.perf_counter() - self._sent_at)
        if not head.startswith(b"HTTP/1.1 202"):
            self.refused.append(head[:40] + body[:200])
        self._seen = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def requests(run: str, batch: int, head: str) -> Iterator[bytes]:
    """Requests without an end; no user twice."""
    for number in itertools.count():
        notifications = [
            {
                "notification_id": f"{run}-{number}-{place}",
                "user_id": f"{run}-{number}-{place}",
                "type": KIND,
                "data": {"name": "Ada", "order": f"{number}"},
            }
            for place in range(batch)
        ]
        body = json.dumps(notifications[0] if batch == 1 else notifications).encode()
        yield f"POST /notifications HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(url: str, way: Way, head: str, seconds: float) -> list[Connection]:
    """Ask in one way for so long; return the connections once the last answer is in."""
    address = urlsplit(url)
    run, until = uuid.uuid4().hex[:8], time.monotonic() + seconds
    of_all = requests(run, way.batch, f"Host: {address.netloc}\r\nContent-Type: application/json\r\n{head}")
    found = []
    for _ in range(way.connections):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(of_all, lambda: time.monotonic() < until), address.hostname or "", address.port or 0
        )
        found.append(connection)
    async with asyncio.timeout(seconds + 60):
        await asyncio.gather(*(each.done for each in found))
    return found


async def stored(running: System) -> int:
    """How many notifications are on the topic."""
    consumer = AIOKafkaConsumer(**kafka_client_options(running.settings))
    await consumer.start()
    try:
        partitions = [TopicPartition(running.topics.notifications, number) for number in range(PARTITIONS)]
        ends = await consumer.end_offsets(partitions)
    finally:
        await consumer.stop()
    return sum(ends.values())


async def measure(running: System, pid: int, url: str, way: Way, token: str | None, seconds: float) -> Run:
    """One run. Raises AssertionError unless what was answered with 202 is on the topic, and nothing else."""
    head = "" if token is None else f"Authorization: Bearer {token}\r\n"
    worker, before = psutil.Process(pid), await stored(running)
    used_before, started_at = worker.cpu_times(), time.monotonic()
    connections = await ask(url, way, head, seconds)
    took, used = time.monotonic() - started_at, worker.cpu_times()
    refused = [each for connection in connections for each in connection.refused]
    latencies = sorted(each for connection in connections for each in connection.took)
    accepted = (len(latencies) - len(refused)) * way.batch
    after = await stored(running)
    assert after - before == accepted, f"{accepted} were answered with 202, {after - before} are on the topic"
    for each in refused[:3]:
        print(each, file=sys.stderr)
    cpu = used.user + used.system - used_before.user - used_before.system
    return Run(
        with_key=token is not None,
        batch=way.batch,
        connections=way.connections,
        notifications_per_second=round(accepted / took),
        requests_per_second=round(len(latencies) / took, 1),
        p50_ms=round(statistics.median(latencies) * 1000, 1),
        p99_ms=round(latencies[int(len(latencies) * 0.99)] * 1000, 1),
        cpu_us_per_notification=round(cpu / max(1, accepted) * 1_000_000, 1),
        refused=len(refused),
    )


def measured(kafka: str, with_key: bool, seconds: float, runs: int) -> list[Run]:
    """All ways so many times, interleaved, on a system of its own."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with system(kafka, f"bench{uuid.uuid4().hex[:8]}-", directory) as running:
            token = None
            if with_key:
                key, token = new_key("bench", ("send", "read"), time.time_ns() // 1_000_000)
                change_keys(directory / "keys.json", lambda keys: (*keys, key))
                running.environment |= {
                    "RINGONCE_API_KEYS_FILE": str(directory / "keys.json"),
                    "RINGONCE_API_PER_SECOND_MAX": "0",
                    "RINGONCE_CLUSTER_SECRET": "a-secret-of-the-benchmark-that-is-long-enough",
                }
            worker = running.worker("one")
            url = web_url(worker)
            until_status(f"{url}/health/ready", 200)
            uvloop.run(ask(url, WAYS[1], "" if token is None else f"Authorization: Bearer {token}\r\n", WARM_SECONDS))
            for _ in range(runs):
                for way in WAYS:
                    time.sleep(REST_SECONDS)
                    run = uvloop.run(measure(running, worker.popen.pid, url, way, token, seconds))
                    print(run, file=sys.stderr)
                    found.append(run)
    return found


def table(runs: Sequence[Run]) -> list[str]:
    """The medians in Markdown."""
    lines = [
        "| key | batch | connections | notifications/s | wanted | requests/s | p50 / p99 | worker CPU µs | refused |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for with_key, way in itertools.product((False, True), WAYS):
        its = [run for run in runs if run.with_key == with_key and run.batch == way.batch]
        if not its:
            continue

        def median(name: str, its: Sequence[Run] = its) -> float:
            return float(statistics.median(getattr(run, name) for run in its))

        lines.append(
            f"| {'yes' if with_key else 'no'} | {way.batch:,} | {way.connections} "
            f"| {median('notifications_per_second'):,.0f} | {WANTED_PER_SECOND[way.batch]:,} "
            f"| {median('requests_per_second'):,.0f} | {median('p50_ms'):.0f} / {median('p99_ms'):.0f} ms "
            f"| {median('cpu_us_per_notification'):.0f} | {sum(run.refused for run in its)} |"
        )
    return lines


def main() -> int:
    """Measure, print and write the results; 1 where less was taken than is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--runs", type=int, default=3, help="of each way")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs: list[Run] = []
    with EmbeddedKafka() as broker:
        for with_key in (False, True):
            runs += measured(broker.bootstrap, with_key, arguments.seconds, arguments.runs)
    command = "python -m tests.benchmarks.bench_gateway " + " ".join(sys.argv[1:])
    on = measured_on(command.strip(), PARTITIONS)
    text = "\n".join(
        [
            *table(runs),
            "",
            f"Medians of {arguments.runs} interleaved runs of {arguments.seconds:g} s. All that was answered with 202 "
            "was on the topic afterwards, and nothing else. One worker with all stages, which works on what it takes "
            f"at the same time; {PARTITIONS} partitions, acks=all; broker, simulators and client share the machine.",
            *written_on(on),
        ]
    )
    print(text)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        document = {**on, "runs": [asdict(run) for run in runs]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        arguments.json.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    slow = [run for run in runs if run.notifications_per_second < WANTED_PER_SECOND[run.batch]]
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
