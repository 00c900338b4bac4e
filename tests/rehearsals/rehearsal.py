"""One system under rehearsal: broker, worker, simulators, Prometheus; faults, and what fired and was mended when."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from connectors.embedded_kafka import EmbeddedKafka
from connectors.embedded_kafka.ports import free_ports
from streams.demo.processes import Process, start, wait_for_log
from tests.integration.required_tools import tool
from tests.integration.system import PARTITIONS, System, system
from tests.rehearsals.prometheus_server import SECONDS_MAX, Prometheus, prometheus, until
from tests.user_service_stand_in import UserServiceStandIn
from tests.user_service_thread import user_service_beside

DATA_DIR = "data"


@dataclass
class Rehearsed:
    """When an alert fired after its fault began, and when it was over after the runbook's step."""

    fired_seconds: float
    resolved_seconds: float | None = None


@dataclass
class Stage:
    """What a rehearsal plays on. There is one worker at a time, always at the same address."""

    found: System
    broker: EmbeddedKafka
    user_service: UserServiceStandIn
    server: Prometheus
    address: str
    worker: Process
    rehearsed: dict[str, Rehearsed] = field(default_factory=dict)
    _starts: int = 1

    # --- faults

    def provider_fault(self, provider: str, fault: str, **numbers: Any) -> None:
        """Let requests to a provider meet this from now on."""
        self._simulators({"provider": provider, "fault": fault, **numbers})

    def provider_mended(self, *providers: str) -> None:
        """Let them answer as they should."""
        for provider in providers:
            self._simulators({"provider": provider, "clear": True})

    def _simulators(self, body: dict[str, Any]) -> None:
        url = f"{self.found.simulators['control_url']}/faults"
        urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(body).encode(), method="POST"), timeout=30
        ).close()

    @contextmanager
    def frozen_broker(self) -> Iterator[None]:
        """SIGSTOP: it has its connections, and answers nothing as long as the block lasts."""
        assert self.broker.pid is not None, "it runs"
        os.kill(self.broker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.broker.pid, signal.SIGCONT)

    # --- the worker

    def set(self, **settings: str) -> None:
        """Change settings of the workers that are started from now on, named without `RINGONCE_`."""
        self.found.environment |= {f"RINGONCE_{name}": value for name, value in settings.items()}

    def start_worker(self, ready: bool = True) -> None:
        """Start it again at the same address, with the same data directory."""
        self._starts += 1
        self.worker = _started(self.found, f"worker-{self._starts}")
        if ready:
            wait_for_log(self.worker, "ready:")

    def restart_worker(self) -> None:
        """Stop it in order and start it again."""
        self.worker.stop()
        self.start_worker()

    def scraped(self) -> None:
        """Wait until Prometheus has seen the worker that runs now, so that what is quiet is not merely absent."""
        until(lambda: self.server.value("ringonce_ready") == 1, self.worker.last_lines)

    @property
    def data_dir(self) -> Path:
        """What the worker keeps on its disk."""
        return self.found.directory / DATA_DIR

    def metrics(self) -> str | None:
        """What the worker shows; None: it does not answer."""
        try:
            answer = httpx.get(f"http://{self.address}/metrics", timeout=1.0, trust_env=False)
        except httpx.TransportError:
            return None
        return answer.text if answer.status_code == 200 else None

    # --- the operator

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run `ringonce` as the runbook says; return what it printed."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
        done = subprocess.run(
            [sys.executable, "-m", "streams", *arguments],
            capture_output=True,
            text=True,
            env={**clean, **self.found.environment, "COLUMNS": "200"},
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == code, f"ringonce {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    # --- the alerts

    def fires(self, since: float, *alerts: str, seconds_max: float = SECONDS_MAX) -> None:
        """Wait until these fire; `since`: when their faults began (monotonic)."""
        waiting = set(alerts)

        def all_fire() -> bool:
            for alert in waiting & self.server.firing():
                self.rehearsed.setdefault(alert, Rehearsed(time.monotonic() - since))
                waiting.discard(alert)
            return not waiting

        until(all_fire, lambda: f"{waiting} do not fire; {self.worker.last_lines()}", seconds_max)

    def resolves(self, since: float, *alerts: str, seconds_max: float = SECONDS_MAX) -> None:
        """Wait until none of these fires; `since`: when the runbook's step was done (monotonic)."""
        waiting = set(alerts)

        def all_over() -> bool:
            for alert in waiting - self.server.firing():
                self.rehearsed[alert].resolved_seconds = time.monotonic() - since
                waiting.discard(alert)
            return not waiting

        until(all_over, lambda: f"{waiting} still fire; {self.worker.last_lines()}", seconds_max)

    def nothing_fires(self) -> None:
        """Wait until all is well, with a worker that is scraped."""
        self.scraped()
        until(lambda: not self.server.firing(), lambda: f"{self.server.firing()} fire; {self.worker.last_lines()}")


def _started(found: System, name: str) -> Process:
    environment = {**found.environment, "RINGONCE_DATA_DIR": str(found.directory / DATA_DIR)}
    process = start(name, ["streams", "worker"], found.directory, environment)
    found.processes.append(process)
    return process


@contextmanager
def stage(directory: Path, settings: dict[str, str], types: str) -> Iterator[Stage]:
    """Set everything up: a worker with these settings, without `RINGONCE_`, and these types, ready and scraped."""
    tool("prometheus", "prometheus")  # before anything is started
    (port,) = free_ports(1)
    types_file = directory / "types.toml"
    types_file.write_text(types, encoding="utf-8")
    with (
        EmbeddedKafka(partitions=PARTITIONS, fast_start=True) as broker,
        user_service_beside() as user_service,
        system(broker.bootstrap, f"r{uuid.uuid4().hex[:8]}-", directory) as found,
    ):
        found.environment |= {
            "RINGONCE_WEB_PORT": str(port),
            "RINGONCE_TYPES_FILE": str(types_file),
            "RINGONCE_USER_SERVICE_URL": user_service.url,
            "RINGONCE_USER_SERVICE_ALLOW_HTTP": "true",
            **{f"RINGONCE_{name}": value for name, value in settings.items()},
        }
        worker = _started(found, "worker-1")
        wait_for_log(worker, "ready:")
        found.wait_for_devices()
        address = f"127.0.0.1:{port}"
        with prometheus(directory, address) as server:
            made = Stage(found, broker, user_service, server, address, worker)
            made.scraped()
            yield made


def produce_to(made: Stage, topic: str, messages: list[Any]) -> None:
    """Put records on any topic, as somebody who should not."""
    asyncio.run(made.found.produce_to(topic, messages))
