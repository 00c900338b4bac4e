"""A chaos run can be repeated: its faults and its events are functions of the seed."""

from __future__ import annotations

import pytest

from connectors.simulators.faults import Fault as ProviderFault
from tests.chaos.plan import MATRICES, MUST, PROVIDER_FAULTS, SECONDS, UNKNOWN_MAKERS, plan_faults
from tests.chaos.workload import Events, Workload

NOW = 1_800_000_000_000


@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_the_same_seed_gives_the_same_plan(matrix: str) -> None:
    """And another seed another one; each plan is in order of time and has what every run must have."""
    plan = plan_faults(7, 20, 300.0, 3, matrix)
    assert plan == plan_faults(7, 20, 300.0, 3, matrix) != plan_faults(8, 20, 300.0, 3, matrix)
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    assert len(plan) == 20
    assert set(MUST) <= {fault.kind for fault in plan} <= set(MATRICES[matrix])
    assert {fault.worker for fault in plan} <= {0, 1, 2}


def test_the_plan_uses_the_simulators_own_faults() -> None:
    """A name that the simulators do not know would strike nothing."""
    assert set(PROVIDER_FAULTS) <= {fault.value for fault in ProviderFault}
    assert set(PROVIDER_FAULTS) >= UNKNOWN_MAKERS
    assert set(SECONDS) == set(MATRICES["long"])


def test_the_same_seed_makes_the_same_events() -> None:
    """Ids, users, duplicates and poison are the same; instants follow the clock."""
    workload = Workload(seed=3, events=500, users=50, partitions=6)
    first, second = Events(workload), Events(workload)
    made = [first.make(NOW) for _ in range(500)]
    assert made == [second.make(NOW) for _ in range(500)]
    assert len({message.value for message in made}) < 500, "some are duplicates"
    assert any(message.value is None or message.key is None for message in made), "some are poison"
