"""schedule over crashes, cancels, moves and owners: each arrival ends once, each answer is true, the ledger closes."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.stages.blocks import BLOCK_PREFIX, read_block
from streams.stages.schedule import ScheduleDecider, ScheduleOptions
from streams.stages.schedule_table import DEFERRALS, INDEX, LEDGER_KEY, RETRIES, ScheduleTable
from streams.stages.slots_table import id_key
from streams.topics import TopicNames
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import Crash, StagePartition
from tests.simulation.tables import folded_rows, local_rows, new_table, unstarted_app

PARTITIONS = 2
DAY_MS = 86_400_000
TOPICS = TopicNames.with_prefix("")
CODEC = Codec()
ENDS = {"RELEASED", "CANCELLED", "EXPIRED", "DUPLICATE"}

IDS = st.sampled_from(["n1", "n2", "n3", "ü"])
USERS = st.sampled_from(["u1", "u2", "u3"])
DUE_IN = st.sampled_from([-5_000, -1, 0, 1, 50, 300, 2_000, 2_000, 3 * DAY_MS])
CRASHES: st.SearchStrategy[Crash] = st.sampled_from(["none", "none", "before the commit", "after the commit"])
WHICH = st.integers(0, PARTITIONS - 1)
Origin = tuple[int, int]


class ScheduleLedger(RuleBasedStateMachine):
    """Two partitions of the stage over one log; suppress, deliver and those who cancel are rules."""

    per_second = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.log = MemoryLog()
        self.now = 1_700_000_000_000
        self.table = new_table(unstarted_app(self.directory, PARTITIONS), ScheduleTable, "schedule")
        self.stages = [self._stage(partition) for partition in range(PARTITIONS)]
        self.arrivals: Counter[Origin] = Counter()
        self.events: dict[Origin, dict[str, Any]] = {}
        self.retries = 0
        self.commands: dict[str, dict[str, Any]] = {}
        self.now_max = self.now

    def _stage(self, partition: int) -> StagePartition:
        options = ScheduleOptions(self.per_second)
        return StagePartition(
            self.log,
            (TOPICS.scheduled,),
            partition,
            self.table,
            lambda: ScheduleDecider(partition, PARTITIONS, self.table, TOPICS, CODEC, options),
            lambda: self.now,
        )

    @rule(user=USERS, notification_id=IDS, due_in=DUE_IN, expires_in=st.none() | DUE_IN, astray=st.booleans())
    def defer(self, user: str, notification_id: str, due_in: int, expires_in: int | None, astray: bool) -> None:
        """suppress defers an event; whoever writes with another partitioner puts it astray."""
        origin = (0, len(self.events))
        self.events[origin] = {
            "notification_id": notification_id,
            "user_id": user,
            "type": "t",
            "created_at": self.now,
            "expires_at": None if expires_in is None else self.now + expires_in,
        }
        self._defer(origin, due_in, astray)

    @rule(due_in=DUE_IN, which=st.integers(0, 10**6))
    def defer_again(self, due_in: int, which: int) -> None:
        """deliver gives back what was released before: quiet hours."""
        last: dict[Origin, str] = {}
        ends: Counter[Origin] = Counter()
        for status in self._statuses():
            last[_origin(status)] = status["state"]
            ends[_origin(status)] += status["state"] in ENDS
        back = [o for o, state in last.items() if state == "RELEASED" and ends[o] == self.arrivals[o]]
        if back:
            self._defer(back[which % len(back)], due_in, False)

    def _defer(self, origin: Origin, due_in: int, astray: bool) -> None:
        event = self.events[origin]
        deferral = {
            "due_at": self.now + due_in,
            "origin_partition": origin[0],
            "origin_offset": origin[1],
            "notification": event,
        }
        self._write("Deferral", event, deferral, astray)
        self.arrivals[origin] += 1

    @rule(user=USERS, notification_id=IDS, due_in=DUE_IN)
    def retry(self, user: str, notification_id: str, due_in: int) -> None:
        """deliver wants another attempt."""
        notification = {"notification_id": notification_id, "user_id": user, "type": "t", "created_at": self.now}
        delivery = {
            "admitted_at": self.now,
            "send_by": self.now + 60_000,
            "attempt": 2,
            "origin_partition": 0,
            "origin_offset": 10**9,
            "notification": notification,
        }
        self._write("Retry", notification, {"due_at": self.now + due_in, "delivery": delivery}, False)
        self.retries += 1

    @rule(user=USERS, notification_id=IDS, to_in=st.none() | DUE_IN, astray=st.booleans())
    def command(self, user: str, notification_id: str, to_in: int | None, astray: bool) -> None:
        """Somebody cancels (no time) or moves."""
        command = {
            "notification_id": notification_id,
            "user_id": user,
            "type": "t",
            "request_id": f"r{len(self.commands)}",
            "requested_by": "test",
            "requested_at": self.now,
        }
        if to_in is not None:
            command["due_at"] = self.now + to_in
        self._write("Cancel" if to_in is None else "Move", command, command, astray)
        self.commands[str(command["request_id"])] = command

    def _write(self, name: str, named: dict[str, Any], record: dict[str, Any], astray: bool) -> None:
        slot = slot_key(named["user_id"], named["type"])
        partition = (partition_of(slot, PARTITIONS) + astray) % PARTITIONS
        self.log.append(TOPICS.scheduled, partition, slot, CODEC.encode(name, record), [])

    @rule(partition=WHICH, value=st.sampled_from([None, b"", b"\xc3\x01garbage"]))
    def poison(self, partition: int, value: bytes | None) -> None:
        """A record arrives that nobody can read."""
        self.log.append(TOPICS.scheduled, partition, b"u1:t", value, [])

    @rule(ms=st.sampled_from([1, 40, 99, 500, 2_000, 60_000, DAY_MS - 1_000, DAY_MS]))
    def time_passes(self, ms: int) -> None:
        """The clock goes on."""
        self.now += ms
        self.now_max = max(self.now, self.now_max)

    @rule(ms=st.integers(1, 4))
    def clock_goes_back(self, ms: int) -> None:
        """The next owner's clock is behind, by less than the skew that is allowed for."""
        self.now -= ms

    @rule(partition=WHICH, crash=CRASHES, records_max=st.sampled_from([1, 3, 1_000]))
    def work(self, partition: int, crash: Crash, records_max: int) -> None:
        """The stage takes one step, or dies in it and is taken over."""
        self.stages[partition].step(crash, records_max)

    @rule(partition=WHICH, disk_lost=st.booleans())
    def take_over(self, partition: int, disk_lost: bool) -> None:
        """A partition moves to another worker, with or without its local rows."""
        self.stages[partition].take_over(disk_lost)

    # --- what must hold

    def _read(self, topic: str, name: str) -> list[dict[str, Any]]:
        return [CODEC.decode(record.value, (name,)).record for record in self.log.records(topic)]

    def _statuses(self) -> list[dict[str, Any]]:
        return self._read(TOPICS.statuses, "Status")

    @invariant()
    def no_arrival_ends_twice(self) -> None:
        """Released, cancelled, expired or a duplicate: one of them for each time that it came."""
        ends = Counter(_origin(status) for status in self._statuses() if status["state"] in ENDS)
        assert all(count <= self.arrivals[origin] for origin, count in ends.items())

    @invariant()
    def nothing_is_early(self) -> None:
        """Nothing is released before its time, and what one step releases is in due order."""
        due = self._read(TOPICS.due, "Due")
        assert all(each["released_at"] >= each["due_at"] for each in due)

    @invariant()
    def the_ledger_closes(self) -> None:
        """On the counts, and against the rows."""
        for stage in self.stages:
            decider, rows = cast(ScheduleDecider, stage.decider), local_rows(self.table, stage.partition)
            assert decider.counts.difference() == 0
            assert decider.rows_difference == 0
            if LEDGER_KEY in rows:
                assert sum(key.startswith(DEFERRALS) for key in rows) == decider.counts.pending
                assert sum(key.startswith(RETRIES) for key in rows) == decider.counts.retries_pending

    @invariant()
    def local_rows_are_what_the_changelog_says(self) -> None:
        """Also after a crash between commit and apply, and after the disk was lost; index and ids unfolded."""
        for stage in self.stages:
            rows = folded_rows(self.table, self.log, stage.partition)
            expected = dict(rows)
            for key in rows:
                if key.startswith(DEFERRALS):
                    expected[INDEX + key[17:]] = key[1:17]
                elif key.startswith(RETRIES):
                    expected[INDEX + key[17:] + key[9:17]] = key[1:17]
            blocks = [read_block(row) for key, row in rows.items() if key.startswith(BLOCK_PREFIX)]
            found = local_rows(self.table, stage.partition)
            ids = {id_key(digest) for block in blocks for digest, _ in block.digests()}
            assert {key for key in found if key[:1] == b"i"} <= ids
            assert {key: row for key, row in found.items() if key[:1] != b"i"} == expected

    @invariant()
    def answers_are_true(self) -> None:
        """What an answer says happened is in the statuses, and nothing that it excludes."""
        statuses = self._statuses()
        answers = self._read(TOPICS.answers, "ScheduleAnswer")
        assert len({answer["request_id"] for answer in answers}) == len(answers)
        cancelled = Counter(
            status["reason"].rpartition("(")[2].rstrip(")")
            for status in statuses
            if status["state"] == "CANCELLED" and status["reason"].startswith("cancelled by")
        )
        said = Counter(answer["request_id"] for answer in answers if answer["outcome"] == "CANCELLED")
        assert cancelled == said
        moved = sum(status["state"] == "DEFERRED" for status in statuses)
        assert moved == sum(answer["outcome"] == "MOVED" for answer in answers)
        for answer in answers:
            if answer["outcome"].startswith("ALREADY_") and answer["ended_at"] is not None:
                state = answer["outcome"].removeprefix("ALREADY_")
                known = [
                    s for s in statuses if s["state"] == state and s["notification_id"] == answer["notification_id"]
                ]
                retried = state == "RELEASED" and self.retries
                assert retried or any(s["at"] == answer["ended_at"] for s in known)

    def teardown(self) -> None:
        """Let everything come due: each arrival has ended, each command is answered, and nothing is kept (P4)."""
        try:
            self._finish()
        finally:
            for stage in self.stages:
                self.table.store.close_partition(stage.partition)
            shutil.rmtree(self.directory)

    def _finish(self) -> None:
        self.now = self.now_max
        for _ in range(4):  # due in three days, remembered for one more
            self._run_dry()
            self.now += 2 * DAY_MS + 10_000
        self._run_dry()
        self.no_arrival_ends_twice()
        self.the_ledger_closes()
        ends = Counter(_origin(status) for status in self._statuses() if status["state"] in ENDS)
        assert ends == self.arrivals
        assert len(self._read(TOPICS.answers, "ScheduleAnswer")) == len(self.commands)
        assert len(self.log.records(TOPICS.outbox)) == self.retries
        counts = [cast(ScheduleDecider, stage.decider).counts for stage in self.stages]
        duplicates = sum(status["state"] == "DUPLICATE" for status in self._statuses())
        assert sum(each.scheduled for each in counts) == sum(self.arrivals.values()) - duplicates
        assert sum(each.pending + each.retries_pending for each in counts) == 0
        for stage in self.stages:
            assert set(local_rows(self.table, stage.partition)) <= {LEDGER_KEY}
            assert set(folded_rows(self.table, self.log, stage.partition)) <= {LEDGER_KEY}

    def _run_dry(self) -> None:
        for _ in range(10_000):
            busy = [stage for stage in self.stages if stage.has_work()]
            if not busy:
                if not any(cast(ScheduleDecider, stage.decider).counts.pending for stage in self.stages):
                    return
                instants = [stage.decider.next_at_ms() for stage in self.stages]
                soon = min(at for at in instants if at is not None)
                if soon > self.now + 10_000:
                    return
                self.now = soon  # the pace holds some back for a moment
                continue
            for stage in busy:
                stage.step()
        raise AssertionError("the stage never comes to rest")


