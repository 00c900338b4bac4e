"""The processes of the demo: simulators of the providers and the workers, started here and ended here."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.child_process import spawn

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0


class ProcessError(Exception):
    """A process of the demo did not start; its last lines are in the message."""


@dataclass(frozen=True, slots=True)
class Process:
    """One child process with its log file."""

    name: str
    popen: subprocess.Popen[str]
    log_file: Path

    def last_lines(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])

    def ask_to_stop(self) -> None:
        """Tell it to stop."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Tell it to stop, and end it when it does not."""
        self.ask_to_stop()
        if self.popen.poll() is None:
            try:
                self.popen.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


def start(name: str, arguments: list[str], directory: Path, environment: Mapping[str, str]) -> Process:
    """Start `python -m ...` with its errors in a log file and its results in a pipe. It ends with this process."""
    log_file = directory / f"{name}.log"
    with log_file.open("a", encoding="utf-8") as log:
        popen = spawn(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
    return Process(name, popen, log_file)


def first_line(process: Process) -> dict[str, Any]:
    """Return the line of JSON that a process prints when it is ready. Raises ProcessError."""
    assert process.popen.stdout is not None, "started with a pipe"
    with selectors.DefaultSelector() as selector:  # select() knows no descriptors from 1,024 on
        selector.register(process.popen.stdout, selectors.EVENT_READ)
        found = selector.select(START_SECONDS_MAX)
    line = process.popen.stdout.readline() if found else ""
    if not line:
        raise ProcessError(f"{process.name} did not start:\n{process.last_lines()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def wait_for_log(process: Process, text: str, seconds_max: float = START_SECONDS_MAX) -> None:
    """Wait until its log says this. Raises ProcessError."""
    give_up_at = time.monotonic() + seconds_max
    while text not in process.log_file.read_text(encoding="utf-8", errors="replace"):
        if process.popen.poll() is not None or time.monotonic() > give_up_at:
            raise ProcessError(f"{process.name} did not start:\n{process.last_lines()}")
        time.sleep(0.1)


@contextlib.contextmanager
def stopped_at_the_end() -> Iterator[list[Process]]:
    """Stop every process in the list, the last one first, however the block ends."""
    processes: list[Process] = []
    try:
        yield processes
    finally:
        for process in reversed(processes):
            process.stop()


def provider_environment(simulators: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings that make a worker speak to the simulators."""
    apns, fcm, webpush, webhook = (simulators[name] for name in ("apns", "fcm", "webpush", "webhook"))
    return {
        "RINGONCE_PROVIDER_CA_FILE": simulators["ca_file"],
        "RINGONCE_APNS_BASE_URL": apns["url"],
        "RINGONCE_APNS_KEY_FILE": apns["key_file"],
        "RINGONCE_APNS_KEY_ID": apns["key_id"],
        "RINGONCE_APNS_TEAM_ID": apns["team_id"],
        "RINGONCE_APNS_TOPIC": apns["topic"],
        "RINGONCE_FCM_BASE_URL": fcm["url"],
        "RINGONCE_FCM_TOKEN_URL": fcm["token_url"],
        "RINGONCE_FCM_SERVICE_ACCOUNT_FILE": fcm["service_account_file"],
        "RINGONCE_WEBPUSH_VAPID_KEY_FILE": webpush["vapid_key_file"],
        "RINGONCE_WEBPUSH_SUBJECT": webpush["vapid_subject"],
        "RINGONCE_WEBPUSH_ALLOW_PRIVATE_ENDPOINTS": "true",
        "RINGONCE_WEBHOOK_SECRET_FILE": webhook["secret_file"],
        "RINGONCE_WEBHOOK_ALLOW_PRIVATE_ENDPOINTS": "true",
    }
