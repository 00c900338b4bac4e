"""A broadcast that is killed wherever it can be: every user is told exactly once, and the counts say so."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from streams.stages import broadcast_tell
from streams.stages.broadcast_rows import LISTS
from tests.simulation.broadcast_world import Broadcasts
from tests.simulation.stage_partition import Crash
from tests.simulation.tables import folded_rows, local_rows

USERS = [f"user-{number:02d}" for number in range(23)]
STEPS = 10  # as many as the partition with the most users needs, and some more


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few users take many steps."""
    monkeypatch.setattr(broadcast_tell, "SEEN_MAX", 4)
    monkeypatch.setattr(broadcast_tell, "SEEN_MIN", 3)
    monkeypatch.setattr(broadcast_tell, "COUNTED_MAX", 5)
    monkeypatch.setattr("streams.stages.broadcast.REMOVED_MAX", 3)


def _start(world: Broadcasts, audience: str) -> set[str]:
    """Start it; return who is to be told."""
    filter = "not user_id in ('user-03', 'user-11')" if audience == "FILTER" else None
    wanted = set(USERS)
    if audience == "LIST":
        wanted = {*USERS[::2], "x", "y"}
        for start in range(0, len(USERS), 4):
            world.list_users("b", [*USERS[start : start + 4 : 2], "x"])
        world.list_users("b", ["y", "x"])
    elif audience == "FILTER":
        wanted -= {"user-03", "user-11"}
    world.start("b", audience, filter=filter)
    return wanted


@pytest.mark.parametrize("audience", ["ALL", "FILTER", "LIST"])
@pytest.mark.parametrize("crash", ["before the commit", "after the commit"])
def test_a_crash_at_any_step(tmp_path: Path, audience: str, crash: Crash) -> None:
    """Of all partitions; the next owners go on exactly there, one with its disk, the other from the changelog."""
    for at in range(STEPS):
        world = Broadcasts(tmp_path / str(at), 2)
        try:
            for user in USERS:
                world.register(user)
            wanted = _start(world, audience)
            for step in range(2 * STEPS):
                world.now += 10
                for stage in world.stages:
                    stage.step(crash if step == at else "none", records_max=2)
                    if step == at:
                        stage.take_over(disk_lost=stage.partition == 0)
            world.run()
            assert world.told("b") == dict.fromkeys(wanted, 1)
            (total,) = world.totals("b")
            assert (total["state"], total["emitted"]) == ("DONE", len(wanted))
            assert total["seen"] == total["matched"] + total["not_matched"] == total["users"]
            _assert_sound(world)
        finally:
            world.close()


def _assert_sound(world: Broadcasts) -> None:
    for stage, decider in zip(world.stages, world.deciders, strict=True):
        rows = local_rows(world.table, stage.partition)
        assert rows == folded_rows(world.table, world.log, stage.partition)
        assert not any(key.startswith(LISTS) for key in rows)
        assert decider.teller.difference == 0


@pytest.mark.parametrize("action", ["PAUSE", "CANCEL"])
@pytest.mark.parametrize("crash", ["before the commit", "after the commit"])
def test_a_command_at_any_step(tmp_path: Path, action: str, crash: Crash) -> None:
    """With a crash in the very step that takes it: after the answer nobody is told; it says how many were before."""
    for at in range(STEPS):
        world = Broadcasts(tmp_path / str(at))
        try:
            for user in USERS:
                world.register(user)
            world.start("b")
            request = ""
            for step in range(STEPS):
                world.now += 10
                if step == at:
                    request = world.control("b", action)
                world.step(0, crash if step == at else "none")
            world.run(5_000)
            answer = next(each for each in world.reports("b") if each["request_id"] == request)
            assert sum(world.told("b").values()) == answer["emitted"] == len(world.told("b"))
            state = _state_after(answer["emitted"], action)
            assert answer["state"] == state, at
            if action == "PAUSE":
                world.control("b", "RESUME")
                world.run(5_000)
                assert world.told("b") == dict.fromkeys(USERS, 1)
            _assert_sound(world)
        finally:
            world.close()


def _state_after(emitted: int, action: str) -> str:
    if emitted == len(USERS):
        return "DONE"
    return {"PAUSE": "PAUSED", "CANCEL": "CANCELLED"}[action]


def test_the_totals_over_a_crash_of_whoever_adds_up(tmp_path: Path) -> None:
    """They are said once, whichever step of the partition that adds up is struck."""
    found: list[dict[str, Any]] = []
    crashes: tuple[Crash, ...] = ("before the commit", "after the commit")
    for at, crash in product(range(2, STEPS), crashes):
        world = Broadcasts(tmp_path / f"{at} {crash}", 2)
        try:
            for user in USERS:
                world.register(user)
            world.start("b")
            for step in range(2 * STEPS):
                world.now += 10
                for stage in world.stages:
                    stage.step(crash if step == at else "none", records_max=1)
            (total,) = world.totals("b")
            found.append({name: total[name] for name in ("state", "seen", "emitted", "users")})
        finally:
            world.close()
    assert all(each == {"state": "DONE", "seen": 23, "emitted": 23, "users": 23} for each in found)
