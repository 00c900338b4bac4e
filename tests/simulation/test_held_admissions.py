"""suppress and what quiet hours gave back to it, at the instants where one admission could be taken for another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.notification import read_slot
from streams.stages.slots_table import place_key
from tests.simulation.test_slots_over_owners import CODEC, START, TOPICS, Suppressing

SLOT = b"u:t"


@pytest.fixture
def suppressing(tmp_path: Path) -> Iterator[Suppressing]:
    """A partition with nothing in it."""
    found = Suppressing(tmp_path)
    yield found
    found.table.store.close_partition(0)


def give_back(found: Suppressing, notification_id: str = "n") -> None:
    """deliver puts on `verdicts` what it was given."""
    notification = {"notification_id": notification_id, "user_id": "u", "type": "t", "created_at": START}
    deferral = {"due_at": found.now, "origin_partition": 0, "origin_offset": 0, "notification": notification}
    found.log.append(TOPICS.verdicts, 0, SLOT, CODEC.encode("Deferral", deferral), [])
    found.stage.step()


def admissions(found: Suppressing) -> list[int]:
    """The instants by which deliver tells them apart."""
    records = found.log.records(TOPICS.outbox)
    return [CODEC.decode(record.value, ("Delivery",)).record["admitted_at"] for record in records]


def holder(found: Suppressing) -> Any:
    """Who holds the slot."""
    row = found.rows().get(place_key(SLOT, 0))
    return None if row is None else read_slot(row)


@pytest.mark.parametrize("takes_over", [False, True])
def test_within_one_millisecond_two_admissions_have_two_instants(suppressing: Suppressing, takes_over: bool) -> None:
    """The clock of the partition stands still, for it was ahead: the second admission is later all the same."""
    assert suppressing.event("u") == "ADMITTED"
    give_back(suppressing)
    if takes_over:
        suppressing.stage.take_over()
    suppressing.now -= 3
    assert suppressing.release("u", "n", START) == "ADMITTED"
    first, second = admissions(suppressing)
    assert first < second
    assert holder(suppressing).admitted_at == second


def test_what_is_given_back_frees_the_slot_and_is_scheduled(suppressing: Suppressing) -> None:
    """In one step, byte for byte what deliver wrote."""
    suppressing.event("u")
    assert holder(suppressing).notification_id == b"n"
    give_back(suppressing)
    assert holder(suppressing) is None
    [given] = suppressing.log.records(TOPICS.verdicts)
    [scheduled] = suppressing.log.records(TOPICS.scheduled)
    assert (scheduled.key, scheduled.value) == (SLOT, given.value)


def test_what_comes_back_after_another_has_the_slot_leaves_it_alone(suppressing: Suppressing) -> None:
    """The hold ran out, the next one was admitted; the first is scheduled, and frees nobody else's slot."""
    suppressing.event("u")
    suppressing.now = holder(suppressing).blocked_until
    assert suppressing.event("u", "other") == "ADMITTED"
    give_back(suppressing)
    assert holder(suppressing).notification_id == b"other"
    assert len(suppressing.log.records(TOPICS.scheduled)) == 1


def test_the_same_event_again_while_it_is_held_back_is_a_duplicate(suppressing: Suppressing) -> None:
    """Also when the day of its first admission is over: to be held back is to be seen."""
    suppressing.event("u")
    suppressing.now += 20 * 3_600_000
    give_back(suppressing)
    suppressing.now += 20 * 3_600_000
    suppressing.run_dry()
    assert suppressing.event("u") == "DUPLICATE"


@pytest.mark.parametrize(
    ("key", "due_at", "code"),
    [(SLOT, 2**60, "INVALID_FIELD"), (b"v:t", START, "KEY_MISMATCH"), (None, START, "NO_KEY")],
)
def test_what_cannot_be_given_back_is_a_dead_letter(
    suppressing: Suppressing, key: bytes | None, due_at: int, code: str
) -> None:
    """Of another slot, without one, or at no instant; the stream goes on."""
    notification = {"notification_id": "n", "user_id": "u", "type": "t", "created_at": START}
    deferral = {"due_at": due_at, "origin_partition": 0, "origin_offset": 0, "notification": notification}
    suppressing.log.append(TOPICS.verdicts, 0, key, CODEC.encode("Deferral", deferral), [])
    suppressing.stage.step()
    [letter] = suppressing.log.records(TOPICS.dead_letters)
    assert CODEC.decode(letter.value, ("DeadLetter",)).record["code"] == code
    assert suppressing.log.records(TOPICS.scheduled) == []
    assert suppressing.event("u") == "ADMITTED"
