"""A worker that is killed without warning in the middle of its work, and what is on the record afterwards."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.group_offsets import offsets_of_group
from streams.settings import load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.oracle import verify
from tests.benchmarks.workload import Feed, Workload, ends, make_workload

EVENTS = 60_000
PARTITIONS = 4
STEP_SECONDS_MAX = 80.0  # for each wait; on an idle machine the whole test takes about 25 s


async def _start(options: Mapping[str, Any]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.suppress_worker", json.dumps(options))


async def _until_committed(options: Mapping[str, Any], topic: str, wanted: Mapping[int, int], share: float) -> int:
    """Wait until so large a share of the events is committed. Returns how many are."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=options["bootstrap"])
    await admin.start()
    try:
        async with asyncio.timeout(STEP_SECONDS_MAX):
            while True:
                committed = await _committed(admin, options["app_id"], topic, wanted)
                if committed >= share * sum(wanted.values()):
                    return committed
                await asyncio.sleep(0.01)
    finally:
        await admin.close()


async def _committed(admin: Any, group: str, topic: str, wanted: Mapping[int, int]) -> int:
    offsets = await offsets_of_group(admin, group)
    done = {tp.partition: offset for tp, offset in offsets.items() if tp.topic == topic}
    return sum(max(0, min(done.get(partition, 0), end)) for partition, end in wanted.items())


async def until_all_committed(options: Mapping[str, Any], topic: str, wanted: Mapping[int, int]) -> None:
    """Wait until each partition is committed up to this offset."""
    await _until_committed(options, topic, wanted, 1.0)


async def _kill_and_finish(options: Mapping[str, Any], workload: Workload, keep_disk: bool) -> int:
    """Kill the worker between its first and its last commit, start another, wait for the end.

    Returns how many events were committed when the first one was killed.
    """
    settings = load_settings(**options)
    names = TopicNames.of(settings)
    await ensure_topics(settings)
    async with Feed(settings.bootstrap or "", names.notifications, workload) as feed:
        await feed.fill()
        await feed.release()
    first = await _start(options)
    try:
        committed = await _until_committed(options, names.notifications, ends(workload), 0.1)
    finally:
        first.kill()
        await first.wait()
    if not keep_disk:
        shutil.rmtree(options["data_dir"])
    second = await _start(options)
    try:
        await _until_committed(options, names.notifications, ends(workload), 1.0)
        assert second.returncode is None
        second.terminate()
        async with asyncio.timeout(STEP_SECONDS_MAX):
            assert await second.wait() == 0
    finally:
        if second.returncode is None:
            second.kill()
            await second.wait()
    return committed


@pytest.mark.parametrize("keep_disk", [True, False], ids=["with its disk", "without its disk"])
def test_a_killed_worker_loses_and_repeats_nothing(kafka: str, prefix: str, tmp_path: Path, keep_disk: bool) -> None:
    """After SIGKILL in mid-stream and a new start, each slot has one admitted event and each event one status."""
    options = {
        "bootstrap": kafka,
        "topic_prefix": prefix,
        "app_id": f"{prefix}app",
        "data_dir": str(tmp_path / "state"),
        "partitions": PARTITIONS,
        "session_timeout_seconds": 6.0,
        "heartbeat_seconds": 2.0,
    }
    workload = make_workload(EVENTS, PARTITIONS)

    async def scenario() -> None:
        committed = await _kill_and_finish(options, workload, keep_disk)
        assert 0 < committed < workload.count, "it must be killed in the middle"
        names = TopicNames.of(load_settings(**options))
        found = await verify(kafka, names.statuses, names.outbox, workload)
        found.assert_exact()
        assert (found.admitted, found.suppressed) == (workload.slots, workload.count - workload.slots)

    asyncio.run(scenario())