def _origin(status: dict[str, Any]) -> Origin:
    return status["origin_partition"], status["origin_offset"]


class PacedScheduleLedger(ScheduleLedger):
    """The same at five releases a second."""

    per_second = 5.0

    @invariant()
    def the_pace_is_kept(self) -> None:
        """Each partition on its own; a new owner begins with what a burst may be, so only within one step here."""
        due = self._read(TOPICS.due, "Due")
        assert all(count <= 2 * PARTITIONS for count in Counter(each["released_at"] for each in due).values())


def test_released_in_due_order(tmp_path: Path) -> None:
    """Whatever order they came in, however many steps it takes."""
    machine = ScheduleLedger()
    try:
        for number in range(300):
            machine.defer("u1", f"n{number}", (number * 7919) % 1_000, None, False)
        for _ in range(12):
            machine.now += 100
            for stage in machine.stages:
                stage.step(records_max=60)
        due = [each["due_at"] for each in machine._read(TOPICS.due, "Due")]
        by_step: dict[int, list[int]] = {}
        for each in machine._read(TOPICS.due, "Due"):
            by_step.setdefault(each["released_at"], []).append(each["due_at"])
        assert len(due) == 300
        assert all(first <= second for found in by_step.values() for first, second in pairwise(found))
    finally:
        machine.teardown()


ScheduleLedger.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
PacedScheduleLedger.TestCase.settings = settings(max_examples=10, stateful_step_count=30, deadline=None)
TestScheduleLedger = ScheduleLedger.TestCase
TestPacedScheduleLedger = PacedScheduleLedger.TestCase
