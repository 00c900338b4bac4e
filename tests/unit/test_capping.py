"""The frequency cap of one user. Timelines are in milliseconds; `|` is a claim, `x` one for which there is no room."""

from __future__ import annotations

import pytest

from streams.policies.capping import (
    HELD_MAX,
    Cap,
    Capped,
    CapPlace,
    CapRules,
    Full,
    Go,
    TooLong,
    Wait,
    decide,
    over_at,
    settle,
    standing,
    take,
)

CAP = Cap(limit=2, window_ms=1_000)
SKEW_MS = 5
HEEDS = CapRules()


def asked(
    now: int,
    *places: CapPlace,
    caps: tuple[Cap, ...] = (CAP,),
    rules: CapRules = HEEDS,
    who: str = "z",
    sent_before: bool = False,
    expires_at: int | None = None,
    hold_ms_max: int = 10_000,
) -> Go | Full | Wait | TooLong:
    """Ask for a notification at this instant."""
    notification = Capped("t", who, 0)
    return decide(places, notification, sent_before, rules, now, caps, SKEW_MS, expires_at, hold_ms_max)


def sent(name: str, at: int, type: str = "t") -> CapPlace:
    """The place of a notification that was sent at this instant."""
    return CapPlace(type, name, 0, False, at)


def held(name: str, at: int) -> CapPlace:
    """The place of one that is under way; no request of it arrives after this instant."""
    return CapPlace("t", name, 0, True, at)


@pytest.mark.parametrize(("now", "passes"), [(20, False), (1_004, False), (1_005, True)])
def test_there_is_room_when_the_first_of_as_many_as_the_limit_is_a_window_ago(now: int, passes: bool) -> None:
    """Two in a window of 1000, over all types: the third waits for the first, and for the difference of two clocks.

    0   10                          1000 1005
    |a==============================|----|
        |b=======================================|
           x c                         x | c
    """
    decision = asked(now, sent("a", 0, "news"), sent("b", 10, "offer"))
    assert decision == Go() if passes else isinstance(decision, Full)


def test_who_is_turned_away_is_told_the_numbers_and_until_when() -> None:
    """The place that must be free is that of the first one."""
    decision = asked(20, sent("b", 10), sent("a", 0))
    assert decision == Full(1_005, "a", "the cap of 2 in 1 s is reached until 1970-01-01T00:00:01+00:00")


def test_a_claim_counts_from_when_it_is_made_and_for_the_longest_that_it_may_take() -> None:
    """What is under way stands until its last request may have arrived, and a window longer.

    0        130                        1130  1135
    |a held===|==========================|-----|
    |b======================|
      x c                      | c: b is over     d: x
    """
    places = take(take([], Capped("t", "a", 0), 130), Capped("t", "b", 0), 130)
    assert isinstance(asked(1, *places), Full)
    places = settle(places, Capped("t", "b", 0), "ACCEPTED", 0)
    assert asked(1_005, *places) == Go()
    places = take(places, Capped("t", "c", 0), 1_135)
    assert isinstance(asked(1_006, *places), Full)


@pytest.mark.parametrize("outcome", ["ACCEPTED", "UNKNOWN"])
def test_what_may_have_been_sent_counts_as_sent(outcome: str) -> None:
    """From the latest instant at which it may have arrived, which may be after `send_by`."""
    places = take([], Capped("t", "a", 0), 130)
    after = settle(places, Capped("t", "a", 0), outcome, 140)  # type: ignore[arg-type] # one of the three
    assert after == [sent("a", 140)]


def test_what_certainly_was_not_sent_gives_its_place_back() -> None:
    """0: a and b are claimed; 5: a is given up; 6: there is room."""
    places = take([sent("b", 0)], Capped("t", "a", 0), 130)
    assert isinstance(asked(4, *places), Full)
    assert asked(6, *settle(places, Capped("t", "a", 0), "FREED", 5)) == Go()


def test_a_further_attempt_takes_no_further_place() -> None:
    """It is the same notification; but another admission of the same id is another one."""
    places = take([sent("b", 0)], Capped("t", "a", 0), 130)
    assert asked(50, *places, who="a") == Go()
    assert take(places, Capped("t", "a", 0), 130) == places
    assert len(take(places, Capped("t", "a", 7), 130)) == 3


def test_what_was_sent_in_part_is_not_asked_again() -> None:
    """A device that has it has counted already, whatever became of the place since."""
    assert asked(50, sent("b", 0), sent("c", 0), sent_before=True) == Go()


