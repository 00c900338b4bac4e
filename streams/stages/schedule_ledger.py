"""The ledger of schedule on one partition: counts that close, kept in the table, and checked against its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas.codec import Codec
from streams.lane.table import LaneTable
from streams.policies.scheduling import Counts
from streams.stages.schedule_table import DEFERRALS, LEDGER_KEY, RETRIES

SLICE_ROWS_MAX = 1_000  # counted in one step: some 2 ms
PASS_INTERVAL_MS = 60_000  # from the end of one count to the next, if anything has changed
SLICE_INTERVAL_MS = 1_000  # between two slices where nothing else happens

_codec = Codec()


class Ledger(NamedTuple):
    """What is kept in the row of the ledger; no row of either kind lies before its front."""

    counts: Counts
    deferrals_front: bytes
    retries_front: bytes


def write_ledger(ledger: Ledger, at: int) -> bytes:
    """Write the row."""
    fronts = {"deferrals_front": ledger.deferrals_front, "retries_front": ledger.retries_front}
    return _codec.encode("ScheduleLedger", {"at": at, **ledger.counts._asdict(), **fronts})


def read_ledger(table: LaneTable, partition: int) -> Ledger:
    """Read the row, or what a partition begins with."""
    (row,) = table.read(partition, [LEDGER_KEY])
    return Ledger(Counts(), DEFERRALS, RETRIES) if row is None else read_ledger_row(row)


def read_ledger_row(row: bytes) -> Ledger:
    """Read the row. Raises PoisonError: state that cannot be read is a reason to stop."""
    record = _codec.decode(row, ("ScheduleLedger",)).record
    counts = Counts(*(record[name] for name in Counts._fields))
    return Ledger(counts, record["deferrals_front"], record["retries_front"])


class RowCount(NamedTuple):
    """How many rows of each kind there are."""

    deferrals: int
    retries: int


class RowCounter:
    """Counts the rows of the table slice by slice, exact although rows come and go meanwhile.

    Everything before the cursor is counted: a row that is written there meanwhile is added, one that is removed there
    is taken off.

        front                 cursor                        end
        |counted, kept current|not looked at yet             |
    """

    def __init__(self, table: LaneTable, partition: int) -> None:
        self._table = table
        self._partition = partition
        self._cursor: bytes | None = None
        self._next_pass_at = 0
        self._next_slice_at = 0
        self._changed = True
        self._counts = {DEFERRALS: 0, RETRIES: 0}

    def next_at_ms(self) -> int | None:
        """When the next slice is to be counted, None: nothing has changed since the last count."""
        if self._cursor is not None:
            return self._next_slice_at
        return self._next_pass_at if self._changed else None

    def count(self, fronts: tuple[bytes, bytes], now: int) -> RowCount | None:
        """Count one slice of the committed rows. Returns all counts when the last one is done."""
        if self._cursor is None:
            if not self._changed or now < self._next_pass_at:
                return None
            self._cursor, self._changed = fronts[0], False
            self._counts = {DEFERRALS: 0, RETRIES: 0}
        self._next_slice_at = now + SLICE_INTERVAL_MS
        rows_max = SLICE_ROWS_MAX
        while True:
            prefix = self._cursor[:1]
            rows = self._table.scan(self._partition, self._cursor, bytes((prefix[0] + 1,)), rows_max)
            self._counts[prefix] += len(rows)
            if len(rows) == rows_max:
                self._cursor = rows[-1][0] + b"\0"
                return None
            if prefix == RETRIES:
                self._cursor, self._next_pass_at = None, now + PASS_INTERVAL_MS
                return RowCount(self._counts[DEFERRALS], self._counts[RETRIES])
            self._cursor = fronts[1]
            rows_max -= len(rows)

    def note(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Note the changes of a step, each of which writes a new row or removes one that there is."""
        self._changed = True
        if self._cursor is None:
            return
        cursor, counts = self._cursor, self._counts
        for key, value in changes:
            if key < cursor and key[:1] in counts:
                counts[key[:1]] += 1 if value is not None else -1
