"""A step holds all that a transaction does."""

from __future__ import annotations

import pytest

from streams.lane.step import Step


def test_records_keep_their_order_within_a_partition() -> None:
    """Order is promised within a partition, so each has a list of its own."""
    step = Step()
    step.emit("t", 0, b"k", b"1")
    step.emit("t", 1, b"k", b"2")
    step.emit("t", 0, b"k", b"3", [("h", b"v")])
    assert step.outputs == {("t", 0): [(b"k", b"1", []), (b"k", b"3", [("h", b"v")])], ("t", 1): [(b"k", b"2", [])]}


@pytest.mark.parametrize(
    ("step", "empty"),
    [
        (Step(), True),
        (Step(outputs={("t", 0): []}, changes={"table": {}}), True),
        (Step(outputs={("t", 0): [(None, b"v", [])]}), False),
        (Step(changes={"table": {b"k": None}}), False),
        (Step(offsets={("t", 0): 1}), False),
    ],
)
def test_a_step_is_empty_when_committing_it_would_change_nothing(step: Step, empty: bool) -> None:
    """A removal and an offset are changes; an output list without records is none."""
    assert step.is_empty() is empty
