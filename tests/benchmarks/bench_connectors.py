"""How fast the connectors are: pushes per second and CPU per push, next to the bare transport with a ready request.

    python -m tests.benchmarks.bench_connectors [--pushes N] [--rounds N] [--out FILE]

The simulators run in a process of their own; they are Python too and strict, so on a small machine they are what
limits pushes per second. What the connectors cost is the CPU time of this process: microseconds of it per push.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import httpx

from connectors.apns import ApnsConfig, ApnsConnector
from connectors.apns import request as apns_request
from connectors.fcm import FcmConfig, FcmConnector
from connectors.fcm import request as fcm_request
from connectors.http import Answer, Fields, HttpClient, HttpConfig, Post
from connectors.outcome import Accepted, Connector, Device, NotSent, ProviderName, Push
from connectors.webhook import WebhookConfig, WebhookConnector
from connectors.webpush import WebPushConfig, WebPushConnector
from connectors.webpush import request as webpush_request

# In flight at a time: enough to fill an answer time of 50 ms, and what a worker would have.
IN_FLIGHT = {0: 200, 50: 1_000}
DEVICES = 500


@dataclass(frozen=True)
class Measurement:
    """Medians over the rounds. `answer_ms`: what the simulator waits before it answers."""

    provider: str
    what: str
    answer_ms: int
    per_second: int
    client_cpu_us: int


class Simulators:
    """The simulators' process, and what its control port gives."""

    def __init__(self, directory: str) -> None:
        command = [sys.executable, "-m", "connectors.simulators", "--directory", directory]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.where: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.devices = self.control("/devices", {"count": DEVICES})

    def control(self, path: str, arguments: dict[str, Any]) -> dict[str, Any]:
        response = httpx.post(self.where["control_url"] + path, json=arguments, timeout=30.0)
        response.raise_for_status()
        said: dict[str, Any] = response.json()
        return said

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def connector_for(name: ProviderName, where: dict[str, Any]) -> Connector:
    here, ca_file = where[name], where["ca_file"]
    match name:
        case ProviderName.APNS:
            return ApnsConnector(
                ApnsConfig(here["url"], here["key_file"], here["key_id"], here["team_id"], here["topic"], ca_file, 2)
            )
        case ProviderName.FCM:
            return FcmConnector(FcmConfig(here["url"], here["service_account_file"], ca_file=ca_file, connections=2))
        case ProviderName.WEBPUSH:
            return WebPushConnector(
                WebPushConfig(
                    here["vapid_key_file"],
                    here["vapid_subject"],
                    ca_file=ca_file,
                    connections=2,
                    allow_private_endpoints=True,
                )
            )
        case ProviderName.WEBHOOK:
            return WebhookConnector(
                WebhookConfig(here["secret_file"], ca_file=ca_file, connections=2, allow_private_endpoints=True)
            )


def device_for(name: ProviderName, simulators: Simulators, number: int) -> Device:
    given = simulators.devices[name][number % DEVICES]
    if name is ProviderName.WEBPUSH:
        return Device("d", name, given["endpoint"], given["p256dh"], given["auth"])
    return Device("d", name, given)


def pushes_for(name: ProviderName, simulators: Simulators, count: int) -> list[Push]:
    return [
        Push(
            push_id=str(uuid.uuid4()),
            notification_id=f"n-{number}",
            type="like",
            device=device_for(name, simulators, number),
            title="Ada likes your photo",
            body="and eleven others do so, too",
            data={"photo": "8213", "deep_link": "app://photos/8213"},
            ttl_seconds=3_600,
            collapse_id=uuid.uuid4().hex,
        )
        for number in range(count)
    ]


Send = Callable[[int], Awaitable[bool]]


async def bare(name: ProviderName, simulators: Simulators, authorization: str) -> tuple[HttpClient, Send]:
    """The transport alone, with one request that is built once and sent again and again."""
    push, now = pushes_for(name, simulators, 1)[0], time.time()
    differing: Fields = ()
    built: Any
    match name:
        case ProviderName.APNS:
            built = apns_request.build_request(push, now)
            path, differing = built.path, built.fields
            staying = apns_request.staying_fields(authorization, simulators.where["apns"]["topic"], True)
        case ProviderName.FCM:
            built = fcm_request.build_request(push, now)
            path = f"/v1/projects/{simulators.where['fcm']['project_id']}/messages:send"
            staying = fcm_request.staying_fields(authorization)
        case ProviderName.WEBPUSH:
            built = webpush_request.build_request(push, now)
            path, differing = built.endpoint.path, built.fields
            staying = webpush_request.staying_fields(authorization, 3_600, True)
        case ProviderName.WEBHOOK:
            raise ValueError("one message sent again and again is a replay, which receivers refuse")
    assert not isinstance(built, NotSent)
    client = HttpClient(
        HttpConfig.for_url(
            simulators.where[name]["url"],
            "url",
            ca_file=simulators.where["ca_file"],
            connections=2,
            streams_max=500,
            connect_timeout_seconds=5.0,
        )
    )

    async def send(_: int) -> bool:
        result = await client.request(Post(path, staying, differing, built.body), 30.0, lambda: True)
        return isinstance(result, Answer) and result.status < 300

    return client, send


