"""A worker whose clock is provably off by more than is allowed commits nothing."""

from __future__ import annotations

import pytest

from streams.lane.transaction import ClockOffError, ClockRule

RULE = ClockRule(lambda: 0, off_ms_max=500)


@pytest.mark.parametrize("appended_at", [1_000, 1_100, 1_200, 500, 1_700])
def test_an_instant_within_the_allowance_is_taken(appended_at: int) -> None:
    """Between the two readings anything is possible; half a second outside is allowed.

    500     before 1000   after 1200     1700
    |-------|-------------|--------------|
    """
    RULE.check(appended_at, before=1_000, after=1_200)


@pytest.mark.parametrize(("appended_at", "word"), [(499, "ahead"), (1_701, "behind")])
def test_an_instant_beyond_it_is_refused(appended_at: int, word: str) -> None:
    """One millisecond more, and the error says in which direction the clock is off."""
    with pytest.raises(ClockOffError, match=word):
        RULE.check(appended_at, before=1_000, after=1_200)
