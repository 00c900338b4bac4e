"""What is measured, as a process of its own: until it is ready, what it costs, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
from aiokafka.admin import AIOKafkaAdminClient

READY_SECONDS_MAX: Final = 90.0
ANSWER_SECONDS_MAX: Final = 600.0
STOP_SECONDS_MAX: Final = 30.0


class WorkerProcess:
    """A process that has said `ready`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._system = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """What it has used, all threads, with the children that it has."""
        return sum(times.user + times.system for times in (each.cpu_times() for each in self._family()))

    def _family(self) -> list[psutil.Process]:
        return [self._system, *self._system.children(recursive=True)]

    def rss_bytes(self) -> int:
        """What is resident now."""
        return int(self._system.memory_info().rss)

    def kill(self) -> None:
        """SIGKILL, in any state."""
        self._process.kill()

    def rss_bytes_max(self) -> int:
        """The peak, where the system keeps one; else what it is now. With the children that it has."""
        return sum(_rss_bytes_max(each) for each in self._family())

    async def line(self) -> str:
        """Return the next line that it says, an empty one at its end."""
        assert self._process.stdout is not None, "started with a pipe"
        return (await asyncio.wait_for(self._process.stdout.readline(), ANSWER_SECONDS_MAX)).decode().strip()

    async def ask(self) -> Any:
        """Write it a line, and return the line of JSON that it answers with."""
        assert self._process.stdin is not None and self._process.stdout is not None, "started with pipes"
        self._process.stdin.write(b"\n")
        return json.loads(await asyncio.wait_for(self._process.stdout.readline(), ANSWER_SECONDS_MAX))


def _rss_bytes_max(process: psutil.Process) -> int:
    """getrusage would inherit the peak of the parent."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)


@contextlib.asynccontextmanager
async def worker(
    module: str,
    settings: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    checkout: Path | None = None,
    command: Sequence[str] | None = None,
) -> AsyncIterator[WorkerProcess]:
    """A process that has said `ready`; told to stop at the end. Raises RuntimeError if it ends before.

    `settings` are its argument, as JSON; `environment` comes on top of ours. `checkout`: of another version that it is
    the code of. `command`: how it is started instead, if it is no module of ours.
    """
    path = {} if checkout is None else {"PYTHONPATH": str(checkout)}
    process = await asyncio.create_subprocess_exec(
        *(command or (sys.executable, "-m", module, json.dumps(settings))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **path, **(environment or {})},
        cwd=checkout,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(READY_SECONDS_MAX):
            while (line := await process.stdout.readline()).strip() != b"ready":
                if not line:
                    raise RuntimeError(f"{module} ended with exit code {await process.wait()} before it was ready")
        yield WorkerProcess(process)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
            except TimeoutError:
                process.kill()
                await process.wait()


def own_options(bootstrap: str, directory: str, partitions: int) -> dict[str, Any]:
    """Settings, by their names, of a worker on topics of its own, for `delete_topics` to delete by their prefix."""
    prefix = f"b{uuid.uuid4().hex[:8]}-"
    return {
        "bootstrap": bootstrap,
        "topic_prefix": prefix,
        "app_id": f"{prefix}app",
        "data_dir": directory,
        "partitions": partitions,
    }


async def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete all topics whose names begin so, and those that others derive from such a name."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic for topic in await admin.list_topics() if prefix in topic])
    finally:
        await admin.close()
