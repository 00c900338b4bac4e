"""How each fault of the plan is done to the cluster, and undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.chaos.cluster import ENVIRONMENT, Cluster
from tests.chaos.plan import PROVIDER_FAULTS, Fault

FILE_BYTES_MAX = 16 * 1024  # less than any store has: every write of it fails
READY_SECONDS_MAX = 40.0  # between two workers of a rolling restart; if one takes longer, on with the next


async def strike(cluster: Cluster, fault: Fault, burst: Callable[[], Awaitable[None]]) -> None:
    """Do one fault, wait for its time, and undo it."""
    if fault.kind == "burst":
        await burst()
    elif fault.kind == "provider":
        await _provider(cluster, fault)
    elif fault.kind == "broker":
        async with cluster.broker_changing:
            await asyncio.to_thread(cluster.broker.kill)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(cluster.broker.restart)
    elif fault.kind == "rolling":
        for number in range(len(cluster.workers)):
            await _leave(cluster, number, 0.0)
    else:
        await _worker(cluster, fault)


async def _worker(cluster: Cluster, fault: Fault) -> None:
    worker, proxy = cluster.workers[fault.worker], cluster.proxies[fault.worker]
    if fault.kind == "leave":
        await _leave(cluster, fault.worker, fault.seconds)
        return
    async with worker.changing:
        if fault.kind in ("kill", "kill_wipe"):
            worker.kill(wipe=fault.kind == "kill_wipe")
            await asyncio.sleep(fault.seconds)
            worker.start()
        elif fault.kind == "pause":
            worker.pause()
            await asyncio.sleep(fault.seconds)
            worker.resume()
        elif fault.kind == "cut":
            proxy.silence()
            await asyncio.sleep(fault.seconds)
            proxy.mend()
        elif fault.kind == "reset":
            proxy.refuse()
            await asyncio.sleep(fault.seconds)
            proxy.mend()
        elif fault.kind == "disk_full":
            worker.limit_files(FILE_BYTES_MAX)
            await asyncio.sleep(fault.seconds)
            worker.limit_files(None)
        elif fault.kind in ("clock", "clock_far"):
            # Nearly what is allowed: half of it, because another worker may be off by as much in the other direction.
            allowed = float(ENVIRONMENT["RINGONCE_CLOCK_SKEW_SECONDS_MAX"]) / 2
            offset = (0.9 * allowed if fault.kind == "clock" else 120.0) * (1 if fault.seed % 2 else -1)
            await worker.leave()
            worker.start({"RINGONCE_TEST_CLOCK_OFFSET_SECONDS": f"{offset}"})
            await asyncio.sleep(fault.seconds)
            await worker.leave()
            worker.start()
        else:
            raise ValueError(f"no such fault: {fault.kind}")


async def _leave(cluster: Cluster, number: int, seconds: float) -> None:
    worker = cluster.workers[number]
    async with worker.changing:
        await worker.leave()
        await asyncio.sleep(seconds)
        worker.start()
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                await worker.ready()
        except TimeoutError:
            return  # another fault keeps it from its partitions


async def _provider(cluster: Cluster, fault: Fault) -> None:
    arguments = {
        "provider": fault.provider,
        "fault": fault.name,
        "share": PROVIDER_FAULTS[fault.name],
        "seed": fault.seed,
        "seconds": 1.0,
        "every": 20,
    }
    await cluster.control("/faults", arguments)
    await asyncio.sleep(fault.seconds)
    await cluster.control("/faults", {"provider": fault.provider, "fault": fault.name, "clear": True})
