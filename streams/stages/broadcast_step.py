"""One step of broadcast: copies, reports and rows that become durable together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from schemas.keys import partition_of
from schemas.records import BroadcastReport
from schemas.varint import SHORT
from streams.lane.step import NO_HEADERS, Output, Step
from streams.policies.broadcasting import Counts
from streams.stages.broadcast_records import PLAIN_CODEC, Control, Definition, Ended
from streams.stages.broadcast_rows import Progress, broadcast_key, progress_key, write_progress

if TYPE_CHECKING:
    from streams.stages.broadcast import BroadcastDecider
    from streams.stages.broadcast_book import Broadcasting


class BroadcastStep:
    """Collects the effects of one step. `begun`, `listed`: ids with rows that are in the table only after it."""

    def __init__(self, stage: BroadcastDecider, now: int) -> None:
        self.step = Step()
        self.now = now
        self.changes: dict[bytes, bytes | None] = {}
        self.begun: set[str] = set()
        self.listed: set[str] = set()
        self._stage = stage
        self._progress: dict[str, Progress] = {}

    # --- rows

    def put(self, each: Broadcasting, progress: Progress) -> None:
        """Note how far a broadcast is."""
        each.progress = progress
        self._progress[each.broadcast_id] = progress

    def broadcast_row(self, broadcast_id: str) -> bytes | None:
        """Return a Broadcast as it came, changes of this step included."""
        key = broadcast_key(broadcast_id)
        return self.changes[key] if key in self.changes else self._stage.book.rows([broadcast_id])[0]

    def new_of(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those for which there is no row yet."""
        stage = self._stage
        rows = stage.table.read(stage.partition, keys)
        return [key for key, row in zip(keys, rows, strict=True) if row is None and key not in self.changes]

    def forget(self, broadcast_id: str) -> None:
        """Remove what is known of a broadcast."""
        self._progress.pop(broadcast_id, None)
        self.changes[progress_key(broadcast_id)] = None
        self.changes[broadcast_key(broadcast_id)] = None

    # --- what it says

    def emit_copies(self, definition: Definition, users: Sequence[bytes]) -> int:
        """Put one copy for each of these users on `notifications`. Returns how many."""
        stage = self._stage
        topic, partitions, outputs = stage.topics.notifications, stage.partitions, self.step.outputs
        kind, before, rest = b":" + definition.type, definition.before, definition.after
        copies: dict[int, list[Output]] = {}
        for user in users:
            slot = user + kind
            value = b"".join((before, SHORT[len(user)], user, rest))
            copies.setdefault(partition_of(slot, partitions), []).append((slot, value, NO_HEADERS))
        for partition, found in copies.items():
            outputs.setdefault((topic, partition), []).extend(found)
        return sum(map(len, copies.values()))

    def report(self, each: Broadcasting, request_id: str | None = None) -> None:
        """Say where a broadcast stands."""
        self._say(self._report(each, request_id))

    def report_unknown(self, control: Control) -> None:
        """Say that no such broadcast is known."""
        report: dict[str, Any] = {
            "broadcast_id": control.broadcast_id,
            "partition": self._stage.partition,
            "state": "UNKNOWN_ID",
            "reason": "no broadcast of this id is known, or it ended long ago",
            "at": self.now,
            **Counts()._asdict(),
            "request_id": control.request_id,
        }
        self._say(report)

    def tell_totals(self, each: Broadcasting, request_id: str | None = None) -> None:
        """Tell the partition that adds up how it ended here."""
        stage = self._stage
        key, topic = each.broadcast_id.encode(), stage.topics.broadcasts
        value = stage.codec.encode("BroadcastReport", self._report(each, request_id), topic)
        self.step.emit(topic, partition_of(key, stage.partitions), key, value)

    def add_up(self, ended: Ended) -> None:
        """Note how a partition has ended; when all have, say the totals."""
        total = self._stage.totals.add(ended, self.changes)
        if total is not None:
            self._say(total)

    def _report(self, each: Broadcasting, request_id: str | None) -> dict[str, Any]:
        progress = each.progress
        return {
            "broadcast_id": each.broadcast_id,
            "partition": self._stage.partition,
            "state": progress.phase,
            "reason": progress.reason,
            "at": self.now,
            "started_at": progress.started_at,
            "dry_run": self._is_dry_run(each),
            "users": progress.users,
            **progress.counts._asdict(),
            "request_id": request_id,
        }

    def _is_dry_run(self, each: Broadcasting) -> bool:
        if each.definition is not None:
            return each.definition.dry_run
        row = self.broadcast_row(each.broadcast_id)
        return row is not None and bool(PLAIN_CODEC.decode_own(row, "Broadcast")["dry_run"])

    def _say(self, report: Mapping[str, Any] | BroadcastReport) -> None:
        stage, topic = self._stage, self._stage.topics.broadcast_reports
        value = stage.codec.encode("BroadcastReport", report, topic)
        self.step.emit(topic, stage.partition, report["broadcast_id"].encode(), value)

    def finish(self) -> Step:
        """Return the step with its changes."""
        self.changes.update((progress_key(name), write_progress(found)) for name, found in self._progress.items())
        if self.changes:
            self.step.changes[self._stage.table.name] = self.changes
        return self.step
