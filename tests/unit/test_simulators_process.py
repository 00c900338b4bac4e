"""The simulators run as a process of their own, and are steered through their control port."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

LIMIT_SECONDS = 20.0


@dataclass
class Running:
    """The process, what it said, and a client of its control port."""

    process: subprocess.Popen[str]
    where: dict[str, Any]
    control: httpx.Client

    def post(self, path: str, body: Any) -> httpx.Response:
        """Ask the control port."""
        return self.control.post(path, json=body)


@contextmanager
def process(directory: Path) -> Iterator[Running]:
    """Start, and end what the test has not."""
    command = [sys.executable, "-m", "connectors.simulators", "--directory", str(directory)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as started:
        try:
            assert started.stdout is not None
            where = json.loads(started.stdout.readline())
            with httpx.Client(base_url=where["control_url"], timeout=LIMIT_SECONDS) as control:
                yield Running(started, where, control)
        finally:
            started.kill()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A process for one test."""
    with process(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One process for all wrong orders: none changes anything."""
    with process(tmp_path_factory.mktemp("shared")) as started:
        yield started


def push(running: Running, device: str) -> httpx.Response:
    """Send one right push to APNs with the credentials that the process gave."""
    apns = running.where["apns"]
    key = Path(apns["key_file"]).read_text()
    token = jwt.encode({"iss": apns["team_id"], "iat": int(time.time())}, key, "ES256", headers={"kid": apns["key_id"]})
    headers = {"authorization": f"bearer {token}", "apns-topic": apns["topic"], "apns-push-type": "alert"}
    payload = {"aps": {"alert": "Hello"}, "notification_id": "n-1", "type": "greeting"}
    tls = ssl.create_default_context(cafile=running.where["ca_file"])
    with httpx.Client(http1=False, http2=True, verify=tls, timeout=LIMIT_SECONDS) as client:
        return client.post(f"{apns['url']}/3/device/{device}", headers=headers, json=payload)


def test_a_push_through_another_process(running: Running) -> None:
    """Devices are made, a push is accepted and counted, a fault is set, struck and cleared, and a device removed."""
    assert running.control.get("/ready").json() == {"ready": True}
    devices = running.post("/devices", {"count": 3}).json()
    assert {name: len(each) for name, each in devices.items()} == {"apns": 3, "fcm": 3, "webpush": 3, "webhook": 3}
    assert set(devices["webpush"][0]) == {"endpoint", "p256dh", "auth"}
    assert push(running, devices["apns"][0]).status_code == 200
    fault = {"provider": "apns", "fault": "unavailable_but_delivered", "share": 1, "seed": 4, "count": 1}
    assert running.post("/faults", fault).status_code == 200
    assert push(running, devices["apns"][1]).status_code == 503
    assert running.post("/faults", {"provider": "apns", "fault": "hang"}).status_code == 200
    assert running.post("/faults", {"provider": "apns", "clear": True}).status_code == 200
    removed = {"provider": "apns", "address": devices["apns"][2], "at_ms": 5}
    assert running.post("/unregister", removed).status_code == 200
    assert push(running, devices["apns"][2]).json() == {"reason": "Unregistered", "timestamp": 5}
    counted = running.control.get("/counts").json()
    assert counted["counts"]["apns"] == {"requests": 3, "accepted": 2, "shown": 2, "refused": {"Unregistered": 1}}
    assert counted["struck"]["apns"] == {"unavailable_but_delivered": 1}


def test_a_connection_is_cut_by_another_process(running: Running) -> None:
    """The faults that cut connections do so on the event loop that the process uses, too."""
    devices = running.post("/devices", {"count": 1}).json()
    for fault, accepted in (("reset_before", 0), ("refuse_connection", 0), ("reset_after_accept", 1)):
        running.post("/faults", {"provider": "apns", "clear": True})
        running.post("/faults", {"provider": "apns", "fault": fault})
        with pytest.raises(httpx.TransportError):
            push(running, devices["apns"][0])
        assert running.control.get("/counts").json()["counts"]["apns"]["accepted"] == accepted


def test_sigterm_ends_it_with_the_log_complete(running: Running) -> None:
    """After SIGTERM the process ends well, and every accepted push is in the log file."""
    devices = running.post("/devices", {"count": 1}).json()
    push(running, devices["apns"][0])
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(LIMIT_SECONDS) == 0
    lines = Path(running.where["log_file"]).read_text().splitlines()
    assert [json.loads(line)["notification_id"] for line in lines] == ["n-1"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"provider": "apns"}),
        ("/faults", {"provider": "gcm", "fault": "slow"}),
        ("/faults", {"provider": "apns", "fault": "sleepy"}),
        ("/faults", {"provider": "apns", "fault": "slow", "share": 2}),
        ("/faults", {"provider": "apns", "fault": "slow", "share": "all"}),
        ("/faults", {"provider": "apns", "fault": "slow", "often": 1}),
        ("/faults", []),
        ("/devices", {}),
        ("/devices", {"count": -1}),
        ("/unregister", {"provider": "apns", "address": "unknown"}),
    ],
)
def test_a_wrong_order_is_refused(shared: Running, path: str, body: Any) -> None:
    """The control port says what is wrong, and goes on."""
    response = shared.post(path, body)
    assert response.status_code == 400
    assert response.json()["error"]
    assert shared.control.get("/nothing").status_code == 404
