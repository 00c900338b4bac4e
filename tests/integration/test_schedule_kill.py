"""Workers of the schedule that are killed, joined and rebuilt while thousands are due: none lost, twice or early."""

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

from streams.settings import load_settings
from streams.topics import ensure_topics
from tests.integration.schedule_record import ScheduleRecord, command, deferral, produce, until_ended

COUNT = 6_000
PARTITIONS = 4
SPREAD_MS = 8_000
SECONDS_MAX = 120.0


@asynccontextmanager
async def worker(options: Mapping[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process that has its partitions; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.schedule_worker", json.dumps(options), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(SECONDS_MAX):
            assert (await process.stdout.readline()).strip() == b"ready"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("change", ["killed", "killed, its disk lost", "a second one joins, the first is killed"])
def test_a_change_of_workers_while_thousands_are_due(kafka: str, prefix: str, tmp_path: Path, change: str) -> None:
    """Each is released exactly once and not before its time, what was moved at its new time; the ledger closes.

    0 s            8 s
    |6,000 come due|
        ^ the worker is gone
    """
    options = {
        "bootstrap": kafka,
        "topic_prefix": prefix,
        "app_id": f"{prefix}app",
        "data_dir": str(tmp_path / "one"),
        "partitions": PARTITIONS,
        "session_timeout_seconds": 6.0,
        "heartbeat_seconds": 1.5,
    }

    async def scenario() -> tuple[ScheduleRecord, dict[str, int], int]:
        settings = load_settings(**options)
        await ensure_topics(settings)
        async with contextlib.AsyncExitStack() as workers:
            first = await workers.enter_async_context(worker(options))
            now = time.time_ns() // 1_000_000
            wanted = {f"n-{n}": now + 2_000 + (n * 7919) % SPREAD_MS for n in range(COUNT)}
            await produce(settings, (deferral(n, wanted[f"n-{n}"], now) for n in range(COUNT)))
            moved = {n: now + 9_000 + n for n in range(0, COUNT, 10)}
            await produce(settings, (command(n, now, due_at) for n, due_at in moved.items()))
            wanted |= {f"n-{n}": due_at for n, due_at in moved.items()}
            seen = (await until_ended(settings, COUNT // 8)).ended
            if change.startswith("a second"):
                await workers.enter_async_context(worker({**options, "data_dir": str(tmp_path / "two")}))
            first.kill()
            await first.wait()
            if "disk" in change:
                shutil.rmtree(tmp_path / "one")
            if not change.startswith("a second"):
                await workers.enter_async_context(worker(options))
            return await until_ended(settings, COUNT), wanted, seen

    record, wanted, seen = asyncio.run(scenario())
    assert 0 < seen < COUNT, "it must be killed in the middle"
    answered = {f"n-{request.removeprefix('r-')}": outcome for request, outcome in record.outcomes.items()}
    late = {name for name, outcome in answered.items() if outcome == "ALREADY_RELEASED"}
    assert set(record.released.values()) == {1}
    assert set(record.released) == set(wanted)
    assert record.early_ms == []
    assert {name: at for name, at in record.due_at.items() if name not in late} == {
        name: at for name, at in wanted.items() if name not in late
    }
    assert len(answered) == COUNT // 10
    assert record.counts.difference() == 0
    assert (record.counts.scheduled, record.counts.released, record.counts.pending) == (COUNT, COUNT, 0)
