"""A broadcast whose workers are killed in the middle, three times: every user is told exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Broadcast, BroadcastAudience
from streams.settings import load_settings
from streams.topics import ensure_topics
from tests.integration.broadcast_record import (
    KIND,
    BroadcastRecord,
    register,
    start,
    until_ended,
    until_registered,
    until_told,
    user_name,
)

COUNT = 20_000
PER_SECOND = 8_000
PARTITIONS = 4
SECONDS_MAX = 120.0
USERS = [user_name(number) for number in range(COUNT)]


@asynccontextmanager
async def worker(options: Mapping[str, Any], *stages: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process that has its partitions; killed at the end if it still runs."""
    arguments = ("-m", "tests.broadcast_worker", json.dumps(options), *stages)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            assert (await process.stdout.readline()).strip() == b"ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def options_of(kafka: str, prefix: str, directory: Path) -> dict[str, Any]:
    """The settings of the first worker."""
    return {
        "bootstrap": kafka,
        "topic_prefix": prefix,
        "app_id": f"{prefix}app",
        "data_dir": str(directory / "one"),
        "partitions": PARTITIONS,
        "session_timeout_seconds": 3.0,
        "heartbeat_seconds": 0.75,
    }


def broadcast_to(audience: BroadcastAudience) -> Broadcast:
    """The broadcast `b`."""
    return {
        "broadcast_id": "b",
        "type": KIND,
        "requested_at": time.time_ns() // 1_000_000,
        "requested_by": "test",
        "audience": audience,
        "per_second": PER_SECOND,
    }


@pytest.mark.parametrize("audience", ["ALL", "LIST"])
def test_every_user_is_told_exactly_once(kafka: str, prefix: str, tmp_path: Path, audience: BroadcastAudience) -> None:
    """Killed at a fifth, two fifths and three fifths; taken over with the disk, without it, and by a second worker.

    0 %        20 %           40 %            60 %         100 %
    |----------|--------------|---------------|------------|
               ^ killed       ^ its disk lost ^ a second one, which has joined, goes on alone
    """
    options = options_of(kafka, prefix, tmp_path)

    async def scenario() -> BroadcastRecord:
        settings = load_settings(**options)
        await ensure_topics(settings)
        if audience == "ALL":
            await register(settings, USERS)
        async with contextlib.AsyncExitStack() as workers:
            current = await workers.enter_async_context(worker(options))
            await until_registered(settings)
            await start(settings, broadcast_to(audience), USERS if audience == "LIST" else ())
            for number, change in enumerate(("killed", "its disk lost", "a second one"), start=1):
                await until_told(settings, number * COUNT // 5)
                joined = {**options, "data_dir": str(tmp_path / "two")}
                if change == "a second one":
                    other = await workers.enter_async_context(worker(joined))
                current.kill()
                await current.wait()
                if change == "its disk lost":
                    shutil.rmtree(tmp_path / "one")
                if change != "a second one":
                    current = await workers.enter_async_context(worker(options))
            record = await until_ended(settings, "b")
            assert other.returncode is None
            return record

    record = asyncio.run(scenario())
    assert record.told == dict.fromkeys(USERS, 1)
    (total,) = record.totals
    assert (total["state"], total["seen"], total["emitted"], total["users"]) == ("DONE", *[COUNT] * 3)


def test_a_worker_of_an_earlier_version_holds_back_its_users_only(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Beside it, partitions of broadcasts are assigned apart from those of the directory: then nobody reads rows that
    are not there, and what waits is told when the last old worker is gone.

    |old and new worker|     new worker      |
    |some are told     |everybody has been   |
    """
    options = options_of(kafka, prefix, tmp_path)
    users = USERS[:2_000]

    async def scenario() -> BroadcastRecord:
        settings = load_settings(**options)
        await ensure_topics(settings)
        await register(settings, users)
        async with worker({**options, "data_dir": str(tmp_path / "two")}, "deliver") as old, worker(options):
            await until_registered(settings)
            await start(settings, broadcast_to("ALL"))
            await until_told(settings, 1)
            old.terminate()
            await old.wait()
            return await until_ended(settings, "b")

    record = asyncio.run(scenario())
    assert record.told == dict.fromkeys(users, 1)
    assert [(total["state"], total["emitted"]) for total in record.totals] == [("DONE", len(users))]
