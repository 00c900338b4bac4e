"""The push log holds each accepted push once, in order, in memory and in its file."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from connectors.outcome import ProviderName
from connectors.simulators import PushLog, Shown
from tests.unit.simulator_bench import Bench


def shown(number: int, collapse_id: str = "") -> Shown:
    """An entry."""
    return Shown(
        at_ms=number,
        provider=ProviderName.FCM,
        address="device",
        notification_id=f"n-{number}",
        type="greeting",
        user="",
        push_id="",
        collapse_id=collapse_id,
        expires_at_ms=None,
        connection=1,
        stream=number,
    )


def read(path: Path) -> list[dict[str, object]]:
    """The lines of the file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_collapsed_pushes_are_shown_once() -> None:
    """Pushes with one collapse id on one device count as one that is shown; those without count each."""

    async def record() -> PushLog:
        log = PushLog()
        for number, collapse_id in enumerate(["a", "a", "b", "", ""]):
            log.record(shown(number, collapse_id))
        return log

    counts = asyncio.run(record()).counts[ProviderName.FCM]
    assert (counts.accepted, counts.shown) == (5, 4)


def test_the_file_follows_while_the_log_is_open(tmp_path: Path) -> None:
    """Entries reach the file without a close, for a reader in another process."""
    path = tmp_path / "pushes.jsonl"

    async def record() -> None:
        log = PushLog(path)
        log.record(shown(1))
        log.record(shown(2))
        async with asyncio.timeout(20):
            while not path.stat().st_size:  # noqa: ASYNC110  (what is watched is a file, which has no event)
                await asyncio.sleep(0.01)
        assert read(path) == [asdict(shown(1)), asdict(shown(2))]
        log.record(shown(3))
        log.close()

    asyncio.run(record())
    assert [line["at_ms"] for line in read(path)] == [1, 2, 3]


def test_the_file_is_appended_to(tmp_path: Path) -> None:
    """A log that starts again keeps what the file has."""

    async def record(number: int) -> None:
        log = PushLog(tmp_path / "pushes.jsonl")
        log.record(shown(number))
        log.close()

    asyncio.run(record(1))
    asyncio.run(record(2))
    assert [line["at_ms"] for line in read(tmp_path / "pushes.jsonl")] == [1, 2]


def test_a_waiter_wakes_when_the_count_is_reached() -> None:
    """wait_for() returns with the entry that completes the count, and gives up at its limit."""

    async def wait() -> list[Shown]:
        log = PushLog()
        waiting = asyncio.create_task(log.wait_for(2))
        await asyncio.sleep(0)
        log.record(shown(1))
        assert not waiting.done()
        log.record(shown(2))
        with pytest.raises(TimeoutError):
            await log.wait_for(3, timeout_seconds=0.01)
        return await waiting

    assert [entry.at_ms for entry in asyncio.run(wait())] == [1, 2]


def test_the_file_is_complete_when_the_simulators_have_ended(tmp_path: Path) -> None:
    """Every accepted push of all providers is in the file; no refused one is."""
    path = tmp_path / "pushes.jsonl"
    with Bench(tmp_path, log_file=path) as bench:
        for call in (bench.apns_call(), bench.fcm_call(), bench.webpush_call(), bench.webhook_call()):
            bench.send_one(call)
            bench.send_one(call.with_header("authorization", None).with_header("webhook-signature", None))
        counts = bench.sims.log.counts_as_json()
    assert [line["provider"] for line in read(path)] == ["apns", "fcm", "webpush", "webhook"]
    assert {name: (each["requests"], each["accepted"]) for name, each in counts.items()} == {
        "apns": (2, 1),
        "fcm": (2, 1),
        "webpush": (2, 1),
        "webhook": (2, 1),
    }
    assert counts["apns"]["refused"] == {"MissingProviderToken": 1}
