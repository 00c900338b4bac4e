"""How far a partition may be committed while its records end out of order."""

from __future__ import annotations

import random

from streams.stages.offsets import OffsetTracker


def tracker(position: int, *offsets: int) -> OffsetTracker:
    """A tracker that has taken these records and everything before the next offset."""
    made = OffsetTracker(position)
    for offset in offsets:
        made.opened(offset)
    if offsets:
        made.reached(offsets[-1] + 1)
    return made


def test_nothing_is_committed_past_a_record_in_flight() -> None:
    """Upstream #606, with its numbers: 2585 is in flight, 2586 to 2589 are done, and Faust commits 2590."""
    offsets = tracker(2585, *range(2585, 2590))
    for offset in range(2586, 2590):
        offsets.done(offset)
    assert offsets.committable() == 2585
    assert offsets.pending() is None
    offsets.done(2585)
    assert offsets.pending() == 2590


def test_a_new_group_does_not_start_behind_its_first_record() -> None:
    """Upstream #606, the other case: nothing committed yet, 0 in flight, 1 and 2 done, and Faust commits 3."""
    offsets = tracker(0, 0, 1, 2)
    offsets.done(1)
    offsets.done(2)
    assert offsets.pending() is None


def test_markers_and_compacted_records_are_passed() -> None:
    """Offsets without a record are done when what is before them is: 4 and 5 in 3, _, _, 6, _."""
    offsets = tracker(3, 3, 6)
    offsets.reached(8)
    offsets.done(3)
    assert offsets.committable() == 6
    offsets.done(6)
    assert offsets.committable() == 8
    offsets.reached(9)
    assert offsets.pending() == 9


def test_what_was_committed_is_not_committed_again() -> None:
    """`pending` is what is new."""
    offsets = tracker(0, 0, 1)
    offsets.done(0)
    assert offsets.pending() == 1
    offsets.committed(1)
    assert offsets.pending() is None
    assert offsets.in_flight == 1


def test_any_order_of_endings_commits_the_first_open_one_and_nothing_else() -> None:
    """Against the definition, for random orders with gaps."""
    for seed in range(300):
        chance = random.Random(seed)
        known = sorted(chance.sample(range(100, 160), chance.randint(1, 40)))
        offsets = tracker(100, *known)
        still_open, order = set(known), known[:]
        chance.shuffle(order)
        for offset in order:
            offsets.done(offset)
            still_open.discard(offset)
            assert offsets.committable() == min(still_open, default=known[-1] + 1)
            assert offsets.in_flight == len(still_open)
