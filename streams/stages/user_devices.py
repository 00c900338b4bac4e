"""What one step of deliver does to the devices of users: whole records, single changes, addresses that are gone.

A change is written back to `devices` as a whole record, in the transaction that makes it, so that this topic alone
always tells all. The lane reads there what it wrote itself, and by then may have changed the row again: until its last
record has come back, which its row of echoes says, it passes over its own. What others write always counts, at once;
where own records are still on their way then, they may stand behind it in the topic, so it is written once more.

    u <user>  the devices            e <user>  own records of this user are on their way
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from connectors.outcome import Device
from schemas.codec import Codec
from schemas.keys import partition_of
from schemas.poison import PoisonError
from streams.lane.chunk import Record
from streams.lane.step import Headers, Step
from streams.policies.registering import Changed, Unchanged, register, remove, remove_gone
from streams.stages.dead_letters import VALUE_BYTES_MAX
from streams.stages.delivery_rows import devices_key, read_devices, write_devices
from streams.stages.device_change import DeviceChange, read_device_change
from streams.stages.directory_rows import directory_row
from streams.stages.forgetting import Forget, is_forget, read_forget

if TYPE_CHECKING:
    from streams.stages.deliver import DeliverLane
    from streams.stages.deliver_step import DeliverStep

ECHO_PREFIX = b"e"
BY_HEADER = "ringonce-by"  # on records of `devices` that a lane wrote: <app id>:<number>
CAUSE_HEADER = "ringonce-cause"  # why it did, for people

_codec = Codec()


class Echo(NamedTuple):
    """The fields of DevicesEcho: which own record was the last one, written when `devices` was read so far."""

    number: int
    position: int
    at: int


class Written(NamedTuple):
    """What is to be written back for a user. `is_change`: of ours; else others wrote it."""

    echo: Echo
    cause: bytes
    is_change: bool


def echo_key(user: bytes) -> bytes:
    """Return the key of a user's echo."""
    return ECHO_PREFIX + user


def read_echo(row: bytes | None) -> Echo | None:
    """Read an echo; None: everything that the lane wrote for this user has been read again."""
    return None if row is None else Echo(**_codec.decode_own(row, "DevicesEcho"))


def written_by(record: Record) -> bytes | None:
    """Return which lane wrote a record of `devices`, and its number; None: somebody else did."""
    return next((value for name, value in record.headers if name == BY_HEADER and value), None)


