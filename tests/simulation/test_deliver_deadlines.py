"""A request starts while its claim is young and `send_by` lies ahead, or not at all."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import streams.stages.deliver_requests
from streams.compiled import is_compiled
from tests.simulation.deliver_world import NOW, DeliverWorld


@pytest.mark.skipif(is_compiled(streams.stages.deliver_requests), reason="machine code keeps the clock that it has")
@pytest.mark.parametrize(
    ("waits_seconds", "send_within_ms", "starts"),
    [(25.0, 300_000, True), (60.1, 300_000, False), (0.0, 20_000, True), (20.1, 20_000, False)],
)
def test_a_request_that_had_to_wait_too_long_is_not_written(
    waits_seconds: float, send_within_ms: int, starts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim is good for 60 s here, and never beyond `send_by`; the wait is for a connection, after the claim.

    claim         20 s: send_by         60 s: too old
    |-------------|---------------------|
    """
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + waits_seconds)
    monkeypatch.setattr(streams.stages.deliver_requests, "time", clock)

    async def played() -> None:
        world = DeliverWorld(tmp_path)
        world.devices("u")
        world.start()
        try:
            await world.until(lambda: world.rows("directory"))
            world.delivery("a", send_by=NOW + send_within_ms)
            await world.until_state("a", "ACCEPTED" if starts else "RETRYING")
            assert bool(world.connector.asked) is starts
        finally:
            await world.crash()

    asyncio.run(played())
