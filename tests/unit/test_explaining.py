"""Explanations: every state has one, and each says what it hangs on."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import FINAL_STATES, State
from streams.policies import capping
from streams.policies.explaining import Holder, SlotState, Step, explain, explain_slot, origin_of
from streams.policies.foreseeing import Outlook, Recipient, foresee, foresee_slot
from streams.policies.preferences import NO_PREFERENCES, Hold, Preferences, TypeHours, hold
from streams.policies.quiet_hours import read_quiet_hours

NOW = 1_800_000_000_000  # 2027-01-15T08:00:00Z
HOUR = 3_600_000
FIRST, SECOND = (3, 17), (3, 18)
NOON = "2027-01-15T12:00:00+00:00"


def step(
    state: State, reason: str = "why", stage: str = "suppress", origin: tuple[int, int] = FIRST, **rest: object
) -> Step:
    """A status at NOW, of the first attempt."""
    fields = {"attempt": 1, "provider": None, "device_id": None, "by": None, "until": None, "partition": 3, "offset": 5}
    return Step(state, reason, NOW, stage, origin, **{**fields, **rest})  # type: ignore[arg-type] # as each test wants it


@pytest.mark.parametrize("state", get_args(State))
def test_every_state_has_a_sentence_about_its_notification(state: State) -> None:
    """It names the notification, and says whether this is the end, as the contract has it."""
    found = explain("o-1", [step(state, until=NOW, by="o-0")], FIRST)
    assert "o-1" in found.sentence
    assert found.final == (state in FINAL_STATES)


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        (step("DEFERRED", "not due yet", until=NOW + 4 * HOUR), "SCHEDULED", f"is scheduled for {NOON}"),
        (step("DEFERRED", "moved", "schedule", until=NOW + 4 * HOUR), "SCHEDULED", NOON),
        (step("DEFERRED", "due at 2027", "deliver", until=NOW + 4 * HOUR), "SCHEDULED", NOON),
        (step("DEFERRED", "due at a local time of its user"), "AWAITS_LOCAL_TIME", "local time"),
        (
            step("DEFERRED", "unavailable: waits for its provider", "deliver", until=NOW),
            "HELD_BY_PROVIDER",
            "unavailable",
        ),
        (
            step("SUPPRESSED", by="o-0", until=NOW + 4 * HOUR),
            "SUPPRESSED_BY_SLOT",
            f"o-0 blocked its slot until {NOON}",
        ),
        (step("SUPPRESSED", "the cap of 5", "deliver", by="o-0"), "SUPPRESSED_BY_CAP", "place of o-0 is free"),
        (step("RETRYING", "throttled", until=NOW + 4 * HOUR), "RETRYING", f"due at {NOON}: throttled"),
        (step("UNKNOWN", "timeout"), "UNKNOWN", "counts as sent"),
        (step("DEAD", "UNKNOWN_TYPE: no type"), "DEAD", "dead letters: UNKNOWN_TYPE: no type"),
        (step("CANCELLED", "cancelled by bob (r-1)"), "CANCELLED", "cancelled by bob (r-1)"),
    ],
)
def test_what_it_hangs_on_is_said(told: Step, code: str, words: str) -> None:
    """The code tells the causes apart that one state has; the sentence has the instant, or who, or the word."""
    found = explain("o-1", [told], FIRST)
    assert found.code == code
    assert words in found.sentence
    assert (found.until, found.by) == (told.until, told.by)


def test_the_words_of_quiet_hours_and_caps_are_recognized() -> None:
    """What the policies say of holding one back is told apart by what they say, so they must go on saying so."""
    held = hold(NO_PREFERENCES, "news", TypeHours(quiet_hours=(read_quiet_hours("07:00-09:00"),)), NOW, None)
    assert isinstance(held, Hold)
    assert explain("o-1", [step("DEFERRED", held.reason, "deliver", until=1)], FIRST).code == "HELD_BY_QUIET_HOURS"
    places = [capping.CapPlace("news", "o-0", 0, False, NOW)]
    rules = capping.CapRules(defers=True)
    wanted = capping.Capped("news", "o-1", NOW)
    room = capping.decide(places, wanted, False, rules, NOW, [capping.Cap(1, HOUR)], 0, None, 2 * HOUR)
    assert isinstance(room, capping.Wait)
    assert explain("o-1", [step("DEFERRED", room.reason, "deliver", until=1)], FIRST).code == "HELD_BY_CAP"


def test_who_took_it_is_named() -> None:
    """Of the answers for the devices those that took it; an answer after the end changes nothing."""
    answers = [
        step("ATTEMPTED", "ACCEPTED: 200", "deliver", provider="apns", device_id="phone"),
        step("ATTEMPTED", "NOT_SENT: gone", "deliver", provider="fcm", device_id="tablet"),
    ]
    found = explain("o-1", [step("ADMITTED"), *answers, step("ACCEPTED", "200", "deliver"), answers[1]], FIRST)
    assert found.code == "SENT"
    assert "accepted by apns for phone," in found.sentence
    assert "tablet" not in found.sentence


def test_the_story_of_an_id_is_about_the_event_that_is_no_duplicate() -> None:
    """A duplicate is explained by the event that came first, which goes on undisturbed."""
    steps = [step("ADMITTED"), step("DUPLICATE", origin=SECOND, by="o-1"), step("SENDING", "claimed", "deliver")]
    assert origin_of(steps) == FIRST
    assert explain("o-1", steps, FIRST).code == "SENDING"
    duplicate = explain("o-1", steps, SECOND)
    assert (duplicate.code, duplicate.of) == ("DUPLICATE", FIRST)
    assert "notifications-3@17" in duplicate.sentence
    assert origin_of(steps[1:2]) == SECOND


def test_an_event_without_an_id_is_called_by_its_place() -> None:
    """So that it can be found."""
    assert explain("", [step("DEAD")], FIRST).sentence.startswith("the event at notifications-3@17 ")


def test_a_slot_is_free_as_long_as_one_of_its_places_is() -> None:
    """Held places are named with their ends; the first end is when the next one is admitted."""
    early, late = Holder("o-1", "ACCEPTED", NOW + HOUR), Holder("o-2", "HELD", NOW + 4 * HOUR)
    assert explain_slot("u:t", 1, []).code == "FREE"
    half = explain_slot("u:t", 2, [late])
    assert (half.code, half.until) == ("FREE", None)
    assert "1 of 2 places" in half.sentence
    assert f"o-2, which is being sent, until {NOON}" in half.sentence
    full = explain_slot("u:t", 2, [late, early])
    assert (full.code, full.until, full.by) == ("BLOCKED", NOW + HOUR, "o-1")
    assert explain_slot("u:t", None, []).code == "UNKNOWN_TYPE"


def test_the_slot_decides_first_on_the_next_one() -> None:
    """What is blocked is suppressed whatever its user wants; what is free goes on to deliver."""
    blocked = foresee_slot(SlotState("BLOCKED", "", NOW + 4 * HOUR, "o-1"))
    assert blocked == Outlook(
        "SUPPRESSED_BY_SLOT", f"one sent now would be suppressed by o-1, as any before {NOON}", NOW + 4 * HOUR, "o-1"
    )
    unknown = foresee_slot(SlotState("UNKNOWN_TYPE", ""))
    assert unknown is not None
    assert unknown.code == "UNKNOWN_TYPE"
    assert foresee_slot(SlotState("FREE", "")) is None


HERS = Recipient(frozenset(("apns",)), NO_PREFERENCES, capping.Go())
ALL_DAY = TypeHours(quiet_hours=(read_quiet_hours("00:00-24:00"),))


@pytest.mark.parametrize(
    ("recipient", "hours", "code", "until"),
    [
        (HERS, TypeHours(), "SENT", None),
        (HERS._replace(providers=frozenset()), TypeHours(), "NO_DEVICE", None),
        (HERS._replace(preferences=Preferences(opted_out=True)), TypeHours(), "OPTED_OUT", None),
        (HERS._replace(preferences=Preferences(opted_out_types=frozenset(("news",)))), TypeHours(), "OPTED_OUT", None),
        (
            HERS._replace(preferences=Preferences(opted_out_providers=frozenset(("apns",)))),
            TypeHours(),
            "OPTED_OUT",
            None,
        ),
        (HERS._replace(preferences=Preferences(opted_out_providers=frozenset(("fcm",)))), TypeHours(), "SENT", None),
        (HERS._replace(preferences=Preferences(mute_until=NOW + HOUR)), TypeHours(), "OPTED_OUT", NOW + HOUR),
        (HERS._replace(preferences=Preferences(mute_until=NOW)), TypeHours(), "SENT", None),
        (HERS._replace(profile_is_missing=True), TypeHours(), "NO_PROFILE", None),
        (HERS, TypeHours(quiet_hours=(read_quiet_hours("07:00-12:00"),)), "HELD_BY_QUIET_HOURS", NOW + 4 * HOUR),
        (HERS, ALL_DAY, "EXPIRED", None),
        (HERS._replace(shut_until=NOW + HOUR), TypeHours(), "HELD_BY_PROVIDER", NOW + HOUR),
        (HERS._replace(room=capping.Full(NOW + HOUR, "o-0", "the cap")), TypeHours(), "SUPPRESSED_BY_CAP", NOW + HOUR),
        (
            HERS._replace(room=capping.Wait(NOW + HOUR, NOW + 2 * HOUR, "the cap")),
            TypeHours(),
            "HELD_BY_CAP",
            NOW + HOUR,
        ),
        (HERS._replace(room=capping.TooLong("the cap")), TypeHours(), "EXPIRED", None),
    ],
)
def test_what_would_happen_follows_the_order_of_deliver(
    recipient: Recipient, hours: TypeHours, code: str, until: int | None
) -> None:
    """The first thing that stands in the way is named, with when it is over, if it ever is."""
    found = foresee("news", recipient, hours, NOW)
    assert (found.code, found.until) == (code, until)
    assert found.sentence.startswith("one sent now would ")


STEPS = st.builds(
    step,
    st.sampled_from(get_args(State)),
    st.text(max_size=30),
    st.sampled_from(("suppress", "schedule", "deliver")),
    st.sampled_from((FIRST, SECOND)),
    by=st.none() | st.text(max_size=5),
    until=st.none() | st.integers(-(2**62), 2**62),
)


@given(st.lists(STEPS, min_size=1, max_size=8))
def test_any_statuses_can_be_explained(steps: list[Step]) -> None:
    """Whatever others wrote: there is an explanation, and it is of the state that was told last."""
    origin = origin_of(steps)
    found = explain("o-1", steps, origin)
    assert found.sentence
    own = [each for each in steps if each.origin == origin and each.state != "ATTEMPTED"]
    assert found.final == bool(own and own[-1].state in FINAL_STATES)
