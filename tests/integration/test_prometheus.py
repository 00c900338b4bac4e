"""A real Prometheus scrapes a running worker: each panel has data, and rehearsed faults make their alerts fire.

The rules are those of deploy/prometheus/alerts.yml, with all durations a sixtieth or a thirtieth of what is there.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from streams.publish.messages import Message
from tests.integration.required_tools import tool
from tests.integration.system import SECONDS_MAX, System, event, system, web_url
from tests.integration.test_continuous_audit import forged

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "ringonce.json").read_text(encoding="utf-8"))
USERS = [f"user-{number:06d}" for number in range(60)]
KIND = "order_ready"
NO_DATA = "ringonce_profile_"  # this worker has no user service
BREAKER_FAILURES = 8
# Twice 1.25 s are allowed between two workers, so this one is more than half of it off.
CLOCK_OFFSET_SECONDS = 1.6


def scaled(rules: str) -> str:
    """The same rules in seconds: what holds for two minutes holds for two seconds, five minutes are ten seconds."""
    rules = re.sub(r"for: (\d+)m", lambda found: f"for: {found[1]}s", rules)
    return re.sub(r"\[(\d+)m\]", lambda found: f"[{2 * int(found[1])}s]", rules)


class Prometheus:
    """A server of its own."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=SECONDS_MAX, trust_env=False)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        result = answer["data"]["result"]
        return result if isinstance(result, list) else [result]

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def until_firing(self, *names: str) -> None:
        """Wait until these fire."""
        until(lambda: set(names) <= self.firing(), lambda: f"{set(names) - self.firing()} do not fire")


def until(so: Callable[[], bool], said: Callable[[], str] = str) -> None:
    """Look until it is so."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while not so():
        assert time.monotonic() < give_up_at, said()
        time.sleep(0.5)


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    """A server that scrapes a worker every second."""
    binary = tool("prometheus", "prometheus")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [target.removeprefix("http://")]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    rules = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    (directory / "alerts.yml").write_text(scaled(rules), encoding="utf-8")
    command = [
        binary,
        "--config.file=prometheus.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={directory / 'data'}",
    ]
    log_file = directory / "prometheus.log"
    with log_file.open("w") as log, subprocess.Popen(command, cwd=directory, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: process.poll() is None and is_ready(url), log_file.read_text)
            yield Prometheus(url)
        finally:
            process.terminate()
            process.wait(30)


def is_ready(url: str) -> bool:
    """Whether it answers."""
    try:
        return httpx.get(f"{url}/-/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_the_rules_are_scaled_as_a_whole() -> None:
    """No duration stays as it is."""
    rules = scaled((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    assert not re.search(r"\[\d+m\]|for: \d+m", rules)
    assert "for: 2s" in rules and "[10s]" in rules


def test_panels_have_data_and_alerts_fire_in_rehearsed_faults(
    kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A day of an operator in a minute: all is well, then the clock, a provider, poison, a broken promise, the end."""
    directory = tmp_path_factory.mktemp("prometheus")
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", directory) as running:
        running.environment |= {
            "RINGONCE_TEST_CLOCK_OFFSET_SECONDS": str(CLOCK_OFFSET_SECONDS),
            "RINGONCE_DEAD_LETTERS_PER_MINUTE_MAX": "480",  # 20 for each lane
            "RINGONCE_FCM_BREAKER_FAILURES": str(BREAKER_FAILURES),
        }
        worker = running.worker("one")
        running.wait_for_devices()
        with prometheus(directory, web_url(worker)) as server:
            running.produce([event(user, KIND, f"{turn}-{user}") for turn in range(2) for user in USERS])
            running.ended(2 * len(USERS))
            server.until_firing("RingonceClockSkew")
            assert server.firing() == {"RingonceClockSkew"}, "nothing else is wrong yet"

            fault(running, provider="fcm", fault="unavailable", retry_after_seconds=None)
            running.produce([event(user, "another_kind", f"dead-{user}") for user in USERS])
            server.until_firing("RingonceProviderBreakerOpen", "RingonceUnknownShare")

            asyncio.run(running.produce_to(running.topics.statuses, [forged(USERS[0], "forged", 10**9)]))
            server.until_firing("RingoncePromiseBroken")

            running.produce([Message(b"user-000001:order_ready", b"poison") for _ in range(60)])
            server.until_firing("RingonceDeadLetters", "RingonceDeadLettersPaused")

            until(lambda: not panels_without_data(server), lambda: str(panels_without_data(server)))
            worker.stop()
            server.until_firing("RingonceWorkerDown")


def panels_without_data(server: Prometheus) -> list[str]:
    """The panels a query of which finds nothing, on a worker of which something has failed."""
    empty = []
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "60s")
            if not server.query(expression) and NO_DATA not in expression:
                empty.append(f"{panel['title']}: {expression}")
    return empty


def fault(running: System, **what: Any) -> None:
    """Tell the simulators."""
    url = f"{running.simulators['control_url']}/faults"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(what).encode(), method="POST"), timeout=30).close()
