"""What is done for an admitted notification, device by device, and how it ends."""

from __future__ import annotations

import pytest

from streams.policies.delivering import (
    OWNER_LOST,
    SEND_BY_PASSED,
    Claim,
    NoDevice,
    NothingToDo,
    Phase,
    Plan,
    conclude,
    plan,
)

APNS, FCM = ("phone", "apns"), ("tablet", "fcm")


def claim(device_id: str, phase: Phase, at: int = 10, attempt: int = 1, reason: str = "r") -> Claim:
    """A claim for a device."""
    return Claim(device_id, "apns", attempt, phase, at, reason)


def planned(
    *claims: Claim,
    attempt: int = 1,
    concluded: int = 0,
    targets: tuple[tuple[str, str], ...] = (APNS, FCM),
    now: int = 50,
) -> Plan | NothingToDo | NoDevice:
    """Plan at 50 with `send_by` 100 and a grace of 30."""
    known = {each.device_id: each for each in claims}
    return plan(attempt, concluded, known, targets, now, send_by=100, grace_ms=30)


def test_each_device_is_claimed_once() -> None:
    """The first time, all of them."""
    assert planned() == Plan(["phone", "tablet"], [])


def test_a_concluded_attempt_is_not_made_again() -> None:
    """The record was read once more: after a crash between commit and everything else."""
    assert planned(concluded=1) == NothingToDo()
    assert planned(concluded=2) == NothingToDo()
    assert isinstance(planned(attempt=2, concluded=1), Plan)


def test_a_claim_whose_owner_was_lost_may_have_been_sent_until_the_end_of_grace() -> None:
    """A paused owner can still start the request right before `send_by`.

    10       50 (now)   100      130
    |---------|----------|--------|
    claimed   recovered  send_by  counted as sent here
    """
    decision = planned(claim("phone", "SENDING"), targets=(APNS,))
    assert decision == Plan([], [claim("phone", "UNKNOWN", at=130, reason=OWNER_LOST)])


def test_a_lost_claim_does_not_keep_the_other_device_from_its_push() -> None:
    """Devices are claimed each on its own."""
    decision = planned(claim("phone", "SENDING"))
    assert isinstance(decision, Plan)
    assert (decision.claim, [each.device_id for each in decision.settled]) == (["tablet"], ["phone"])


@pytest.mark.parametrize("phase", ["ACCEPTED", "NOT_SENT", "UNKNOWN"])
def test_a_device_with_an_outcome_is_not_asked_again_in_the_same_attempt(phase: Phase) -> None:
    """Whatever the outcome was."""
    decision = planned(claim("phone", phase), targets=(APNS,))
    assert decision == Plan([], [])


def test_a_further_attempt_asks_the_devices_that_it_is_for() -> None:
    """The phone of attempt 1 has its push; attempt 2 is for the tablet."""
    decision = planned(claim("phone", "ACCEPTED"), claim("tablet", "NOT_SENT"), attempt=2, concluded=1, targets=(FCM,))
    assert decision == Plan(["tablet"], [])


@pytest.mark.parametrize(("now", "claims"), [(99, True), (100, False), (101, False)])
def test_nothing_is_claimed_at_or_after_send_by(now: int, claims: bool) -> None:
    """It is certainly not sent, and says why."""
    decision = planned(targets=(APNS,), now=now)
    expected = Plan([], [Claim("phone", "apns", 1, "NOT_SENT", now, SEND_BY_PASSED)])
    assert decision == (Plan(["phone"], []) if claims else expected)


def test_without_a_device_there_is_nothing_to_claim() -> None:
    """No device at all, or none left of those that a further attempt was for."""
    assert planned(targets=()) == NoDevice()
    assert planned(claim("phone", "NOT_SENT"), attempt=2, concluded=1, targets=()) == NoDevice()


@pytest.mark.parametrize(
    ("claims", "state", "verdict", "at"),
    [
        ([claim("a", "ACCEPTED", 5)], "ACCEPTED", "ACCEPTED", 5),
        ([claim("a", "ACCEPTED", 5), claim("b", "NOT_SENT", 9)], "ACCEPTED", "ACCEPTED", 5),
        ([claim("a", "ACCEPTED", 5), claim("b", "ACCEPTED", 9)], "ACCEPTED", "ACCEPTED", 9),
        ([claim("a", "ACCEPTED", 5), claim("b", "UNKNOWN", 9)], "ACCEPTED", "ACCEPTED", 9),
        ([claim("a", "UNKNOWN", 5)], "UNKNOWN", "UNKNOWN", 5),
        ([claim("a", "UNKNOWN", 5), claim("b", "NOT_SENT", 9)], "UNKNOWN", "UNKNOWN", 5),
        ([claim("a", "NOT_SENT", 5), claim("b", "NOT_SENT", 9)], "DEAD", "FREED", 77),
    ],
)
def test_one_device_that_took_it_is_enough_and_the_latest_request_counts(
    claims: list[Claim], state: str, verdict: str, at: int
) -> None:
    """The slot is free again only if certainly no device got anything; else the window runs from the last request."""
    end = conclude(claims, now=77)
    assert (end.state, end.verdict, end.at) == (state, verdict, at)
    assert end.reason


def test_running_out_of_time_is_not_a_failure_of_the_provider() -> None:
    """EXPIRED where time ran out, DEAD where a provider refused it."""
    late = claim("a", "NOT_SENT", reason=SEND_BY_PASSED)
    refused = claim("b", "NOT_SENT", reason="BadDeviceToken")
    assert conclude([late], 77).state == "EXPIRED"
    assert conclude([refused], 77, out_of_time=True).state == "EXPIRED"
    assert conclude([late, refused], 77).state == "DEAD"
