"""The provider of the deliver benchmark, in processes of its own: what was asked of it, and when.

The strict simulators always run: they give out credentials, addresses and tokens. They are the provider only where that
is wanted; else it is `responder.py` with their certificate.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from connectors.outcome import ProviderName
from streams.demo.processes import provider_environment
from tests.benchmarks.responder import Arrival

SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class Provider:
    """Which provider, how it answers, and whether by the strict simulator."""

    name: ProviderName
    answer_ms: float
    strict: bool = False


class StandIn:
    """An async context manager: inside it the provider answers. `environment` has the settings that lead to it."""

    def __init__(self, provider: Provider, directory: Path) -> None:
        self._provider = provider
        self._directory = directory
        self._processes: list[asyncio.subprocess.Process] = []
        self._url: str | None = None
        self._where: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        try:
            self._where = await self._start("connectors.simulators", "--directory", str(self._directory))
            if self._provider.strict:
                if self._provider.answer_ms:
                    fault = {"provider": self._provider.name, "fault": "slow"}
                    await self._control("/faults", {**fault, "seconds": self._provider.answer_ms / 1000})
            else:
                name, answer_ms = str(self._provider.name), f"{self._provider.answer_ms:g}"
                found = await self._start(
                    "tests.benchmarks.responder",
                    *("--directory", str(self._directory), "--provider", name, "--answer-ms", answer_ms),
                )
                self._url = found["url"]
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def environment(self) -> dict[str, str]:
        """Settings, by their environment variables."""
        found = provider_environment(self._where)
        name = f"RINGONCE_{self._provider.name.upper()}_BASE_URL"
        return {**found, name: self._url} if self._url and name in found else found

    async def addresses(self, count: int) -> list[Any]:
        """So many new addresses, which the provider knows."""
        found = (await self._control("/devices", {"count": count}))[self._provider.name]
        if self._url and self._provider.name is ProviderName.WEBPUSH:
            for subscription in found:
                subscription["endpoint"] = self._url + urlsplit(subscription["endpoint"]).path
        if self._url and self._provider.name is ProviderName.WEBHOOK:
            found = [self._url + urlsplit(endpoint).path for endpoint in found]
        return list(found)

    async def arrivals(self) -> list[Arrival]:
        """What has arrived since the last call."""
        if self._url is None:
            await asyncio.sleep(0.5)  # the simulators write their log at least this often
            log_file = Path(self._where["log_file"])
            lines = log_file.read_text(encoding="utf-8").splitlines()  # noqa: ASYNC240 (nothing else runs)
            os.truncate(log_file, 0)  # it is appended to
            shown = [json.loads(line) for line in lines]
            mark = "address" if self._provider.name is ProviderName.WEBPUSH else "push_id"
            return [(urlsplit(one[mark]).path, one["at_ms"]) for one in shown]
        responder = self._processes[-1]
        assert responder.stdin is not None and responder.stdout is not None, "started with pipes"
        report = self._directory / "arrivals.json"
        responder.stdin.write(f"{report}\n".encode())
        await asyncio.wait_for(responder.stdout.readline(), SECONDS_MAX)
        found: list[Arrival] = [(mark, at) for mark, at in json.loads(report.read_text(encoding="utf-8"))["arrivals"]]
        return found

    async def _control(self, path: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=SECONDS_MAX) as client:
            response = await client.post(self._where["control_url"] + path, json=arguments)
        response.raise_for_status()
        said: dict[str, Any] = response.json()
        return said

    async def _start(self, module: str, *arguments: str) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._processes.append(process)
        assert process.stdout is not None, "started with a pipe"
        where: dict[str, Any] = json.loads(await asyncio.wait_for(process.stdout.readline(), SECONDS_MAX))
        return where

    async def _stop(self) -> None:
        for process in reversed(self._processes):
            if process.returncode is None:
                process.terminate()
                await process.wait()
