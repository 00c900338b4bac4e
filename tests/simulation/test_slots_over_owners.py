"""What suppress remembers over days and owners, at the instants where forgetting too early or never would show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec
from schemas.keys import slot_key
from streams.policies.suppression import SlotPolicy
from streams.stages.slots_table import SlotsTable
from streams.stages.suppress import SuppressDecider
from streams.topics import TopicNames
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import StagePartition
from tests.simulation.tables import folded_rows, local_rows, new_table, unstarted_app

TOPICS = TopicNames.with_prefix("")
CODEC = Codec()
POLICY = SlotPolicy(window_ms=1_000, limit=1, send_within_ms=100, grace_ms=30, skew_ms=5)
DAY_MS = 86_400_000
START = 1_700_000_000_000


class Suppressing:
    """suppress on its only partition, with a clock that the test sets."""

    def __init__(self, directory: Path) -> None:
        self.log, self.now, self.policy = MemoryLog(), START, POLICY
        self.table = new_table(unstarted_app(directory, 1), SlotsTable, "slots")
        self.stage = StagePartition(
            self.log,
            (TOPICS.notifications, TOPICS.due, TOPICS.verdicts),
            0,
            self.table,
            lambda: SuppressDecider(0, 1, self.table, TOPICS, lambda slot: self.policy, CODEC),
            lambda: self.now,
        )

    def event(self, user: str, notification_id: str = "n", send_at: int | None = None) -> str:
        """Decide on an event now, and return the state that it is in."""
        value = CODEC.encode("Notification", self._notification(user, notification_id, send_at))
        self.log.append(TOPICS.notifications, 0, slot_key(user, "t"), value, [])
        return self._step()

    def release(self, user: str, notification_id: str, due_at: int) -> str:
        """Decide on an event that the schedule releases now."""
        due = {
            "due_at": due_at,
            "released_at": self.now,
            "origin_partition": 0,
            "origin_offset": 0,
            "notification": self._notification(user, notification_id, due_at),
        }
        self.log.append(TOPICS.due, 0, slot_key(user, "t"), CODEC.encode("Due", due), [])
        return self._step()

    def verdict(self, user: str, at: int, notification_id: str = "n", outcome: str = "ACCEPTED") -> None:
        """What became of the push."""
        verdict = {"notification_id": notification_id, "user_id": user, "type": "t", "outcome": outcome, "at": at}
        self.log.append(TOPICS.verdicts, 0, slot_key(user, "t"), CODEC.encode("Verdict", verdict), [])
        self.stage.step()

    def run_dry(self) -> None:
        """Take the steps that are due."""
        for _ in range(100):
            if not self.stage.has_work():
                return
            self.stage.step()
        raise AssertionError("never comes to rest")

    def rows(self) -> dict[bytes, bytes]:
        """What is remembered locally."""
        return local_rows(self.table, 0)

    def _step(self) -> str:
        self.stage.step()
        state: str = CODEC.decode(self.log.records(TOPICS.statuses)[-1].value, ("Status",)).record["state"]
        return state

    def _notification(self, user: str, notification_id: str, send_at: int | None) -> dict[str, Any]:
        return {
            "notification_id": notification_id,
            "user_id": user,
            "type": "t",
            "created_at": self.now,
            "send_at": send_at,
        }


@pytest.fixture
def suppressing(tmp_path: Path) -> Iterator[Suppressing]:
    """One partition."""
    made = Suppressing(tmp_path)
    yield made
    made.table.store.close_partition(0)


@pytest.mark.parametrize("disk_lost", [False, True])
def test_an_id_is_remembered_for_a_day_from_when_it_was_last_decided(suppressing: Suppressing, disk_lost: bool) -> None:
    """Sweeping the block that noted the deferral must not take the later, final mark with it.

    0           2 s                 24 h        24 h + 1 s     24 h + 2 s
    |d-----------|A-----------------|swept: d    x duplicate    |A forgotten
    """
    assert suppressing.event("u", "id", START + 2_000) == "DEFERRED"
    suppressing.now = START + 2_000
    assert suppressing.release("u", "id", START + 2_000) == "ADMITTED"
    suppressing.now = START + DAY_MS
    suppressing.run_dry()
    suppressing.stage.take_over(disk_lost)
    suppressing.now = START + DAY_MS + 1_000
    assert suppressing.event("u", "id") == "DUPLICATE"
    suppressing.now = START + DAY_MS + 2_000
    assert suppressing.event("u", "id") == "ADMITTED"


@pytest.mark.parametrize("disk_lost", [False, True])
def test_an_owner_overwrites_no_block_of_the_one_before(suppressing: Suppressing, disk_lost: bool) -> None:
    """Two owners settle two slots at the same instant: both rows are swept in the end, none is left for good.

    0             200           1,135            1,205
    |u v           |verdicts      |admissions     |blocks of the verdicts, one of each owner, are swept
                                   are swept
    """
    for user in ("u", "v"):
        assert suppressing.event(user) == "ADMITTED"
    for user in ("u", "v"):
        suppressing.stage.take_over(disk_lost)
        suppressing.verdict(user, START + 200)
    suppressing.now = START + 1_150  # the blocks of the admissions are swept, the rows are still needed
    suppressing.run_dry()
    suppressing.now = START + DAY_MS + 10
    suppressing.run_dry()
    assert suppressing.rows() == {}
    assert folded_rows(suppressing.table, suppressing.log, 0) == {}


def test_time_goes_on_from_the_last_decision_of_the_owner_before(suppressing: Suppressing) -> None:
    """The next owner's clock is three seconds behind; within the partition it is not.

    first:  12:00:03  decides
    second: 12:00:00  but here it is later than 12:00:03
    """
    suppressing.now = START + 3_000
    assert suppressing.event("u") == "ADMITTED"
    suppressing.now = START
    suppressing.stage.take_over(disk_lost=True)
    assert suppressing.stage.clock.now_ms() > START + 3_000


@pytest.mark.parametrize("outcome", ["FREED", "ACCEPTED", "UNKNOWN"])
def test_a_late_verdict_on_an_earlier_holder_says_nothing_of_the_next_one(
    suppressing: Suppressing, outcome: str
) -> None:
    """It comes when the hold is over and another holds the slot, which stays held for as long as before.

    0              1,135          1,136      2,270
    |a-------------|b-------------|a: late   |c is still suppressed
    """
    assert suppressing.event("u", "a") == "ADMITTED"
    suppressing.now = START + 1_135
    assert suppressing.event("u", "b") == "ADMITTED"
    suppressing.now = START + 1_136
    suppressing.verdict("u", START, "a", outcome)
    suppressing.now = START + 2_269
    assert suppressing.event("u", "c") == "SUPPRESSED"
    suppressing.now = START + 2_270
    assert suppressing.event("u", "d") == "ADMITTED"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_slot_has_as_many_places_as_its_type_says(suppressing: Suppressing, limit: int) -> None:
    """So many are admitted, and the next one is not, also by another owner."""
    suppressing.policy = POLICY._replace(limit=limit)
    assert [suppressing.event("u", f"n{number}") for number in range(limit)] == ["ADMITTED"] * limit
    assert suppressing.event("u", "beyond") == "SUPPRESSED"
    suppressing.stage.take_over(disk_lost=True)
    assert suppressing.event("u", "later") == "SUPPRESSED"
