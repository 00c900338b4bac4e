"""How long lanes rest between two steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lane.pace import REST_PER_COMMIT, REST_SECONDS_EACH, StepPace


def test_before_the_first_commit_nobody_rests() -> None:
    """A stage that has just been opened takes what is there."""
    assert StepPace().rest_seconds() == 0.0


def test_it_follows_what_commits_take() -> None:
    """Of commits that all take as long it is a multiple; when they become fast again, so does it."""
    pace = StepPace()
    pace.lanes = 100
    for _ in range(200):
        pace.note(0.01)
    assert pace.rest_seconds() == pytest.approx(0.01 * REST_PER_COMMIT)
    for _ in range(200):
        pace.note(0.002)
    assert pace.rest_seconds() == pytest.approx(0.002 * REST_PER_COMMIT)


@given(st.integers(1, 120), st.lists(st.floats(0.0, 60.0), max_size=50))
def test_it_is_bounded_by_the_number_of_lanes(lanes: int, commits: list[float]) -> None:
    """However slow Kafka is."""
    pace = StepPace()
    pace.lanes = lanes
    for seconds in commits:
        pace.note(seconds)
    assert 0.0 <= pace.rest_seconds() <= lanes * REST_SECONDS_EACH
