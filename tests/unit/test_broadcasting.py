"""What a command makes of a broadcast, where it stands as a whole, its pace, its ledger, and how long it lasts."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.policies.broadcasting import (
    BURST_SECONDS,
    ENDS,
    Action,
    Counts,
    Pace,
    Phase,
    Whole,
    after,
    next_step_at,
    room,
    seconds_left,
    whole,
)
from streams.policies.pacing import Bucket, spend

PHASES: tuple[Phase, ...] = get_args(Phase)


def test_no_command_changes_what_has_ended() -> None:
    """Whichever it is."""
    assert all(after(end, action) == end for end, action in product(ENDS, get_args(Action)))


@pytest.mark.parametrize(
    ("phase", "action", "then"),
    [
        ("RUNNING", "PAUSE", "PAUSED"),
        ("RUNNING", "RESUME", "RUNNING"),
        ("RUNNING", "CANCEL", "CANCELLED"),
        ("PAUSED", "PAUSE", "PAUSED"),
        ("PAUSED", "RESUME", "RUNNING"),
        ("PAUSED", "CANCEL", "CANCELLED"),
        ("LOADING", "PAUSE", "LOADING"),
        ("LOADING", "RESUME", "LOADING"),
        ("LOADING", "CANCEL", "CANCELLED"),
    ],
)
def test_what_a_command_makes_of_it(phase: Phase, action: Action, then: Phase) -> None:
    """The arrows of the picture."""
    assert after(phase, action) == then


@pytest.mark.parametrize(
    ("phases", "state"),
    [
        (["RUNNING", "DONE", "PAUSED"], "RUNNING"),
        (["RUNNING"], "RUNNING"),
        (["PAUSED", "DONE", "CANCELLED"], "PAUSED"),
        (["DONE", "DONE", "DONE"], "DONE"),
        (["DONE", "DONE"], "STARTING"),
        ([], "STARTING"),
        (["LOADING"], "LOADING"),
        (["LOADING", "DONE", "DONE"], "STARTING"),
        (["DONE", "EXPIRED", "DONE"], "EXPIRED"),
        (["CANCELLED", "EXPIRED", "DONE"], "CANCELLED"),
        (["REFUSED", "REFUSED", "REFUSED"], "REFUSED"),
    ],
)
def test_where_three_partitions_stand_together(phases: list[Phase], state: Whole) -> None:
    """It runs as long as one runs, and has ended when all have."""
    assert whole(phases, 3) == state


def test_counts_that_contradict_themselves() -> None:
    """By how much; in a dry run nobody may be told."""
    assert Counts(10, 7, 3, 7).difference(dry_run=False) == 0
    assert Counts(10, 7, 3, 0).difference(dry_run=True) == 0
    assert Counts(10, 7, 3, 6).difference(dry_run=False) == 1
    assert Counts(11, 7, 3, 7).difference(dry_run=False) == 1
    assert Counts(10, 7, 3, 7).difference(dry_run=True) == 7
    assert Counts(1, 2, 3, 4).plus(Counts(10, 20, 30, 40)) == Counts(11, 22, 33, 44)


@given(st.floats(0.05, 5_000), st.lists(st.integers(0, 3_000), min_size=1, max_size=40))
def test_the_pace_is_never_exceeded(per_second: float, waits: list[int]) -> None:
    """In any stretch of time from the start, however it is looked at; nothing is saved up beyond a second's worth."""
    bucket, now, told = Bucket(0.0, 0), 0, 0
    for wait in waits:
        now += wait
        bucket, some = room(bucket, now, per_second)
        assert some <= max(1.0, per_second * BURST_SECONDS)
        bucket = spend(bucket, some)
        told += some
        assert told <= per_second * now / 1000 + 1


@given(st.floats(0.05, 100_000), st.integers(1, 2_000))
def test_the_next_step_has_somebody_to_tell(per_second: float, users_max: int) -> None:
    """When it comes there is at least one token, and it comes within half a second or with the first token."""
    at = next_step_at(Bucket(0.0, 1_000), per_second, users_max)
    _, some = room(Bucket(0.0, 1_000), at, per_second)
    assert some >= 1
    assert at - 1_000 <= max(500, 1_000 / per_second) + 1


def test_how_long_it_still_lasts() -> None:
    """As long as the slowest partition; unknown where one stands still that is not done."""
    assert seconds_left({}) == 0
    assert seconds_left({0: Pace(100, 50.0), 1: Pace(90, 10.0)}) == 9
    assert seconds_left({0: Pace(100, 50.0), 1: Pace(0, 0.0)}) == 2
    assert seconds_left({0: Pace(100, 0.0)}) is None
