"""What becomes of a dead letter that is replayed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import check_notification_id
from streams.policies.replaying import REPLAYS_HEADER, REPLAYS_MAX, Again, Refused, derived_id, replay_of


def test_what_was_never_admitted_keeps_its_id() -> None:
    """Its id is not remembered, so its bytes go back as they are; unreadable ones too."""
    assert replay_of("n", False, (), ()) == Again(1, None)
    assert replay_of(None, False, (), ()) == Again(1, None)


def test_what_was_admitted_gets_the_same_new_id_each_time() -> None:
    """The old id is remembered as final; the new one is derived, so that a second replay is a duplicate."""
    history = ["attempt 1 fcm phone: NOT_SENT SENDER_ID_MISMATCH"]
    assert replay_of("n", True, (), history) == replay_of("n", True, (), history) == Again(1, "n~replay.1")
    assert replay_of("n~replay.1", True, (), history) == Again(2, "n~replay.2")


@pytest.mark.parametrize("phase", ["ACCEPTED", "UNKNOWN", "SENDING"])
@pytest.mark.parametrize("force", [False, True])
def test_what_a_device_may_have_is_never_replayed(phase: str, force: bool) -> None:
    """One device that may have it is enough, and nobody can insist."""
    history = ["attempt 1 fcm a: b: NOT_SENT x", f"attempt 2 apns a: b: {phase} 200"]
    assert isinstance(replay_of("n", True, (), history, force), Refused)


def test_what_cannot_be_read_and_was_admitted_is_not_replayed() -> None:
    """Without its notification it can get no new id."""
    assert isinstance(replay_of(None, True, (), (), force=True), Refused)


def test_what_died_again_and_again_is_left_alone_unless_someone_insists() -> None:
    """The count stands in the header or in the id; whichever is higher."""
    headers = [(REPLAYS_HEADER, b"%d" % REPLAYS_MAX)]
    assert isinstance(replay_of("n", False, headers, ()), Refused)
    assert isinstance(replay_of(derived_id("n", REPLAYS_MAX), True, (), ()), Refused)
    assert replay_of("n", False, headers, (), force=True) == Again(REPLAYS_MAX + 1, None)
    assert replay_of("n", False, [(REPLAYS_HEADER, b"x"), (REPLAYS_HEADER, None)], ()) == Again(1, None)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=128), st.integers(1, 999_999))
def test_a_derived_id_is_an_id_and_differs(notification_id: str, replays: int) -> None:
    """Whatever the old one is, the new one is allowed, and another one for another number."""
    if len(notification_id.encode()) > 128:
        return
    derived = derived_id(notification_id, replays)
    check_notification_id(derived.encode())
    assert derived == derived_id(notification_id, replays)
    assert derived_id(notification_id, replays % 999_999 + 1) != derived
