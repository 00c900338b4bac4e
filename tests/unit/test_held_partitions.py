"""How often threads take turns: seldom while a lane has enough, often while records are waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from faust.types import TP

from streams.lane.held import SWITCH_SECONDS, SWITCH_SECONDS_HELD, HeldPartitions

ONE, OTHER = TP("notifications", 0), TP("notifications", 1)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The interval is that of the process."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_threads_take_turns_seldom_while_any_partition_is_held() -> None:
    """From the first one on, until the last one goes, however often each is named."""
    held = HeldPartitions()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    held.add(ONE)
    held.add(OTHER)
    held.add(OTHER)
    held.discard(ONE)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS_HELD)
    assert held.partitions == {OTHER}
    held.discard(OTHER)
    held.discard(OTHER)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    held.add(ONE)
    held.clear()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    assert held.partitions == set()
