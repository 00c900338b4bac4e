"""P4: the state of suppress is bounded by the slots active in their window and the ids of a day, and that of the caps
by the users who were sent something in a window. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.notification import read_slot
from streams.audit.rows import Violation
from streams.stages.blocks import BLOCK_PREFIX, ENTRY_BYTES, read_block
from streams.stages.cap_rows import CAP_PREFIX, read_cap_row
from streams.stages.slots_table import PLACE_PREFIX

DAY_MS = 86_400_000


@dataclass(slots=True)
class StateReport:
    """Counts of rows. `unswept`: their time is over and the sweeper has not come by yet."""

    active: int = 0
    unswept: int = 0
    blocks: int = 0
    blocks_unswept: int = 0
    ids: int = 0
    capped_users: int = 0
    violations: list[Violation] = field(default_factory=list)


def check_state(partitions: Iterable[Mapping[bytes, bytes]], now: int) -> StateReport:
    """Check the rows of the changelog of `slots`, the last value of each key, partition by partition.

    A row that no block names is never swept: that is how state would grow with history.
    """
    report = StateReport()
    for rows in partitions:
        named: set[bytes] = set()
        for key, value in rows.items():
            if key.startswith(BLOCK_PREFIX):
                block = read_block(value)
                named.update(block.slots)
                report.blocks += 1
                report.ids += len(block.ids) // ENTRY_BYTES
                report.blocks_unswept += block.sweep_at <= now
                if block.ids and block.sweep_at > now + DAY_MS + 60_000:
                    sentence = f"ids seen at {block.at} are kept until {block.sweep_at}, longer than a day"
                    report.violations.append(Violation("P4", sentence, block.at, None, ()))
        for key, value in rows.items():
            if not key.startswith(PLACE_PREFIX):
                continue
            place = read_slot(value)
            if place.blocked_until > now:
                report.active += 1
            else:
                report.unswept += 1
            if key not in named:
                slot = key[1:].partition(b"\0")[0]
                holder = place.notification_id.decode()
                sentence = f"the row of {slot.decode(errors='replace')} is in no block and will never be swept"
                report.violations.append(Violation("P4", sentence, place.admitted_at, slot, (holder,)))
    return report


def check_cap_rows(rows: Mapping[bytes, bytes], report: StateReport) -> None:
    """Check rows and blocks of the changelog of `deliveries`, the last value of each key, of one partition."""
    named: dict[bytes, set[int]] = {}
    for key, value in rows.items():
        if key.startswith(BLOCK_PREFIX):
            block = read_block(value)
            for row_key in block.slots:
                if row_key.startswith(CAP_PREFIX):
                    named.setdefault(row_key, set()).add(block.sweep_at)
    for key, value in rows.items():
        if not key.startswith(CAP_PREFIX):
            continue
        report.capped_users += 1
        row = read_cap_row(value)
        if row.sweep_at not in named.get(key, ()):
            user = key[len(CAP_PREFIX) :].decode(errors="replace")
            at = max(place.at for place in row.places)
            sentence = f"the places that {user} has taken of the caps are in no block and will never be swept"
            report.violations.append(Violation("P4", sentence, at, None, ()))
