"""What a step is made of goes by its reference count: the garbage collector would stop a worker for it."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.topics import TopicNames
from tests.benchmarks.suppress_steps import run
from tests.benchmarks.workload import make_workload
from tests.simulation.deliver_world import DeliverWorld

PUSHES = 60
EVENTS = 4_000
OUTBOX = TopicNames.with_prefix("").outbox


@pytest.fixture(autouse=True)
def by_hand() -> Iterator[None]:
    """The collector comes only when it is called, and looks at what came since only."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(10**9)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_deliver_leaves_nothing_to_the_collector() -> None:
    """Claims, answers, verdicts: fewer objects in cycles than pushes, though each push makes some fifty."""

    async def played(directory: Path) -> int:
        world = DeliverWorld(directory)
        for number in range(PUSHES):
            world.devices(f"u{number}")
        world.start()
        try:
            await world.until(lambda: len(world.rows("directory")) >= PUSHES)
            gc.collect()
            for number in range(PUSHES):
                world.delivery(f"n{number}", user=f"u{number}")
            for number in range(PUSHES):
                await world.until_state(f"n{number}", "ACCEPTED")
            await world.until_committed()
            return gc.collect()
        finally:
            await world.crash()

    with tempfile.TemporaryDirectory() as directory:
        assert asyncio.run(played(Path(directory))) < PUSHES


def test_suppress_leaves_nothing_to_the_collector() -> None:
    """Fewer objects in cycles than one for ten events: what is left is of the pass, not of its events."""
    workload = make_workload(EVENTS, partitions=1)
    run(workload, {})
    gc.collect()
    run(workload, {})
    assert gc.collect() < EVENTS // 10
