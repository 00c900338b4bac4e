"""One worker as a process that can be killed, paused, told to leave and started again, and the pid is all it takes."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from connectors.child_process import spawn

LEAVE_SECONDS_MAX = 45.0
READY_SECONDS_MAX = 120.0
LOOK_SECONDS = 0.1


AUDIT_ERROR = "ERROR streams.audit.continuous:"


class WorkerProcess:
    """`python -m streams worker` with a data directory and a log of its own."""

    def __init__(self, number: int, directory: Path, environment: Mapping[str, str]) -> None:
        self.number = number
        self.data_dir = directory / f"worker-{number + 1}"
        self.log_file = directory / f"worker-{number + 1}.log"
        self.changing = asyncio.Lock()  # one fault at a time
        self.surprises: list[str] = []
        self._environment = {**os.environ, **environment, "RINGONCE_DATA_DIR": str(self.data_dir)}
        self._process: subprocess.Popen[bytes] | None = None
        self._sinks: list[subprocess.Popen[bytes]] = []
        self._wanted = False
        self._log_start = 0

    def start(self, extra: Mapping[str, str] | None = None) -> None:
        """Start it; `extra` are further environment variables."""
        self._log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
        # Through a pipe, because a limit on its files would take its log as well; the sink ends with the worker.
        with self.log_file.open("ab") as log:
            sink = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log, start_new_session=True)
        assert sink.stdin is not None, "asked for"
        with sink.stdin:
            self._process = spawn(
                [sys.executable, "-m", "streams", "worker"],
                stdin=subprocess.DEVNULL,
                stdout=sink.stdin,
                stderr=sink.stdin,
                env={**self._environment, **(extra or {})},
                start_new_session=True,
            )
        self._sinks.append(sink)
        self._wanted = True

    async def ready(self) -> None:
        """Wait until it has its partitions. Raises TimeoutError."""
        async with asyncio.timeout(READY_SECONDS_MAX):
            while b"ready:" not in self._log_since_start():  # noqa: ASYNC110 (another process, which has no events)
                await asyncio.sleep(LOOK_SECONDS)

    def _log_since_start(self) -> bytes:
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read()

    def supervise(self) -> None:
        """Start it again when it ended by itself, and remember that it did."""
        if self._wanted and self._process is not None and self._process.poll() is not None:
            self.surprises.append(f"worker {self.number + 1} ended by itself with code {self._process.returncode}")
            self.start()

    def audit_errors(self) -> list[str]:
        """What the continuous audit of this worker found, over all its starts; it must find nothing."""
        lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
        return [f"worker {self.number + 1}: {line}" for line in lines if AUDIT_ERROR in line]

    def kill(self, wipe: bool) -> None:
        """SIGKILL; `wipe`: its disk is lost too."""
        self._wanted = False
        self._end(signal.SIGKILL)
        if wipe:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    async def leave(self) -> None:
        """SIGTERM, and wait until it has left; by force when it takes too long, which it must not."""
        self._wanted = False
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, LEAVE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.surprises.append(f"worker {self.number + 1} did not leave within {LEAVE_SECONDS_MAX:.0f} s")
            self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: it knows nothing of the time that passes."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)

    def limit_files(self, size: int | None) -> None:
        """Let no file of it grow beyond this, as on a full disk; None: again without limit."""
        if self._process is not None and self._process.poll() is None:
            soft = resource.RLIM_INFINITY if size is None else size
            hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def end(self) -> None:
        """End it in any state, at once."""
        self._wanted = False
        self._end(signal.SIGKILL)
        for sink in self._sinks:
            sink.wait()

    def restarts(self) -> int:
        """How often it started anew in place."""
        text = self.log_file.read_bytes() if self.log_file.exists() else b""
        return text.count(b"worker failed after")

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait()