def test_an_end_that_comes_twice_changes_nothing() -> None:
    """The place is not held any more."""
    places = settle([held("a", 130)], Capped("t", "a", 0), "ACCEPTED", 20)
    assert settle(places, Capped("t", "a", 0), "FREED", 30) == places


def test_a_type_that_ignores_the_cap_is_sent_and_counts_all_the_same() -> None:
    """A code to log in with goes out; afterwards there is one more that must be over before others may follow.

    0  10  20                 1005    1015     1025
    |a  |b  |code              x      | d
    """
    places = [sent("a", 0), sent("b", 10)]
    assert asked(20, *places, rules=CapRules(ignores=True)) == Go()
    places.append(sent("code", 20))
    assert isinstance(asked(1_006, *places), Full)
    assert asked(1_015, *places) == Go()


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ((0, 10), 1_005),  # the hour is full, the minute is not
        ((0, 90), 1_005),
        ((0, 1, 2, 3, 4), 86_005),  # both are: the later one counts
    ],
)
def test_of_several_caps_the_one_that_has_room_last_counts(at: tuple[int, ...], until: int) -> None:
    """Two in 1 s and five in 86 s."""
    decision = asked(95, *(sent(f"n{each}", each) for each in at), caps=(CAP, Cap(5, 86_000)))
    assert isinstance(decision, Full)
    assert decision.until == until


def test_a_type_that_defers_waits_for_room() -> None:
    """Until the place is free; and it is not kept longer than its type allows from now on.

    0   10     20                1005              10020
    |a  |b     d.................| d               of no use
    """
    places, defers = (sent("a", 0), sent("b", 10)), CapRules(defers=True)
    waits = asked(20, *places, rules=defers)
    assert isinstance(waits, Wait)
    assert (waits.until, waits.expires_at) == (1_005, 10_020)
    sooner = asked(20, *places, rules=defers, expires_at=2_000)
    assert isinstance(sooner, Wait)
    assert (sooner.until, sooner.expires_at) == (1_005, 2_000)


@pytest.mark.parametrize(("expires_at", "hold_ms_max"), [(1_005, 10_000), (900, 10_000), (None, 985), (None, 100)])
def test_what_is_of_no_use_when_there_is_room_does_not_wait(expires_at: int | None, hold_ms_max: int) -> None:
    """Said at once, and not in a day."""
    decision = asked(
        20,
        sent("a", 0),
        sent("b", 10),
        rules=CapRules(defers=True),
        expires_at=expires_at,
        hold_ms_max=hold_ms_max,
    )
    assert isinstance(decision, TooLong)
    assert decision.reason.startswith("the cap of 2 in 1 s is reached until")


def test_no_more_is_kept_than_matters() -> None:
    """The last of those that stay, as many as the highest limit; those that may be given back; nothing that is over."""
    places = [sent(f"n{at}", at) for at in range(10)] + [held("h", 130)]
    assert standing(places, 500, (CAP,), SKEW_MS) == [held("h", 130), sent("n8", 8), sent("n9", 9)]
    assert standing(places, 1_012, (CAP,), SKEW_MS) == [held("h", 130), sent("n8", 8), sent("n9", 9)]
    assert standing(places, 1_014, (CAP,), SKEW_MS) == [held("h", 130)]
    assert standing(places, 1_135, (CAP,), SKEW_MS) == []
    assert over_at(places, (CAP,), SKEW_MS) == 1_135


def test_without_caps_nothing_matters() -> None:
    """What an earlier types file left is over as soon as no request can arrive any more."""
    places = [sent("a", 0), held("b", 50)]
    assert standing(places, 40, (), SKEW_MS) == [held("b", 50)]
    assert standing(places, 60, (), SKEW_MS) == []
    assert over_at(places, (), SKEW_MS) == 55


def test_the_number_of_places_has_a_bound_that_costs_time_only() -> None:
    """Of many under way the first ones cannot be given back any more; they count for the longest that they may take."""
    places: list[CapPlace] = []
    for number in range(HELD_MAX + 5):
        places = standing(take(places, Capped("t", f"n{number}", 0), 130 + number), 0, (CAP,), SKEW_MS)
    assert sum(place.held for place in places) == HELD_MAX
    assert [place for place in places if not place.held] == [sent("n3", 133), sent("n4", 134)]
    assert settle(places, Capped("t", "n4", 0), "FREED", 1) == places
