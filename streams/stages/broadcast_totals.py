"""Adds up how the partitions of a broadcast have ended, in the partition that its id belongs to."""

from __future__ import annotations

from typing import Final

from schemas.records import BroadcastReport
from streams.lane.table import LaneTable
from streams.policies.broadcasting import ENDS, Counts
from streams.stages.broadcast_records import Ended, read_report
from streams.stages.broadcast_rows import ENDED, end_of, ended_key

KEPT_MS: Final = 30 * 86_400_000  # a partition that ends later than this after the first one does not end at all


class BroadcastTotals:
    """The ends that have come in, until they are complete: rows of the table, and the same in memory."""

    def __init__(self, table: LaneTable, partition: int, partitions: int) -> None:
        self._partitions = partitions
        self._ends: dict[str, dict[int, BroadcastReport]] = {}
        for _, row in table.scan(partition, ENDED, end_of(ENDED), 10**9):
            report = read_report(row)
            number = report["partition"]
            assert number is not None, "totals are not kept"
            self._ends.setdefault(report["broadcast_id"], {})[number] = report

    def next_at_ms(self) -> int | None:
        """When ends may be forgotten that nobody will ever complete."""
        return min((_first_at(ends) + KEPT_MS for ends in self._ends.values()), default=None)

    def add(self, ended: Ended, changes: dict[bytes, bytes | None]) -> BroadcastReport | None:
        """Note how a partition has ended. Returns the totals once all have."""
        ends = self._ends.setdefault(ended.broadcast_id, {})
        ends[ended.partition] = read_report(ended.row)
        changes[ended_key(ended.broadcast_id, ended.partition)] = ended.row
        if len(ends) < self._partitions:
            return None
        self._remove(ended.broadcast_id, changes)
        return _total(list(ends.values()))

    def forget(self, now: int, changes: dict[bytes, bytes | None]) -> None:
        """Forget what came in so long ago that the rest will not come."""
        for broadcast_id, ends in list(self._ends.items()):
            if _first_at(ends) + KEPT_MS <= now:
                self._remove(broadcast_id, changes)

    def _remove(self, broadcast_id: str, changes: dict[bytes, bytes | None]) -> None:
        for number in self._ends.pop(broadcast_id):
            changes[ended_key(broadcast_id, number)] = None


def _first_at(ends: dict[int, BroadcastReport]) -> int:
    return min(report["at"] for report in ends.values())


def _total(reports: list[BroadcastReport]) -> BroadcastReport:
    """The report on all partitions together."""
    state = next(end for end in ENDS if any(report["state"] == end for report in reports))
    decisive = next(report for report in reports if report["state"] == state)
    counts = Counts()
    for report in reports:
        counts = counts.plus(Counts(*(report[name] for name in Counts._fields)))  # type: ignore[literal-required] # a field of both
    return {
        "broadcast_id": decisive["broadcast_id"],
        "partition": None,
        "state": state,
        "reason": decisive["reason"],
        "at": max(report["at"] for report in reports),
        "started_at": min(report.get("started_at") or report["at"] for report in reports),
        "dry_run": decisive.get("dry_run", False),
        "users": sum(report.get("users") or 0 for report in reports),
        **counts._asdict(),  # type: ignore[typeddict-item] # the counts of a report
        "request_id": decisive.get("request_id"),
    }
