"""The devices of users over any order of changes, whole records, gone addresses, crashes and reading anew."""

from __future__ import annotations

from typing import cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from connectors.outcome import Device
from streams.lane.table import LaneTable
from streams.stages.delivery_rows import write_devices
from tests.simulation.directory_partition import TOPICS, DirectoryPartition, change, device
from tests.simulation.memory_log import MemoryLog
from tests.simulation.stage_partition import Crash
from tests.simulation.tables import folded_rows

DEVICES_MAX = 3
USERS = st.sampled_from(["u1", "u1", "u1", "u2"])
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
ADDRESSES = st.sampled_from(["1", "2", "3", "4", "5"])
CRASHES: st.SearchStrategy[Crash] = st.sampled_from(["none", "none", "none", "before the commit", "after the commit"])
AGO = st.sampled_from([0, 1_501, 4_507])  # of which no two lead to the same instant: of equals either may give way
ORDERS = st.sampled_from(
    [(TOPICS.devices,), (TOPICS.device_changes,), (TOPICS.devices, TOPICS.device_changes)]
    + [(TOPICS.device_changes, TOPICS.devices)] * 2
)

Known = dict[str, tuple[str, int]]  # device id → address, registered at


class UserDevices(RuleBasedStateMachine):
    """One partition. The model does at once what the lane does in the order in which it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_700_000_000_000
        self.log = MemoryLog()
        self.partition = DirectoryPartition(self.log, lambda: self.now, DEVICES_MAX)
        self.model: dict[str, Known] = {}
        self.read = {TOPICS.devices: 0, TOPICS.device_changes: 0}
        self.asked: dict[tuple[str, int], tuple[str, str, Known | tuple[str, int] | None]] = {}
        self.snapshots: list[tuple[str, Device]] = []
        self.known_up_to = 0

    def teardown(self) -> None:
        """In the end the table, the topic and whoever builds a table from the topic alone say the same."""
        self.partition.settle()
        self._model_reads(self.partition.positions)
        self.rows_are_those_of_the_model()
        assert self.partition.said() == self.partition.all_known()
        assert self.partition.echoes() == 0
        rebuilt = MemoryLog()
        rebuilt.partitions[TOPICS.devices, 0] = list(self.log.partitions[TOPICS.devices, 0])
        other = DirectoryPartition(rebuilt, lambda: self.now, DEVICES_MAX)
        other.settle()
        assert other.all_known() == self.partition.all_known()
        assert rebuilt.end(TOPICS.devices, 0) == self.log.end(TOPICS.devices, 0), "a rebuild has nothing to add"

    def _moment(self) -> int:
        """A time that nothing else has."""
        self.now = (self.now // 1_000 + 1) * 1_000
        return self.now

    @rule(user=USERS, devices=st.none() | st.lists(st.tuples(IDS, ADDRESSES), max_size=4))
    def whole(self, user: str, devices: list[tuple[str, str]] | None) -> None:
        """Somebody writes all devices of a user, or removes the user."""
        at = self._moment()
        known: Known = {}
        for device_id, address in devices or []:
            if device_id not in known and address not in {each[0] for each in known.values()}:
                known[device_id] = (address, at - len(known))
        listed = [device(device_id, *each) for device_id, each in known.items()]
        value = None if devices is None else write_devices(user, listed)
        offset = self.log.append(TOPICS.devices, 0, user.encode(), value, [], self.now)
        self.asked[TOPICS.devices, offset] = (user, "", known)

    @rule(user=USERS, device_id=IDS, address=ADDRESSES, ago=AGO)
    def register(self, user: str, device_id: str, address: str, ago: int) -> None:
        """Somebody registers a device, as of now or late."""
        at = self._moment()
        value = change(user, device_id, at, address=address, registered_at=at - ago)
        offset = self.log.append(TOPICS.device_changes, 0, user.encode(), value, [], self.now)
        self.asked[TOPICS.device_changes, offset] = (user, device_id, (address, at - ago))

    @rule(user=USERS, device_id=IDS)
    def remove(self, user: str, device_id: str) -> None:
        """Somebody removes a device."""
        value = change(user, device_id, self._moment())
        offset = self.log.append(TOPICS.device_changes, 0, user.encode(), value, [], self.now)
        self.asked[TOPICS.device_changes, offset] = (user, device_id, None)

    @rule(user=USERS, number=st.integers(0, 2))
    def push_leaves(self, user: str, number: int) -> None:
        """A push is under way to a device as it is now."""
        known = self.partition.known(user)
        if number < len(known):
            self.snapshots.append((user, known[number]))

    @rule(order=ORDERS, records_max=st.sampled_from([1, 2, 1_000]), crash=CRASHES, gone=st.booleans())
    def step(self, order: tuple[str, ...], records_max: int, crash: Crash, gone: bool) -> None:
        """The lane takes one step, or dies in it; a push that was under way may have met an address that is gone."""
        report, self.now = None, self.now + 1
        if gone and self.snapshots and not self.partition.held:
            user, pushed = self.snapshots.pop(0)
            report = (user, pushed, self._moment())
            if crash != "before the commit":
                known = self.model.get(user, {})
                for device_id, (address, at) in list(known.items()):
                    if address == pushed.address and at <= pushed.registered_at_ms:
                        del known[device_id]
        self.partition.step(order, records_max, crash, report)
        self._model_reads({topic: self.log.committed.get((topic, 0), 0) for topic in self.read}, order)

    def _model_reads(self, positions: dict[str, int], order: tuple[str, ...] = ()) -> None:
        """Do what was read since, once."""
        for topic in order or tuple(self.read):
            for offset in range(self.read[topic], positions[topic]):
                if (topic, offset) in self.asked:
                    self._model_does(topic, *self.asked.pop((topic, offset)))
            self.read[topic] = max(self.read[topic], positions[topic])

    def _model_does(self, topic: str, user: str, device_id: str, what: Known | tuple[str, int] | None) -> None:
        if topic == TOPICS.devices:
            assert isinstance(what, dict)
            self.model[user] = dict(what)
            return
        known = self.model.setdefault(user, {})
        if what is None:
            known.pop(device_id, None)
            return
        assert isinstance(what, tuple)
        address, at = what
        same = [each for each, (its, _) in known.items() if each == device_id or its == address]
        if any(known[each][1] > at for each in same):
            return
        for each in same:
            del known[each]
        known[device_id] = (address, at)
        if len(known) > DEVICES_MAX and not same:
            del known[min(known, key=lambda each: known[each][1])]

    @rule(disk_lost=st.booleans())
    def take_over(self, disk_lost: bool) -> None:
        """The partition moves to another worker."""
        self.partition.take_over(disk_lost)

    @rule()
    def forget_offsets(self) -> None:
        """`devices` is read from its beginning, over rows that know all of it."""
        self.partition.forget_offsets()

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        """As soon as nothing is read for a second time."""
        if self.partition.positions[TOPICS.devices] < self.read[TOPICS.devices]:
            return
        found = {
            user: {each.device_id: (each.address, each.registered_at_ms) for each in devices}
            for user, devices in self.partition.all_known().items()
        }
        assert found == {user: known for user, known in self.model.items() if known}

    @invariant()
    def the_changelog_says_what_the_disk_says(self) -> None:
        """Recovery would end with the same rows."""
        table = self.partition.table
        assert table.rows == folded_rows(cast(LaneTable, table), self.log, 0)


TestUserDevices = UserDevices.TestCase
TestUserDevices.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
