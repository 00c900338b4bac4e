"""Erasure in deliver: the directory of a user, and the claims and outcomes of what has ended.

The command waits for its turn among the notifications of its user, so that none of them is under way, and then until
everything that was taken before it in both outboxes is done: its commit is the one that also passes those records.
Before, a crash would have them read once more, and without their rows they would be new.

What waits for a further attempt keeps its row, which says what may have been sent, and the places of the caps keep
theirs: the promise needs them, they hold no content, and both run out by themselves. When deliver is done, the command
goes on to every partition of schedule, by way of suppress: behind all that deliver had put on that way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from streams.stages.deliver_entry import Entry
from streams.stages.delivery_rows import STATE_PREFIX, devices_key, read_devices
from streams.stages.directory_rows import preferences_key, profile_key
from streams.stages.forgetting import ROWS_MAX, Forget, rows_of_user, write_answer, write_forget

if TYPE_CHECKING:
    from streams.stages.deliver import DeliverLane
    from streams.stages.deliver_step import DeliverStep


class Forgetting(NamedTuple):
    """A command whose turn has come. `until`: how far the outboxes had been taken by then."""

    entry: Entry
    forget: Forget
    until: Mapping[str, int]


def forget_user(work: DeliverStep, lane: DeliverLane, forget: Forget) -> None:
    """Do one round; the answer comes with the last one."""
    removed: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    after: bytes | None = b""
    if forget.round == 0:
        _forget_directory(work, lane, forget, removed)
    else:
        table = lane.tables.deliveries
        rows, after = rows_of_user(table, lane.partition, STATE_PREFIX, forget.user, forget.after, ROWS_MAX)
        for key, _ in rows:
            kind = "notifications" if work.drop_concluded(key) else "under_way"
            (removed if kind == "notifications" else kept)[kind] += 1
        if after is None:
            kept["cap_places"] = len(work.caps.places(forget.user))
            done = forget.next(b"", removed, kept)
            answers = lane.topics.answers
            value = write_answer(lane.codec, done, "deliver", lane.partition, work.now, answers)
            work.step.emit(answers, lane.partition, forget.user, value)
            _pass_on(work, lane, forget)
            return
    topic = lane.topics.device_changes
    again = write_forget(lane.codec, forget.next(after or b"", removed, kept), topic)
    work.step.emit(topic, lane.partition, forget.user, again)


def _pass_on(work: DeliverStep, lane: DeliverLane, forget: Forget) -> None:
    topic = lane.topics.verdicts
    value = write_forget(lane.codec, forget.first(), topic)
    for partition in range(lane.settings.partitions):
        work.step.emit(topic, partition, forget.user, value)


def _forget_directory(work: DeliverStep, lane: DeliverLane, forget: Forget, removed: Counter[str]) -> None:
    """Remove the rows, and what the compacted topics hold: also what was refused there, and is no row."""
    user, topics = forget.user, lane.topics
    keys = [devices_key(user), preferences_key(user), profile_key(user)]
    devices, preferences, profile = work.directory_rows(keys)
    removed["devices"] = len(read_devices(devices))
    removed["preferences"] = int(preferences is not None)
    removed["profiles"] = int(profile is not None)
    work.devices.erase(user, forget.source)
    if lane.settings.profiles is not None:
        lane.settings.profiles.forget(user.decode())
    for key, topic in zip(keys[1:], (topics.preferences, topics.profiles), strict=True):
        work.put_directory(key, None)
        work.step.emit(topic, lane.partition, user, None)
