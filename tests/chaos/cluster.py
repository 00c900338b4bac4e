"""A whole system for one run: a broker, a proxy before it for each worker, the simulators, and the workers."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from connectors.embedded_kafka import EmbeddedKafka
from connectors.embedded_kafka.ports import free_ports
from streams.demo.processes import Process, first_line, provider_environment, start
from streams.settings import Settings, load_settings
from streams.topics import ensure_topics
from tests.chaos.plan import PROVIDERS
from tests.chaos.proxy import TcpProxy
from tests.chaos.worker_process import WorkerProcess

PARTITIONS = 6
TYPES_FILE = Path(__file__).with_name("types.toml")
# As short as the settings allow, so that a run sees many windows; grace covers a request and the skew.
ENVIRONMENT = {
    "RINGONCE_APP_ID": "chaos",
    "RINGONCE_TOPIC_PREFIX": "chaos.",
    "RINGONCE_PARTITIONS": str(PARTITIONS),
    "RINGONCE_SESSION_TIMEOUT_SECONDS": "6",
    "RINGONCE_HEARTBEAT_SECONDS": "1",
    # As is usual, and longer than a broker is away here: see "A broker that forgets" in docs/proof.md.
    "RINGONCE_TRANSACTION_TIMEOUT_SECONDS": "30",
    "RINGONCE_CLOCK_SKEW_SECONDS_MAX": "1",
    "RINGONCE_GRACE_SECONDS": "6",
    "RINGONCE_APNS_REQUEST_TIMEOUT_SECONDS": "3",
    "RINGONCE_FCM_REQUEST_TIMEOUT_SECONDS": "3",
    "RINGONCE_WEBPUSH_REQUEST_TIMEOUT_SECONDS": "3",
    "RINGONCE_WEBHOOK_REQUEST_TIMEOUT_SECONDS": "3",
    "RINGONCE_TYPES_FILE": str(TYPES_FILE),
    "RINGONCE_WEB_PORT": "0",
}


class Cluster:
    """Started by `async with`; every process that it started is ended when the block ends, however it ends."""

    def __init__(self, directory: Path, workers: int) -> None:
        self.directory = directory
        self.broker_changing = asyncio.Lock()
        self.workers: list[WorkerProcess] = []
        self._proxy_ports = free_ports(workers)
        # It starts often, so it had better start fast.
        self.broker = EmbeddedKafka(
            directory / "kafka", partitions=PARTITIONS, fast_start=True, advertised_ports=self._proxy_ports
        )
        self.proxies: list[TcpProxy] = []
        self.settings: Settings
        self.push_log: Path
        self._simulators: Process | None = None
        self._control_url = ""

    async def __aenter__(self) -> Cluster:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        await asyncio.to_thread(self.broker.start)
        values = {name.removeprefix("RINGONCE_").lower(): value for name, value in ENVIRONMENT.items()}
        own = {name: value for name, value in values.items() if name.split("_")[0] not in PROVIDERS}
        short = {"request_timeout_seconds": ENVIRONMENT["RINGONCE_APNS_REQUEST_TIMEOUT_SECONDS"]}
        providers = dict.fromkeys(PROVIDERS, short)
        self.settings = load_settings(**own, **providers, bootstrap=self.broker.bootstrap, data_dir=self.directory)
        report = await ensure_topics(self.settings)
        assert not report.differences, report.differences
        arguments = ["connectors.simulators", "--directory", str(self.directory / "simulators")]
        self._simulators = start("simulators", arguments, self.directory, {})
        where = await asyncio.to_thread(first_line, self._simulators)
        self.push_log, self._control_url = Path(where["log_file"]), where["control_url"]
        for number, port in enumerate(self._proxy_ports):
            proxy = TcpProxy(port, lambda number=number: self.broker.listener(number))  # type: ignore[misc] # binds now
            await proxy.start()
            self.proxies.append(proxy)
            environment = {
                **ENVIRONMENT,
                **provider_environment(where),
                "RINGONCE_BOOTSTRAP": f"127.0.0.1:{port}",
            }
            worker = WorkerProcess(number, self.directory, environment)
            self.workers.append(worker)
            worker.start()
        for worker in self.workers:
            await worker.ready()

    async def _stop(self) -> None:
        for worker in self.workers:
            worker.end()
        if self._simulators is not None:
            self._simulators.stop()
        for proxy in self.proxies:
            await proxy.close()
        await asyncio.to_thread(self.broker.stop)

    async def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the simulators' control port."""

        def ask() -> Any:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(self._control_url + path, data, method="GET" if body is None else "POST")
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)

        return await asyncio.to_thread(ask)
