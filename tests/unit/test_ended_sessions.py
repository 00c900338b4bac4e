"""Sessions that were ended: no copy of one is good again, and what is remembered of them stays small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.web.security.ended_sessions import EndedSessions
from streams.web.security.sessions import Session, SessionRule

HOUR_MS = 3_600_000
WHOLE_MS = 12 * HOUR_MS
T = 1_800_000_000_000


def session(name: str, begun_at: int) -> Session:
    """A session that was used just when it began."""
    return Session(name, "key", "mark", begun_at, begun_at)


def test_what_was_ended_stays_ended_and_the_others_go_on() -> None:
    """By its id; a second word of it changes nothing."""
    ended = EndedSessions(WHOLE_MS)
    ended.end("a", T)
    ended.end("a", T + 5)
    assert ended.has(session("a", T - HOUR_MS))
    assert not ended.has(session("b", T - HOUR_MS))
    assert len(ended) == 1


def test_those_that_are_over_in_any_case_are_forgotten() -> None:
    """One goes for each that comes, so the number follows what a session may last."""
    ended = EndedSessions(WHOLE_MS)
    for number in range(5_000):
        ended.end(f"s{number}", T + number * 60_000)
    assert len(ended) <= WHOLE_MS // 60_000 + 2


def test_too_many_are_forgotten_by_a_line_through_time() -> None:
    """All that began before it is over, asked for or not; what began after it goes on.

    s0 … s99 ended        line       kept
    |---------------------|----------|
    """
    ended = EndedSessions(WHOLE_MS, ids_max=100)
    for number in range(101):
        ended.end(f"s{number}", T + number)
    assert len(ended) == 51
    assert all(ended.has(session(f"s{number}", T - HOUR_MS)) for number in range(101))
    assert ended.has(session("never ended", T - HOUR_MS))
    assert not ended.has(session("begun later", T + 1_000))


@given(
    ends=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3 * WHOLE_MS)), max_size=60),
    ids_max=st.integers(2, 8),
)
def test_no_session_that_could_still_be_used_is_forgotten(ends: list[tuple[int, int]], ids_max: int) -> None:
    """In whatever order, by whatever clocks, and however few may be kept: each began before it was ended."""
    ended, rule = EndedSessions(WHOLE_MS, ids_max), SessionRule(WHOLE_MS, WHOLE_MS)
    began: dict[str, int] = {}
    now = 0
    for number, at in sorted(ends, key=lambda each: each[1]):
        now = max(now, at)
        name = f"s{number}"
        began.setdefault(name, at - 1)
        ended.end(name, at)
        assert len(ended) <= ids_max
        for each, begun_at in began.items():
            assert ended.has(session(each, begun_at)) or session(each, begun_at).is_over(now, rule)
