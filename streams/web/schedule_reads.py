"""What this worker's part of the schedule holds, as JSON: ranges of its rows, never all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.keys import split_slot_key
from streams.publish.schedule_commands import Target
from streams.stages.schedule import ScheduleDecider
from streams.stages.schedule_table import DEFERRALS, RETRIES, Pending, index_key, pending_key, read_index, read_pending
from streams.stages.scheduled_rows import PLAIN_CODEC
from streams.stages.traced_rows import bare
from streams.web.contract.schedule import StretchQuery

INSTANT_MAX = 2**62
ROWS_SCANNED_MAX = 2_000  # of one partition for one request: some 4 ms of the event loop
OF_SLOT_MAX = 1_000
KINDS = {DEFERRALS: "notification", RETRIES: "retry"}


class Stretch(NamedTuple):
    """Due from `since` to before `until`, milliseconds since the epoch; of one type or all, at most so many."""

    since: int
    until: int
    limit: int
    type: str | None


def stretch_of(query: StretchQuery) -> Stretch:
    """Return the stretch that a query names; without an end it has none."""
    until = INSTANT_MAX if query.until is None else query.until
    return Stretch(query.since or 0, until, query.limit, query.type)


def of_slot(decider: ScheduleDecider, slot: bytes) -> list[dict[str, Any]]:
    """Return what is pending of a slot, in due order."""
    found = decider.table.of_slot(decider.partition, slot, OF_SLOT_MAX)
    return sorted((shown(KINDS[prefix], pending) for prefix, pending in found), key=_order)


def of_id(decider: ScheduleDecider, target: Target) -> dict[str, Any] | None:
    """Return one pending notification with all that its event said, None: it is not pending."""
    table, partition, slot, name = decider.table, decider.partition, target.slot, target.notification_id.encode()
    (row,) = table.read(partition, [index_key(slot, name)])
    pending, kind = (
        (table.retry(partition, slot, name), RETRIES) if row is None else (read_index(row, slot, name), DEFERRALS)
    )
    if pending is None:
        return None
    (value,) = table.read(partition, [pending_key(pending, kind)])
    if value is None:
        return None
    record = PLAIN_CODEC.decode(bare(value), ("Deferral", "Retry")).record
    delivery = record.get("delivery")
    whole = record if delivery is None else delivery
    found = {
        **shown(KINDS[kind], pending),
        "origin_partition": whole["origin_partition"],
        "origin_offset": whole["origin_offset"],
        "notification": whole["notification"],
    }
    if delivery is not None:
        found |= {"attempt": delivery["attempt"], "send_by": delivery["send_by"]}
    return found


def of_stretch(deciders: Mapping[int, ScheduleDecider], stretch: Stretch) -> dict[str, Any]:
    """Return what is due within a stretch of time, in due order, over the partitions that this worker has."""
    found: list[dict[str, Any]] = []
    complete_until: int | None = None
    # Without a type each row counts, and one more than are shown tells that there are more.
    rows_max = min(ROWS_SCANNED_MAX, stretch.limit + 1) if stretch.type is None else ROWS_SCANNED_MAX
    for decider in deciders.values():
        for queue, prefix in ((decider.deferrals, DEFERRALS), (decider.retries, RETRIES)):
            # From the front on, where that is later: what lies before it are tombstones.
            start = max(queue.front, prefix + stretch.since.to_bytes(8, "big"))
            end = prefix + min(stretch.until, INSTANT_MAX).to_bytes(8, "big")
            rows = decider.table.scan(decider.partition, start, end, rows_max)
            for key, _ in rows:
                pending = read_pending(key)
                if stretch.type is None or pending.slot.rpartition(b":")[2] == stretch.type.encode():
                    found.append(shown(KINDS[prefix], pending))
            if len(rows) == rows_max:
                last = read_pending(rows[-1][0]).due_at
                complete_until = last if complete_until is None else min(complete_until, last)
    return cut(found, complete_until, stretch.limit, sorted(deciders))


def cut(found: list[dict[str, Any]], complete_until: int | None, limit: int, partitions: list[int]) -> dict[str, Any]:
    """Return the first ones in due order. `complete_until`: only what is due before it is complete; None: all is."""
    found = sorted(found, key=_order)
    if complete_until is not None:
        found = [each for each in found if each["due_at"] <= complete_until]
    if len(found) > limit:
        complete_until = found[limit]["due_at"]
    return {"partitions": partitions, "complete_until": complete_until, "notifications": found[:limit]}


def shown(kind: str, pending: Pending) -> dict[str, Any]:
    """Return a row as it is shown."""
    user_id, type = split_slot_key(pending.slot)
    return {
        "notification_id": pending.notification_id.decode(),
        "user_id": user_id,
        "type": type,
        "due_at": pending.due_at,
        "kind": kind,
    }


def _order(each: dict[str, Any]) -> tuple[int, str, str]:
    return each["due_at"], each["user_id"], each["notification_id"]
