"""Broadcasts over crashes, commands, owners and users that come and go: nobody told twice, nobody who stays missed.

Small steps, so that each broadcast takes many of them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.policies.broadcasting import ENDS, Counts
from streams.stages import broadcast, broadcast_tell
from tests.simulation.broadcast_world import Broadcasts
from tests.simulation.stage_partition import Crash
from tests.simulation.tables import folded_rows, local_rows

PARTITIONS = 2
DAY_MS = 86_400_000
IDS = ("b1", "b2", "ü")
USERS = [f"u{number}" for number in range(12)]
PACES = st.sampled_from([1, 40, 1_000_000])
CRASHES: st.SearchStrategy[Crash] = st.sampled_from(["none", "none", "before the commit", "after the commit"])
WHICH = st.integers(0, PARTITIONS - 1)
LIMITS = ((broadcast_tell, "SEEN_MAX", 3), (broadcast_tell, "COUNTED_MAX", 2), (broadcast, "REMOVED_MAX", 2))


class BroadcastModel(RuleBasedStateMachine):
    """Two partitions of the stage over one log, and one directory."""

    def __init__(self) -> None:
        super().__init__()
        self.before = [(module, name, getattr(module, name)) for module, name, _ in LIMITS]
        for module, name, limit in LIMITS:
            setattr(module, name, limit)
        self.directory = Path(tempfile.mkdtemp())
        self.world = Broadcasts(self.directory, PARTITIONS)
        self.users: set[str] = set()
        self.listed: dict[str, set[str]] = {name: set() for name in IDS}
        self.started: dict[str, str] = {}
        # Who must be told, if it comes to its end: those that have been there since it began.
        self.stay: dict[str, set[str]] = {}
        # Who may be told: those that were there at any time since.
        self.may: dict[str, set[str]] = {}
        self.requests: list[str] = []

    @rule(user=st.sampled_from(USERS))
    def register(self, user: str) -> None:
        """A user gets a device."""
        self.world.register(user)
        self.users.add(user)
        for name, audience in self.started.items():
            if audience == "ALL" or (audience == "FILTER" and user >= "u5"):
                self.may[name].add(user)

    @rule(user=st.sampled_from(USERS))
    def remove(self, user: str) -> None:
        """A user goes."""
        self.world.remove(user)
        self.users.discard(user)
        for name, audience in self.started.items():
            if audience != "LIST":
                self.stay[name].discard(user)

    @rule(name=st.sampled_from(IDS), users=st.lists(st.sampled_from([*USERS, "stranger"]), max_size=6))
    def list_users(self, name: str, users: list[str]) -> None:
        """Users of a list are written, before the start or too late."""
        self.world.list_users(name, users)
        if name not in self.started:
            self.listed[name].update(users)

    @precondition(lambda self: len(self.started) < len(IDS))
    @rule(audience=st.sampled_from(["ALL", "FILTER", "LIST"]), per_second=PACES, which=st.integers(0, 2))
    def start(self, audience: str, per_second: int, which: int) -> None:
        """One that was not started is."""
        left = [name for name in IDS if name not in self.started]
        name = left[which % len(left)]
        filter = "user_id >= 'u5'" if audience == "FILTER" else None
        self.world.start(name, audience, per_second=per_second, filter=filter)
        self.started[name] = audience
        wanted = self.listed[name] if audience == "LIST" else {u for u in self.users if filter is None or u >= "u5"}
        self.stay[name], self.may[name] = set(wanted), set(wanted)

    @precondition(lambda self: bool(self.started))
    @rule(which=st.integers(0, 2))
    def start_again(self, which: int) -> None:
        """Somebody asks once more."""
        name = sorted(self.started)[which % len(self.started)]
        self.world.start(name, "ALL", title="again")

    @rule(name=st.sampled_from(IDS), action=st.sampled_from(["PAUSE", "PAUSE", "RESUME", "RESUME", "CANCEL"]))
    def control(self, name: str, action: str) -> None:
        """Somebody pauses, resumes or cancels."""
        self.requests.append(self.world.control(name, action))

    @rule(ms=st.sampled_from([1, 5, 100, 1_000, 60_000]))
    def time_passes(self, ms: int) -> None:
        """The clock goes on."""
        self.world.now += ms

    @rule(partition=WHICH, crash=CRASHES, records_max=st.sampled_from([1, 3, 1_000]))
    def work(self, partition: int, crash: Crash, records_max: int) -> None:
        """The stage takes one step, or dies in it and is taken over."""
        self.world.step(partition, crash, records_max)

    @rule(partition=WHICH, disk_lost=st.booleans())
    def take_over(self, partition: int, disk_lost: bool) -> None:
        """A partition moves to another worker, with or without its local rows."""
        self.world.stages[partition].take_over(disk_lost)

    # --- what must hold

    @invariant()
    def nobody_is_told_twice(self) -> None:
        """Whatever happens; and nobody that it is not for."""
        for name in self.started:
            told = self.world.told(name)
            assert set(told.values()) <= {1}
            assert set(told) <= self.may[name]

    @invariant()
    def the_counts_are_those_of_the_record(self) -> None:
        """What the partitions say they told is what is on `notifications`."""
        for name in self.started:
            found = [decider.book.find(name) for decider in self.world.deciders]
            counts = Counts()
            for each in found:
                counts = counts if each is None else counts.plus(each.progress.counts)
            assert counts.emitted == sum(self.world.told(name).values())
            assert counts.difference(dry_run=False) == 0
        assert all(decider.teller.difference == 0 for decider in self.world.deciders)

    @invariant()
    def local_rows_are_what_the_changelog_says(self) -> None:
        """Also after a crash between commit and apply, and after the disk was lost."""
        for stage in self.world.stages:
            rows = local_rows(self.world.table, stage.partition)
            assert rows == folded_rows(self.world.table, self.world.log, stage.partition)

    def teardown(self) -> None:
        """Let everything come to its end: it is told in full, said in full, and then forgotten."""
        try:
            self._finish()
        finally:
            for module, name, limit in self.before:
                setattr(module, name, limit)
            self.world.close()
            shutil.rmtree(self.directory)

    def _finish(self) -> None:
        world = self.world
        for name in self.started:
            self.requests.append(world.control(name, "RESUME"))
        world.run(120_000)
        self.nobody_is_told_twice()
        self.the_counts_are_those_of_the_record()
        for name in self.started:
            (total,) = world.totals(name)
            told = set(world.told(name))
            assert total["state"] in ENDS and total["emitted"] == len(told)
            if total["state"] == "DONE":
                assert self.stay[name] <= told
        answers = [(each["request_id"], each["partition"]) for name in IDS for each in world.reports(name)]
        answered = sorted(answer for answer in answers if answer[0] is not None)
        assert answered == sorted((request, number) for request in self.requests for number in range(PARTITIONS))
        world.run(10 * DAY_MS)
        for stage in world.stages:
            assert local_rows(world.table, stage.partition) == {}
            assert folded_rows(world.table, world.log, stage.partition) == {}


BroadcastModel.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestBroadcastModel = BroadcastModel.TestCase