class UserDevices:
    """Collects what becomes of devices in one step."""

    def __init__(self, work: DeliverStep, lane: DeliverLane) -> None:
        self._of: DeliverStep | None = work
        self._lane = lane
        self._written: dict[bytes, Written] = {}
        self.counts: Counter[str] = Counter()

    # --- whole records

    @property
    def _work(self) -> DeliverStep:
        assert self._of is not None, "the step has not been finished"
        return self._of

    def take_whole(self, records: Sequence[Record]) -> None:
        """Take records of `devices`."""
        users = [record.key for record in records if record.key is not None]
        echoes = self._work.directory_rows([echo_key(user) for user in users]) if users else []
        on_their_way = {user for user, row in zip(users, echoes, strict=True) if row is not None}
        for record in records:
            try:
                self._take_whole(record, on_their_way)
            except PoisonError as error:
                self._work.poison(error, record, self._lane.topics.devices)

    def _take_whole(self, record: Record, on_their_way: set[bytes]) -> None:
        row = directory_row(record, self._lane.codec, "Devices")
        user = record.key
        assert user is not None, "directory_row refuses it"
        partition = partition_of(user, self._lane.settings.partitions)
        if partition != self._lane.partition:
            raise PoisonError(
                "WRONG_PARTITION", f"the user's is {partition}: produce with Kafka's own partitioner, murmur2"
            )
        by, echo = written_by(record), None
        if user in on_their_way:
            echo = read_echo(self._work.directory_rows([echo_key(user)])[0])
        if echo is None:
            self._work.put_directory(devices_key(user), row)
        elif by is not None:
            if by == self._by(echo.number):
                self._work.put_directory(echo_key(user), None)
        elif record.offset >= echo.position or record.timestamp > echo.at:
            self._work.put_directory(devices_key(user), row)
            self._write_back(user, "written by others while a change was on its way", is_change=False)

    # --- changes

    def take_changes(self, records: Sequence[Record]) -> None:
        """Take records of `device-changes`."""
        topics, partitions = self._lane.topics, self._lane.settings.partitions
        for record in records:
            try:
                change = self._read(record)
                partition = partition_of(change.user, partitions)
                if partition == self._lane.partition:
                    if isinstance(change, Forget):
                        self._lane.queue_forget(record, change)
                    else:
                        self._change(change)
                else:  # its producer has another partitioner
                    headers = [(name, value or b"") for name, value in record.headers]
                    self._work.step.emit(topics.device_changes, partition, record.key, record.value, headers)
            except PoisonError as error:
                self._work.poison(error, record, topics.device_changes)

    def _read(self, record: Record) -> DeviceChange | Forget:
        codec = self._lane.codec
        if is_forget(codec, record.value):
            return read_forget(codec.decode(record.value, ("Forget",)).record, record.key)
        return read_device_change(record, codec, self._work.now)

    def _change(self, change: DeviceChange) -> None:
        known = self._known(change.user)
        if change.device is None:
            decision = remove(known, change.device_id, change.asked_at, self._work.now)
        else:
            decision = register(known, change.device, self._lane.settings.devices_max)
        self._apply(change.user, decision, f"{change.device_id}, {change.source}")

    def gone(self, user: bytes, device: Device, gone_at: int, reason: str) -> tuple[str, int]:
        """Remove an address that its provider no longer knows, unless it was registered again since.

        Returns what is to be said of it beside the reason, and how many devices the user has where it was removed.
        """
        known, pushed_to = self._known(user), device.registered_at_ms
        decision = remove_gone(known, device.provider, device.address, gone_at, pushed_to)
        self._apply(user, decision, f"{device.device_id}, {device.provider.value} says {reason}")
        if isinstance(decision, Unchanged):
            return f"; {decision.reason}", 0
        return "; its address is removed", len(decision.devices)

    def erase(self, user: bytes, source: str) -> None:
        """Remove all devices of a user who is forgotten; on the topic a tombstone stands for it."""
        self._work.put_directory(devices_key(user), None)
        self._write_back(user, f"forgotten: {source}", is_change=False)

    def _known(self, user: bytes) -> list[Device]:
        return read_devices(self._work.directory_rows([devices_key(user)])[0])

    def _apply(self, user: bytes, decision: Changed | Unchanged, of: str) -> None:
        if isinstance(decision, Unchanged):
            self.counts["unchanged"] += 1
            return
        row = write_devices(user.decode(), decision.devices) if decision.devices else None
        if row is not None and len(row) > VALUE_BYTES_MAX:
            raise PoisonError(
                "TOO_LARGE", f"with it the user's devices have {len(row)} bytes, at most {VALUE_BYTES_MAX}"
            )
        self._work.put_directory(devices_key(user), row)
        self._write_back(user, f"{decision.change}: {of}", is_change=True)
        self.counts[decision.change] += 1
        self.counts["given_way"] += decision.given_way

    # --- back to `devices`

    def _write_back(self, user: bytes, cause: str, is_change: bool) -> None:
        """Note that the row is to be written to `devices` at the end of the step, whatever it is by then."""
        work, key = self._work, echo_key(user)
        before = read_echo(work.directory_rows([key])[0])
        # By the time, so that no number comes twice: a record that is read once more is not taken for the last one.
        number = work.now if before is None else max(work.now, before.number + 1)
        echo = Echo(number, self._lane.devices_position, work.now)
        work.put_directory(key, _codec.encode("DevicesEcho", echo._asdict()))
        self._written[user] = Written(echo, cause.encode(errors="replace"), is_change)

    def _by(self, number: int) -> bytes:
        return b"%s:%d" % (self._lane.topics.app_id.encode(), number)

    def finish(self, step: Step) -> None:
        """Add to the step what is written back: one record for each user, which says how it ended."""
        topic, codec = self._lane.topics.devices, self._lane.codec
        for user, (echo, cause, is_change) in self._written.items():
            row = self._work.directory_rows([devices_key(user)])[0]
            devices = {"user_id": user.decode(), "devices": []} if row is None else _codec.decode_own(row, "Devices")
            # Who was removed as a whole leaves nothing behind; who has no device left is said to have none.
            value = codec.encode("Devices", devices, topic) if is_change or row is not None else None
            headers: Headers = [(BY_HEADER, self._by(echo.number)), (CAUSE_HEADER, cause)]
            step.emit(topic, self._lane.partition, user, value, headers)
        # In a cycle with it the step, with every state that it changed, would be left to the garbage collector: ten
        # objects for each push, and a pause of 0.8 s when it came to them.
        self._of = None
