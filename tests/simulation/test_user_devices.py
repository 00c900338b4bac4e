"""What the lane writes back to `devices`, where it meets what others write there; each race drawn out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.keys import partition_of
from streams.stages.dead_letters import VALUE_BYTES_MAX
from streams.stages.delivery_rows import write_devices
from streams.stages.user_devices import BY_HEADER
from tests.simulation.directory_partition import CODEC, TOPICS, DirectoryPartition, change, device
from tests.simulation.memory_log import MemoryLog

NOW = 1_700_000_000_000
CHANGES, WHOLE = (TOPICS.device_changes,), (TOPICS.devices,)


def clock() -> int:
    """It stands still."""
    return NOW


@pytest.fixture
def log() -> MemoryLog:
    """An empty one."""
    return MemoryLog()


@pytest.fixture
def partition(log: MemoryLog) -> DirectoryPartition:
    """A partition whose user `u` has a phone."""
    found = DirectoryPartition(log, clock)
    whole(log, "u", "phone")
    found.settle()
    return found


def whole(log: MemoryLog, user: str, *device_ids: str, timestamp: int = NOW) -> None:
    """Others write all devices of a user."""
    value = write_devices(user, [device(each) for each in device_ids])
    log.append(TOPICS.devices, 0, user.encode(), value, [], timestamp)


def register(log: MemoryLog, user: str, device_id: str, partition: int = 0) -> None:
    """Somebody registers a device."""
    value = change(user, device_id, NOW, address=device_id)
    log.append(TOPICS.device_changes, partition, user.encode(), value, [], NOW)


def ids(partition: DirectoryPartition, user: str = "u") -> list[str]:
    """The devices that the partition knows."""
    return [each.device_id for each in partition.known(user)]


def said(partition: DirectoryPartition, user: str = "u") -> list[str]:
    """The devices that the topic ends with."""
    return [each.device_id for each in partition.said().get(user, [])]


def test_an_own_record_that_comes_back_late_does_not_undo_what_came_after(
    log: MemoryLog, partition: DirectoryPartition
) -> None:
    """It is of a past that the row has left.

    own 1   own 2   read 1          read 2
    |-------|-------|---------------|
    +pad    +watch  passed over     nothing is on its way any more
    """
    for device_id in ("pad", "watch"):
        register(log, "u", device_id)
        partition.step(CHANGES)
    partition.step(WHOLE, records_max=1)
    assert ids(partition) == ["phone", "pad", "watch"]
    assert partition.echoes() == 1
    partition.settle()
    assert ids(partition) == said(partition) == ["phone", "pad", "watch"]
    assert partition.echoes() == 0


def test_what_others_write_wins_also_where_an_own_record_stands_behind_it(
    log: MemoryLog, partition: DirectoryPartition
) -> None:
    """The change was decided before it was read, and written after it: said once more, the topic ends as the table.

    theirs   own 1 (without it)   read theirs → own 2   read 1   read 2
    |--------|--------------------|---------------------|--------|
    """
    whole(log, "u", "laptop")
    register(log, "u", "pad")
    partition.step(CHANGES)
    assert ids(partition) == said(partition) == ["phone", "pad"]
    partition.step(WHOLE, records_max=1)
    assert ids(partition) == said(partition) == ["laptop"]
    partition.settle()
    assert ids(partition) == said(partition) == ["laptop"]


def test_who_is_removed_while_a_change_is_on_its_way_leaves_nothing_behind(
    log: MemoryLog, partition: DirectoryPartition
) -> None:
    """The own record behind the tombstone would bring the user back; the topic ends with a tombstone again."""
    log.append(TOPICS.devices, 0, b"u", None, [], NOW)
    register(log, "u", "pad")
    partition.step(CHANGES)
    partition.settle()
    assert partition.table.rows == {}
    assert log.records(TOPICS.devices)[-1].value is None


def test_who_has_no_device_left_is_said_to_have_none(log: MemoryLog, partition: DirectoryPartition) -> None:
    """An empty list, which is not forgotten after a day as a tombstone is; and no row."""
    log.append(TOPICS.device_changes, 0, b"u", change("u", "phone", NOW), [], NOW)
    partition.settle()
    assert partition.table.rows == {}
    last = log.records(TOPICS.devices)[-1]
    assert CODEC.decode(last.value, ("Devices",)).record == {"user_id": "u", "devices": []}


def test_one_step_with_many_changes_of_a_user_writes_back_once(log: MemoryLog, partition: DirectoryPartition) -> None:
    """What it ends with."""
    for number in range(50):
        register(log, "u", f"device-{number}")
    partition.step(CHANGES)
    records = [record for record in log.records(TOPICS.devices) if dict(record.headers).get(BY_HEADER)]
    assert len(records) == 1
    assert len(said(partition)) == 51


def test_a_topic_that_is_made_anew_is_read_also_where_a_change_was_on_its_way(
    log: MemoryLog, partition: DirectoryPartition
) -> None:
    """Its offsets begin at 0 again, before what the echo has seen; its times do not."""
    register(log, "u", "pad")
    partition.step(CHANGES)
    log.partitions[TOPICS.devices, 0].clear()
    del log.committed[TOPICS.devices, 0]
    whole(log, "u", "old", timestamp=NOW)  # as old as what is known: taken for a record that was read before
    whole(log, "u", "new", timestamp=NOW + 1)
    partition.take_over()
    partition.settle()
    assert ids(partition) == said(partition) == ["new"]


def test_two_systems_on_one_topic_do_not_answer_each_other_for_ever(log: MemoryLog) -> None:
    """While one takes over from the other; what a lane of either wrote is not what others wrote."""
    one, other = DirectoryPartition(log, clock), DirectoryPartition(log, clock)
    other.lane.topics = other.lane.topics.with_prefix("", app_id="other")
    other.table.changelog = "other-changelog"
    mine: dict[tuple[str, int], int] = {}
    for number in range(20):
        register(log, "u", f"device-{number % 3}-{number}")
        if number % 5 == 0:
            whole(log, "u", "laptop")
        for system in (one, other):
            log.committed, mine = mine, log.committed
            system.step(CHANGES if number % 2 else WHOLE, records_max=1 + number % 3)
    end = log.end(TOPICS.devices, 0)
    for system in (one, other, one, other):
        log.committed, mine = mine, log.committed
        system.settle()
    assert log.end(TOPICS.devices, 0) - end < 20


def test_what_a_lane_of_another_system_wrote_before_is_read_like_any_record(log: MemoryLog) -> None:
    """A new app id reads the topic from its beginning; what is on its way is known to who wrote it only."""
    old = DirectoryPartition(log, clock)
    whole(log, "u", "phone")
    old.settle()
    register(log, "u", "pad")
    old.step(CHANGES)
    log.committed.clear()
    new = DirectoryPartition(log, clock)
    new.lane.topics = new.lane.topics.with_prefix("", app_id="new")
    new.step(WHOLE)
    assert ids(new) == ["phone", "pad"]
    new.settle()
    assert ids(new) == ["phone", "pad"]


def user_of(partition: int) -> str:
    """A user whose partition, of two, is this one."""
    return next(user for user in map(str, range(99)) if partition_of(user.encode(), 2) == partition)


def test_a_change_in_the_wrong_partition_is_sent_on_and_a_whole_record_is_a_dead_letter(log: MemoryLog) -> None:
    """A change is decided where the user's devices are; a whole record that is sent on could replace a later one."""
    partition = DirectoryPartition(log, clock, partitions=2)
    stranger, own = user_of(1), user_of(0)
    register(log, stranger, "phone")
    register(log, own, "phone")
    whole(log, stranger, "phone")
    partition.settle()
    assert list(partition.all_known()) == [own]
    [sent_on] = [each for each in log.partitions[TOPICS.device_changes, 1] if each is not None]
    assert sent_on.value == log.records(TOPICS.device_changes)[0].value
    [letter] = log.records(TOPICS.dead_letters)
    record = CODEC.decode(letter.value, ("DeadLetter",)).record
    assert (record["code"], record["topic"]) == ("WRONG_PARTITION", TOPICS.devices)
    assert "murmur2" in record["reason"]


@pytest.mark.parametrize("bring", ["change", "whole"])
def test_more_than_a_record_can_hold_is_a_dead_letter(
    log: MemoryLog, partition: DirectoryPartition, bring: str
) -> None:
    """And the next change is decided: nothing that cannot be written stops the lane."""
    address = "a" * 4_000
    partition.lane.settings = replace(partition.lane.settings, devices_max=1_000)
    if bring == "whole":
        listed = [device(f"d{number}", f"{address}{number}") for number in range(VALUE_BYTES_MAX // 4_000)]
        log.append(TOPICS.devices, 0, b"u", write_devices("u", listed), [], NOW)
    else:
        for number in range(VALUE_BYTES_MAX // 4_000):
            value = change("u", f"d{number}", NOW, address=f"{address}{number}")
            log.append(TOPICS.device_changes, 0, b"u", value, [], NOW)
    register(log, "u", "d0")
    partition.settle()
    letters = [CODEC.decode(letter.value, ("DeadLetter",)).record for letter in log.records(TOPICS.dead_letters)]
    assert letters and {letter["code"] for letter in letters} == {"TOO_LARGE"}
    assert "d0" in ids(partition)
