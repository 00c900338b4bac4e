"""A Prometheus of its own with the rules of deploy/prometheus/alerts.yml, faster by a documented factor.

What the rules wait and look back for is scaled, by text alone, so that a rehearsal takes seconds; every expression
and every threshold stays as it is:

    for: 5m    →  for: 5s         a minute is a second
    [5m]       →  [20s]           every window is as long: what is rare is in it, and what is over is over soon
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from connectors.child_process import spawn
from tests.integration.required_tools import tool

ROOT = Path(__file__).parents[2]
RULES_FILE = ROOT / "deploy" / "prometheus" / "alerts.yml"
SETTINGS_FILE = ROOT / "deploy" / "prometheus" / "prometheus.yml"
SECONDS_MAX = 120.0
LOOK_SECONDS = 0.25
WINDOW_SECONDS = 20


def scaled(rules: str) -> str:
    """Return the same rules in seconds."""
    rules = re.sub(r"for: (\d+)m", lambda found: f"for: {found[1]}s", rules)
    return re.sub(r"\[\d+m\]", f"[{WINDOW_SECONDS}s]", rules)


def until(so: Callable[[], bool], said: Callable[[], str] = str, seconds_max: float = SECONDS_MAX) -> None:
    """Look until it is so."""

    def holds() -> None:
        assert so(), "it is not so"

    until_it_holds(holds, said, seconds_max)


def until_it_holds(holds: Callable[[], None], said: Callable[[], str], seconds_max: float = SECONDS_MAX) -> None:
    """Check until no assertion of it fails; the last failure says which did."""
    give_up_at = time.monotonic() + seconds_max
    while True:
        try:
            holds()
            return
        except AssertionError as failed:
            if time.monotonic() >= give_up_at:
                failed.add_note(said())
                raise
        time.sleep(LOOK_SECONDS)


class Prometheus:
    """What a running server says."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        answer = self._http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        result = answer["data"]["result"]
        return result if isinstance(result, list) else [result]

    def value(self, expression: str) -> float | None:
        """The value of an expression that has one series; None: it has none."""
        series = self.query(expression)
        assert len(series) < 2, f"{expression}: {series}"
        return float(series[0]["value"][1]) if series else None

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    """A server that scrapes a worker, host:port, every second."""
    binary = tool("prometheus", "prometheus")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = yaml.safe_load(SETTINGS_FILE.read_text(encoding="utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (job,) = settings["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [target]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (directory / "alerts.yml").write_text(scaled(RULES_FILE.read_text(encoding="utf-8")), encoding="utf-8")
    command = [
        binary,
        "--config.file=prometheus.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={directory / 'data'}",
    ]
    log_file = directory / "prometheus.log"
    with log_file.open("w") as log, spawn(command, cwd=directory, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: process.poll() is None and _is_ready(url), log_file.read_text)
            with httpx.Client(base_url=url, timeout=SECONDS_MAX, trust_env=False) as http:
                yield Prometheus(http)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
