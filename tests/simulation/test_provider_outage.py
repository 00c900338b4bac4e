"""A provider is dead for ten minutes: the whole system, with two workers, on a clock that costs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from connectors.outcome import ProviderName
from tests.simulation.judge import Judge
from tests.simulation.scenario import Event, Fault, Scenario
from tests.simulation.simulated_providers import Taken
from tests.simulation.world import simulated

OUTAGE_SECONDS = 600.0
FIRST_SECONDS = 60.0  # before it
USERS = 240  # of each provider; each gets one
UNKNOWN_MAX = 90  # spent until both workers knew, and on trying whether it answers again


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What breakers say is no news here."""
    with caplog.at_level(100):
        yield


def outage(mood: str, share: float = 1.0) -> Scenario:
    """One event every second and a half for each provider, before, during and after ten minutes of this mood of FCM."""
    scenario = Scenario(7, workers=2, partitions=4, hours=0.5, edge_rate=0.0)
    pace = (FIRST_SECONDS + OUTAGE_SECONDS + 120.0) / USERS
    for number in range(USERS):
        for name in ("APNS", "FCM"):
            user = f"{name.lower()}{number}"
            scenario.devices[user] = [name]
            scenario.events.append(Event(30.0 + number * pace, user, "hour", f"n-{user}"))
    scenario.events.sort()
    scenario.faults.append(Fault(30.0 + FIRST_SECONDS, "mood", OUTAGE_SECONDS, 1, share, mood))
    return scenario


@pytest.mark.parametrize("mood", ["unavailable", "hang before", "refuse connection", "lost"])
def test_a_provider_that_is_dead_for_ten_minutes_costs_time_and_hardly_a_notification(
    mood: str, tmp_path: Path
) -> None:
    """What is meant for it waits unsent and arrives afterwards, once each; the other provider notices nothing.

    events   |-- 60 s --|-------- 600 s: FCM is dead --------|-- 120 s --|
    FCM      sent         a few are spent, the rest waits       all of them
    APNs     sent         sent                                  sent
    """
    scenario = outage(mood)
    with simulated(scenario, tmp_path) as world:
        world.run()
        judgement = Judge(world).judge()
        taken: dict[ProviderName, list[Taken]] = {name: list(each.log) for name, each in world.providers.items()}
        produced_at = {event.notification_id: event.at for event in scenario.events}
        started_ms = taken[ProviderName.APNS][0].at - produced_at[taken[ProviderName.APNS][0].notification_id] * 1000
    assert judgement.violations == []
    assert judgement.events == 2 * USERS
    assert judgement.final["UNKNOWN"] <= (0 if mood == "refuse connection" else UNKNOWN_MAX)
    assert judgement.final["ACCEPTED"] == 2 * USERS - judgement.final["UNKNOWN"]
    for pushes in taken.values():
        assert set(Counter(push.notification_id for push in pushes).values()) <= {1}
    late = [push.at - started_ms - produced_at[push.notification_id] * 1000 for push in taken[ProviderName.APNS]]
    assert len(late) == USERS
    assert median(late) < 1_000, "APNs did not wait for FCM"
    assert max(late) < 60_000, "but for what opening a connection takes here, and a claim that became too old meanwhile"


def test_a_storm_of_429_kills_nothing(tmp_path: Path) -> None:
    """For ten minutes FCM asks to be asked later, whatever it is sent: in the end everybody has one."""
    with simulated(outage("throttle"), tmp_path) as world:
        world.run()
        judgement = Judge(world).judge()
    assert judgement.violations == []
    assert judgement.final == Counter(ACCEPTED=2 * USERS)


def test_a_provider_that_refuses_every_other_request_is_served_all_the_same(tmp_path: Path) -> None:
    """Half of the requests are told to come later: none dies, and none is sent twice."""
    with simulated(outage("throttle", 0.5), tmp_path) as world:
        world.run()
        judgement = Judge(world).judge()
    assert judgement.violations == []
    assert judgement.final == Counter(ACCEPTED=2 * USERS)