async def measure(send: Send, count: int, in_flight: int) -> tuple[float, float]:
    """Pushes per second, and CPU microseconds of this process per push. Every push must be accepted."""
    numbers = iter(range(count))
    accepted = 0

    async def work() -> None:
        nonlocal accepted
        for number in numbers:
            was_accepted = await send(number)
            accepted += was_accepted

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(min(in_flight, count))))
    cpu_us = (time.process_time() - cpu) * 1e6 / count
    per_second = count / (time.perf_counter() - started)
    if accepted != count:
        raise RuntimeError(f"only {accepted} of {count} were accepted")
    return per_second, cpu_us


async def rounds(send: Send, count: int, in_flight: int, number: int) -> tuple[int, int]:
    await measure(send, warm_up(count), in_flight)  # connections, tokens, header tables
    results = [await measure(send, count, in_flight) for _ in range(number)]
    return round(statistics.median(rate for rate, _ in results)), round(statistics.median(cpu for _, cpu in results))


def warm_up(count: int) -> int:
    return max(200, count // 10)


async def bench(simulators: Simulators, count: int, round_count: int) -> list[Measurement]:
    found: list[Measurement] = []
    for name in ProviderName:
        for answer_ms, in_flight in IN_FLIGHT.items():
            fault = {"provider": name, "fault": "slow", "seconds": answer_ms / 1_000}
            simulators.control("/faults", {"provider": name, "clear": True} if answer_ms == 0 else fault)
            pushes = iter(pushes_for(name, simulators, warm_up(count) + count * round_count))
            connector: Any = connector_for(name, simulators.where)

            async def send(_: int, connector: Connector = connector, pushes: Iterator[Push] = pushes) -> bool:
                return isinstance(await connector.send(next(pushes), lambda: True), Accepted)

            found.append(Measurement(name, "connector", answer_ms, *await rounds(send, count, in_flight, round_count)))
            if name is not ProviderName.WEBHOOK:
                client, send_bare = await bare(name, simulators, await authorization_of(connector, simulators))
                measured = await rounds(send_bare, count, in_flight, round_count)
                found.append(Measurement(name, "bare", answer_ms, *measured))
                await client.close()
            await connector.close()
            for m in found:
                if (m.provider, m.answer_ms) == (name, answer_ms):
                    line = f"{m.provider:8} {m.what:10} {m.answer_ms:3} ms {m.per_second:6}/s {m.client_cpu_us:5} us"
                    print(line, file=sys.stderr)
    return found


async def authorization_of(connector: Any, simulators: Simulators) -> str:
    """The header that the connector has presented."""
    match connector.name:
        case ProviderName.FCM:
            authorization = await connector._tokens.authorization()
        case ProviderName.WEBPUSH:
            authorization = connector._tokens.authorization(simulators.where["webpush"]["url"])
        case _:
            authorization = connector._tokens.authorization()
    return str(authorization)


def main() -> None:
    """Measure and write one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pushes", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default="-", help="file to write, - for stdout")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        simulators = Simulators(directory)
        try:
            found = asyncio.run(bench(simulators, arguments.pushes, arguments.rounds))
        finally:
            simulators.close()
    report = {
        "command": " ".join(("python -m tests.benchmarks.bench_connectors", *sys.argv[1:])),
        "machine": {"cpus": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("hpack", "cryptography", "httpx")},
        },
        "load_before": os.getloadavg()[0],
        "medians": [asdict(measurement) for measurement in found],
    }
    text = json.dumps(report, indent=2)
    if arguments.out == "-":
        print(text)
    else:
        with open(arguments.out, "w", encoding="utf-8") as file:  # noqa: PTH123 (a name from the command line)
            file.write(text + "\n")


if __name__ == "__main__":
    main()
