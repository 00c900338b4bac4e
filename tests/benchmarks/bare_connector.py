"""The connector without Kafka, as a process of its own: what deliver's HTTP client can do at the most on this machine.

    python -m tests.benchmarks.bare_connector '{"provider": "apns", "count": 20000, "in_flight": 1000, "name": "…",
                                                "addresses": "FILE"}'

The settings of the provider come from the environment; FILE holds the addresses as JSON. It renders and builds all
pushes first, sends a few to open its connections, prints `ready`, sends the others when it reads a line, and prints
`{"seconds": …, "cpu_seconds": …}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from connectors.outcome import Accepted, Connector, ProviderName, Push
from streams.connect import open_connectors
from streams.settings import load_settings
from streams.types_file import NotificationTypes
from tests.benchmarks.deliver_workload import make_targets, push_of

WARM_UP = 200


async def run(wanted: dict[str, Any]) -> None:
    """Send as it is wanted. Raises RuntimeError unless every push is accepted."""
    provider, types = ProviderName(wanted["provider"]), NotificationTypes.load()
    addresses = json.loads(Path(wanted["addresses"]).read_text(encoding="utf-8"))  # noqa: ASYNC240 (nothing runs yet)
    targets = make_targets(wanted["count"] + WARM_UP, provider, addresses, wanted["name"])
    pushes = [push_of(target, types) for target in targets]
    connector = open_connectors(load_settings())[provider]
    await connector.start()
    await send_all(connector, pushes[:WARM_UP], wanted["in_flight"])
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    started_at, cpu = time.perf_counter(), time.process_time()
    await send_all(connector, pushes[WARM_UP:], wanted["in_flight"])
    found = {"seconds": time.perf_counter() - started_at, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(found), flush=True)
    await connector.close()


async def send_all(connector: Connector, pushes: list[Push], in_flight: int) -> None:
    """Send each push once, so many at a time."""
    waiting, refused = iter(pushes), 0

    async def work() -> None:
        nonlocal refused
        for push in waiting:
            refused += not isinstance(await connector.send(push, lambda: True), Accepted)

    await asyncio.gather(*(work() for _ in range(min(in_flight, len(pushes)))))
    if refused:
        raise RuntimeError(f"{refused} of {len(pushes)} were not accepted")


if __name__ == "__main__":
    uvloop.run(run(json.loads(sys.argv[1])))
