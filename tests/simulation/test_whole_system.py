"""Many workers under one seed: the real lanes, replay and stages over a simulated Kafka, clocks and providers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import streams.stages.suppress_step
from streams.compiled import is_compiled
from streams.policies.suppression import Place, SlotPolicy, VerdictOutcome, settle
from tests.simulation.__main__ import play, play_scenario
from tests.simulation.scenario import EDGES, PACE, TYPES, Event, Fault, Scenario, scenario_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Failures of workers are no news here."""
    with caplog.at_level(100):
        yield


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_promise_is_kept(seed: int, tmp_path: Path) -> None:
    """P1 to P4, for the events, faults and turns that a seed makes; `make simulate` tries many more."""
    judgement, _ = play(seed, tmp_path)
    assert judgement.violations == []
    assert judgement.pushes > 10, "a world in which nothing is sent shows nothing"


@pytest.mark.skipif(is_compiled(streams.stages.suppress_step), reason="machine code keeps the function that it has")
def test_a_broken_promise_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slot that an unknown outcome frees, some world shows two pushes within a window."""

    def too_generous(place: Place, outcome: VerdictOutcome, at: int, policy: SlotPolicy) -> Place | None:
        return settle(place, "FREED" if outcome == "UNKNOWN" else outcome, at, policy)

    monkeypatch.setattr(streams.stages.suppress_step, "settle", too_generous)
    for seed in range(1, 40):
        judgement, _ = play(seed, tmp_path / str(seed), hours=2.0)
        if any(violation.promise == "P1" for violation in judgement.violations):
            return
    pytest.fail("39 worlds, and none shows it")


@pytest.mark.parametrize("edge", ["after commit ringonce-suppress", "after commit ringonce-deliver"])
def test_a_clock_that_was_ahead_for_a_moment_between_two_steps_decides_nothing(edge: str, tmp_path: Path) -> None:
    """Time does not go back within a partition: a lane that has seen the wrong time would go on with it.

    |--step--|ahead|right again          events, once a second
             ^ looks at the clock        ^ the window of a push must not seem to be over
    """
    scenario = Scenario(0, workers=1, partitions=1, hours=0.2, edge_rate=0.0, devices={"u0": ["APNS"]})
    scenario.events.append(Event(60.0, "u0", "hour", "first", expires_in=-1.0 if "suppress" in edge else None))
    scenario.events.extend(Event(70.0 + number, "u0", "blink", f"e{number}") for number in range(30))
    scenario.faults.append(Fault(59.0, "clock_far", 2.0, 0, 70_000, edge))
    judgement, _ = play_scenario(scenario, tmp_path)
    assert judgement.violations == []
    assert judgement.pushes >= 2


def test_a_seed_says_the_same_every_time(tmp_path: Path) -> None:
    """The trace is the same byte for byte, also in a process where Python hashes texts in another way."""
    trace: list[str] = []
    play(8, tmp_path, trace, hours=2.0)
    assert len(trace) > 100
    printed = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", "8", "--hours", "2", "--trace"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    ).stdout
    assert printed.startswith("\n".join(trace) + "\ntrace of seed 8")


def test_a_seed_is_another_world() -> None:
    """Two seeds differ in their events, and over many of them everything occurs that may."""
    scenarios = [scenario_of(seed) for seed in range(60)]
    assert len({tuple(scenario.events) for scenario in scenarios}) == len(scenarios)
    assert {event.type for scenario in scenarios for event in scenario.events} == set(PACE) == set(TYPES["types"])
    faults = [fault for scenario in scenarios for fault in scenario.faults]
    kinds = {"mood", "kill", "kill_wipe", "all_killed", "pause", "leave", "broker", "clock", "clock_far", "lose_chunk"}
    assert {fault.kind for fault in faults} == kinds
    assert {fault.name for fault in faults if fault.kind in ("kill", "pause")} >= set(EDGES)
