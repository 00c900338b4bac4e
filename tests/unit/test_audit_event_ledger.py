"""Every event has exactly one end: each exception is found, and what is under way is no exception."""

from __future__ import annotations

import pytest

from schemas.records import FINAL_STATES
from streams.audit.event_ledger import EventLedger
from streams.audit.rows import StatusRow

NOW = 1_800_000_000_000
SETTLE_MS = 10_000


def status(offset: int, state: str, at: int = NOW, until: int | None = None, reason: str = "why") -> StatusRow:
    return StatusRow("a", state, reason, at, at, (3, offset), 1, None, None, until, "statuses-0@0")


def ledger(*rows: StatusRow) -> EventLedger:
    """Events at the offsets 5 and 9 of partition 3, and what was said of them."""
    made = EventLedger(SETTLE_MS)
    made.event(3, 5)
    made.event(3, 9)
    for row in rows:
        made.status(b"u:t", row)
    return made


def sentences(made: EventLedger, now: int = NOW, read: int = 100, complete: bool = False) -> list[str]:
    made.close(now, {3: read}, complete)
    return [violation.sentence for violation in made.violations]


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_one_end_each_is_sound(state: str) -> None:
    """Any final state is an end."""
    made = ledger(status(5, state), status(9, "ADMITTED"), status(9, state))
    assert sentences(made, complete=True) == []
    assert made.final[state] == 2


def test_a_second_end_is_found() -> None:
    """Two final states of one event."""
    made = ledger(status(5, "ACCEPTED"), status(5, "SUPPRESSED"), status(9, "DEAD"))
    assert sentences(made) == ["event notifications-3@5: it ends a second time, as SUPPRESSED"]


def test_an_end_without_a_reason_is_found() -> None:
    """A final state says why."""
    made = ledger(status(5, "ACCEPTED", reason=""), status(9, "DEAD"))
    assert sentences(made) == ["event notifications-3@5: it ends as ACCEPTED without a reason"]


def test_an_event_that_was_read_and_never_spoken_of_is_lost() -> None:
    """Reading and the first status are one transaction: there is nothing to wait for."""
    assert sentences(ledger(status(5, "DEAD"))) == [
        "event notifications-3@9: it was read, and nothing was ever said of it"
    ]


def test_an_event_that_was_not_read_is_open_unless_everything_must_have_ended() -> None:
    """Suppress stands at offset 9."""
    made = ledger(status(5, "DEAD"))
    assert sentences(made, read=9) == []
    assert made.under_way == {"UNREAD": 1}
    assert sentences(ledger(status(5, "DEAD")), read=9, complete=True) == ["event notifications-3@9: it was never read"]


@pytest.mark.parametrize("state", ["ADMITTED", "DEFERRED", "RELEASED"])
def test_what_began_must_end(state: str) -> None:
    """It is open until it has had its time and some more, and lost after that.

    admitted     send_by      + settle
    |------------|------------|
    """
    rows = (status(5, "DEAD"), status(9, state, until=NOW + 6_000))
    made = ledger(*rows)
    assert sentences(made, now=NOW + 15_999) == []
    assert made.under_way == {state: 1}
    assert sentences(ledger(*rows), now=NOW + 16_000) == [f"event notifications-3@9: it was {state} and has no end"]
    assert len(sentences(ledger(*rows), now=NOW, complete=True)) == 1


def test_offsets_without_an_event_are_no_events() -> None:
    """Markers, copies that were routed again, and events before the stretch that is audited."""
    made = ledger(status(5, "DEAD"), status(9, "DEAD"), status(7, "DEAD"), status(2, "DEAD"), status(200, "DEAD"))
    assert sentences(made, complete=True) == []
    assert made.final["DEAD"] == 2


def test_released_and_cancelled_is_found_in_either_order() -> None:
    """Exactly one of the two happens to what is scheduled."""
    made = ledger(status(5, "DEFERRED"), status(5, "RELEASED"), status(5, "CANCELLED"), status(9, "CANCELLED"))
    made.status(b"u:t", status(9, "RELEASED"))
    assert sentences(made) == [
        "event notifications-3@5: it was released, and cancelled too",
        "event notifications-3@9: it was released after its end",
    ]


def test_what_was_given_back_can_be_cancelled() -> None:
    """Released, held back for quiet hours, and then cancelled: that is one end."""
    states = ("DEFERRED", "RELEASED", "ADMITTED", "DEFERRED", "CANCELLED")
    assert sentences(ledger(*(status(5, state) for state in states), status(9, "DEAD")), complete=True) == []
