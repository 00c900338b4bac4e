"""suppress and schedule over crashes: whatever is lost and read again, each event ends once and each window holds."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.codec import Codec
from schemas.keys import partition_of, slot_key
from streams.policies.suppression import SlotPolicy
from streams.stages.blocks import BLOCK_PREFIX, read_block
from streams.stages.schedule import ScheduleDecider
from streams.stages.schedule_table import DEFERRALS, INDEX, LEDGER_KEY, ScheduleTable
from streams.stages.slots_table import SlotsTable, id_key
from streams.stages.suppress import SuppressDecider
from streams.topics import TopicNames
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import Crash, StagePartition
from tests.simulation.tables import folded_rows, local_rows, new_table, unstarted_app

PARTITIONS = 2
DAY_MS = 86_400_000
TOPICS = TopicNames.with_prefix("")
CODEC = Codec()
POLICIES = {
    b"short": SlotPolicy(window_ms=1_000, limit=1, send_within_ms=100, grace_ms=30, skew_ms=5),
    b"day": SlotPolicy(window_ms=DAY_MS, limit=1, send_within_ms=100, grace_ms=30, skew_ms=5),
    b"pair": SlotPolicy(window_ms=1_000, limit=2, send_within_ms=100, grace_ms=30, skew_ms=5),
}
ENDINGS = {"ADMITTED", "SUPPRESSED", "DUPLICATE", "EXPIRED", "DEAD"}  # of suppress; deliver goes on from ADMITTED

USERS = st.sampled_from(["u1", "u2", "u3"])
TYPES = st.sampled_from(["short", "short", "day", "pair", "unknown"])
CRASHES: st.SearchStrategy[Crash] = st.sampled_from(["none", "none", "before the commit", "after the commit"])
STAGES = st.sampled_from([(stage, partition) for stage in ("suppress", "schedule") for partition in range(PARTITIONS)])


def policy_of(slot: bytes) -> SlotPolicy | None:
    """The rules of the types above, and none for any other."""
    return POLICIES.get(slot.rpartition(b":")[2])


class CrashReplay(RuleBasedStateMachine):
    """Two partitions of both stages over one log; `deliver` is a rule that says what became of a push."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.log = MemoryLog()
        self.now = 1_700_000_000_000
        app = unstarted_app(self.directory, PARTITIONS)
        slots, schedule = new_table(app, SlotsTable, "slots"), new_table(app, ScheduleTable, "schedule")
        self.stages: dict[tuple[str, int], StagePartition] = {}
        for partition in range(PARTITIONS):
            self.stages["suppress", partition] = self._suppress(partition, slots)
            self.stages["schedule", partition] = self._schedule(partition, schedule)
        self.outbox_read: Counter[int] = Counter()
        self.admitted: dict[tuple[bytes, str], dict[str, Any]] = {}
        self.sends: dict[bytes, list[int]] = defaultdict(list)
        self.held: Counter[tuple[int, int]] = Counter()

    def _suppress(self, partition: int, table: SlotsTable) -> StagePartition:
        return StagePartition(
            self.log,
            (TOPICS.notifications, TOPICS.due, TOPICS.verdicts),
            partition,
            table,
            lambda: SuppressDecider(partition, PARTITIONS, table, TOPICS, policy_of, CODEC),
            lambda: self.now,
        )

    def _schedule(self, partition: int, table: ScheduleTable) -> StagePartition:
        return StagePartition(
            self.log,
            (TOPICS.scheduled,),
            partition,
            table,
            lambda: ScheduleDecider(partition, PARTITIONS, table, TOPICS, CODEC),
            lambda: self.now,
        )

    @initialize(offset=st.integers(0, 999))
    def start_at(self, offset: int) -> None:
        """Start anywhere within a second."""
        self.now += offset

    @rule(
        user=USERS,
        type=TYPES,
        number=st.integers(0, 6),
        send_in=st.none() | st.sampled_from([-1, 0, 1, 300, 2_000, 2 * DAY_MS]),
        expires_in=st.none() | st.sampled_from([-1, 0, 50, 1_500]),
        astray=st.booleans(),
        local=st.sampled_from([None, None, "UTC", "of its user"]),
    )
    def event(
        self,
        user: str,
        type: str,
        number: int,
        send_in: int | None,
        expires_in: int | None,
        astray: bool,
        local: str | None,
    ) -> None:
        """An event arrives; `astray`: its producer has another partitioner; `local`: it names a local time."""
        slot = slot_key(user, type)
        partition = (partition_of(slot, PARTITIONS) + astray) % PARTITIONS
        notification = {
            "notification_id": f"n{number}",
            "user_id": user,
            "type": type,
            "created_at": self.now,
            "send_at": None if send_in is None else self.now + send_in,
            "expires_at": None if expires_in is None else self.now + expires_in,
        }
        if local is not None and send_in is not None:
            at = datetime.fromtimestamp((self.now + send_in) // 1000, UTC)
            notification |= {"send_at": None, "send_at_local": at.strftime("%Y-%m-%dT%H:%M:%S")}
            notification["time_zone"] = "UTC" if local == "UTC" else None
        self.log.append(TOPICS.notifications, partition, slot, CODEC.encode("Notification", notification), [])

    @rule(partition=st.integers(0, PARTITIONS - 1), value=st.sampled_from([None, b"", b"\xc3\x01garbage"]))
    def poison(self, partition: int, value: bytes | None) -> None:
        """A record arrives that nobody can read."""
        self.log.append(TOPICS.notifications, partition, b"u1:short", value, [])

    @rule(ms=st.sampled_from([1, 40, 99, 131, 500, 1_000, 1_135, DAY_MS - 1_000, DAY_MS]))
    def time_passes(self, ms: int) -> None:
        """The clock goes on."""
        self.now += ms

    @rule(ms=st.integers(1, 4))
    def clock_goes_back(self, ms: int) -> None:
        """The next owner's clock is behind, by less than the skew that is allowed for."""
        self.now -= ms

    @rule(stage=STAGES, crash=CRASHES, records_max=st.sampled_from([1, 3, 1_000]))
    def work(self, stage: tuple[str, int], crash: Crash, records_max: int) -> None:
        """A stage takes one step, or dies in it and is taken over."""
        self.stages[stage].step(crash, records_max)

    @rule(stage=STAGES, disk_lost=st.booleans())
    def take_over(self, stage: tuple[str, int], disk_lost: bool) -> None:
        """A partition moves to another worker, with or without its local rows."""
        self.stages[stage].take_over(disk_lost)

    @rule(
        partition=st.integers(0, PARTITIONS - 1),
        outcome=st.sampled_from(["ACCEPTED", "UNKNOWN", "FREED", "LOST", "HELD"]),
        after=st.integers(0, 100),
        verdicts=st.integers(1, 2),
    )
    def deliver(self, partition: int, outcome: str, after: int, verdicts: int) -> None:
        """The next admitted notification reaches its provider before `send_by`, or not; the verdict may come twice.

        HELD: quiet hours hold it back for a while. A question for the user's zone is answered.
        """
        self._deliver(partition, outcome, after, verdicts)

    def _deliver(self, partition: int, outcome: str, after: int, verdicts: int) -> None:
        chunk = self.log.chunk(TOPICS.outbox, partition, self.outbox_read[partition], 1)
        if chunk is None:
            return
        self.outbox_read[partition] = chunk.end
        for record in chunk.records:
            name, delivery = CODEC.decode(record.value, ("Delivery", "LocalDeferral"))
            notification = delivery["notification"]
            slot = slot_key(notification["user_id"], notification["type"])
            if name == "LocalDeferral" or outcome == "HELD":
                self._defer(TOPICS.scheduled if name == "LocalDeferral" else TOPICS.verdicts, slot, delivery, after)
                continue
            sent_at = min(delivery["send_by"], delivery["admitted_at"] + after)
            if outcome != "FREED":
                self.sends[slot].append(sent_at)
            if outcome == "LOST":
                continue
            # A push is reported after it was sent: never before the present of whoever decides on it.
            self.now = max(self.now, sent_at)
            verdict = {
                "notification_id": notification["notification_id"],
                "user_id": notification["user_id"],
                "type": notification["type"],
                "outcome": outcome,
                "at": sent_at,
            }
            value = CODEC.encode("Verdict", verdict)
            for _ in range(verdicts):
                self.log.append(TOPICS.verdicts, partition_of(slot, PARTITIONS), slot, value, [])

    def _defer(self, topic: str, slot: bytes, delivery: dict[str, Any], after: int) -> None:
        origin = {name: delivery[name] for name in ("origin_partition", "origin_offset")}
        deferral = {"due_at": self.now + 20 * after, **origin, "notification": delivery["notification"]}
        self.log.append(topic, partition_of(slot, PARTITIONS), slot, CODEC.encode("Deferral", deferral), [])
        if topic == TOPICS.verdicts:
            self.held[delivery["origin_partition"], delivery["origin_offset"]] += 1

    def _statuses(self) -> list[dict[str, Any]]:
        return [CODEC.decode(record.value, ("Status",)).record for record in self.log.records(TOPICS.statuses)]

    def _ends(self) -> Counter[tuple[int, int]]:
        ends: Counter[tuple[int, int]] = Counter()
        for status in self._statuses():
            if status["state"] in ENDINGS:
                ends[status["origin_partition"], status["origin_offset"]] += 1
        # To be held back is no end of an event that was admitted, and it may be admitted anew.
        return Counter({origin: count - self.held[origin] for origin, count in ends.items()})

    @invariant()
    def no_event_ends_twice(self) -> None:
        """Exactly once, however often it was read."""
        assert set(self._ends().values()) <= {0, 1}

    @invariant()
    def an_id_is_one_notification_for_a_day(self) -> None:
        """Whatever an id ended as, for 24 h the same id of the same slot is a duplicate of it, over any crash."""
        ended: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for status in self._statuses():
            origin = status["origin_partition"], status["origin_offset"]
            if status["state"] in ("ADMITTED", "SUPPRESSED", "EXPIRED") and not self.held[origin]:
                ended[status["user_id"], status["type"], status["notification_id"]].append(status["at"])
        for name, instants in ended.items():
            instants.sort()
            for first, second in pairwise(instants):
                assert second - first >= DAY_MS, name

    @invariant()
    def admissions_are_told_apart(self) -> None:
        """Held back and admitted anew, a notification has a later instant of admission: deliver goes by it."""
        seen: dict[tuple[bytes | None, str, int, int], list[int]] = defaultdict(list)
        for record in self.log.records(TOPICS.outbox):
            name, delivery = CODEC.decode(record.value, ("Delivery", "LocalDeferral"))
            origin = delivery["origin_partition"], delivery["origin_offset"]
            at = delivery["admitted_at" if name == "Delivery" else "asked_at"]
            seen[record.key, delivery["notification"]["notification_id"], *origin].append(at)
        for whose, instants in seen.items():
            assert all(first < second for first, second in pairwise(instants)), whose

    @invariant()
    def windows_hold(self) -> None:
        """P1 at the provider, for each slot."""
        for slot, sends in self.sends.items():
            policy = policy_of(slot)
            assert policy is not None
            ordered = sorted(sends)
            for first, beyond in zip(ordered, ordered[policy.limit :], strict=False):
                assert beyond - first >= policy.window_ms, (slot, ordered)

    @invariant()
    def local_rows_are_what_the_changelog_says(self) -> None:
        """Also after a crash between commit and apply, and after the disk was lost; the ids of blocks unfolded."""
        for (name, partition), stage in self.stages.items():
            expected = folded_rows(stage.table, self.log, partition)
            expected |= _unfolded(expected)
            if name == "schedule":
                expected |= {INDEX + key[17:]: key[1:17] for key in expected if key.startswith(DEFERRALS)}
            assert local_rows(stage.table, partition) == expected

    def teardown(self) -> None:
        """Let everything come to its end; then each event has one, and nothing is remembered any more (P4)."""
        try:
            self._finish()
        finally:
            for stage in self.stages.values():
                stage.table.store.close_partition(stage.partition)
            shutil.rmtree(self.directory)

    def _finish(self) -> None:
        for _ in range(5):  # asked for, deferred by two days, released, swept a day later, in both stages
            self._run_dry()
            for partition in range(PARTITIONS):
                while self.log.chunk(TOPICS.outbox, partition, self.outbox_read[partition], 1) is not None:
                    self._deliver(partition, "LOST", 0, 1)
            self._run_dry()
            self.now += 2 * DAY_MS + 10_000
        self._run_dry()
        events = {
            (partition, record.offset)
            for (topic, partition), log in self.log.partitions.items()
            if topic == TOPICS.notifications
            for record in log
            if record is not None and not record.headers  # those with headers were routed, not produced
        }
        assert self._ends() == Counter(dict.fromkeys(events, 1))
        for (_, partition), stage in self.stages.items():
            assert set(local_rows(stage.table, partition)) <= {LEDGER_KEY}
            assert set(folded_rows(stage.table, self.log, partition)) <= {LEDGER_KEY}

    def _run_dry(self) -> None:
        for _ in range(1_000):
            busy = [stage for stage in self.stages.values() if stage.has_work()]
            if not busy:
                return
            for stage in busy:
                stage.step()
        raise AssertionError("the stages never come to rest")


def _unfolded(rows: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The ids of all blocks that are kept; where several have the same one, the newest counts."""
    blocks = [read_block(row) for key, row in rows.items() if key.startswith(BLOCK_PREFIX)]
    return {
        id_key(digest): block.at.to_bytes(8, "big") + mark
        for block in sorted(blocks, key=lambda block: block.at)
        for digest, mark in block.digests()
    }


CrashReplay.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestCrashReplay = CrashReplay.TestCase
