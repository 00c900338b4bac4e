"""Rows of the frequency cap in the table `deliveries`: one for each user who was sent something in a window.

    c <user>        the places that are taken

A row is named by one block, and swept with it when the last place is over; a row that lives on is named by the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.codec import Codec
from streams.lane.table import LaneTable
from streams.policies.capping import Cap, Capped, CapPlace, over_at, settle, standing, take
from streams.policies.suppression import VerdictOutcome
from streams.stages.blocks import Block, Sweeper

CAP_PREFIX = b"c"

_codec = Codec()


class CapRow(NamedTuple):
    """The places of one user. `sweep_at`: of the block that names the row; any other block has nothing to say of it."""

    sweep_at: int
    places: list[CapPlace]


def cap_key(user: bytes) -> bytes:
    """Return the key of a user's row."""
    return CAP_PREFIX + user


def read_cap_row(row: bytes) -> CapRow:
    """Read a row."""
    record = _codec.decode_own(row, "CapState")
    return CapRow(record["sweep_at"], [CapPlace(**place) for place in record["places"]])


def write_cap_row(row: CapRow) -> bytes:
    """Write a row."""
    return _codec.encode("CapState", {"sweep_at": row.sweep_at, "places": [place._asdict() for place in row.places]})


class CapRows:
    """The rows that one step reads and changes. A later decision of the step sees what an earlier one has changed."""

    def __init__(self, table: LaneTable, partition: int, now: int, caps: Sequence[Cap], skew_ms: int) -> None:
        self._table = table
        self._partition = partition
        self._now = now
        self._caps = caps
        self._skew_ms = skew_ms
        self._rows: dict[bytes, CapRow | None] = {}
        self._changed: set[bytes] = set()

    def places(self, user: bytes) -> list[CapPlace]:
        """Return the places that a user's notifications have taken."""
        row = self._read(cap_key(user))
        return [] if row is None else row.places

    def take(self, user: bytes, notification: Capped, latest_at: int) -> None:
        """Take a place for a notification that is claimed, unless it has one."""
        key = cap_key(user)
        row = self._read(key)
        self._put(key, row, take([] if row is None else row.places, notification, latest_at))

    def settle(self, user: bytes, notification: Capped, outcome: VerdictOutcome, at: int) -> None:
        """Note the end of a notification, if it holds a place."""
        key = cap_key(user)
        row = self._read(key)
        if row is not None and any(place.is_of(notification) for place in row.places):
            self._put(key, row, settle(row.places, notification, outcome, at))

    def forget(self, block: Block) -> None:
        """Sweep the rows that a block names, but for those that live on."""
        for key in block.slots:
            row = self._read(key)
            if row is None or row.sweep_at != block.sweep_at:
                continue  # removed, or written anew since: then another block names it
            # What stays is in need of a name.
            self._put(key, None, row.places)

    def finish(self, changes: dict[bytes, bytes | None], sweeper: Sweeper) -> None:
        """Add the rows to the changes of a step, and a block that names those that no block names."""
        unnamed = {key: row for key in self._changed if (row := self._rows[key]) is not None and not row.sweep_at}
        if unnamed:
            over = max(over_at(row.places, self._caps, self._skew_ms) for row in unnamed.values())
            sweep_at = max(self._now + 1, over)
            sweeper.put(changes, Block(self._now, sweep_at, b"", list(unnamed)))
            self._rows.update({key: row._replace(sweep_at=sweep_at) for key, row in unnamed.items()})
        for key in self._changed:
            row = self._rows[key]
            changes[key] = None if row is None else write_cap_row(row)

    def _put(self, key: bytes, row: CapRow | None, places: Sequence[CapPlace]) -> None:
        kept = standing(places, self._now, self._caps, self._skew_ms)
        self._rows[key] = CapRow(0 if row is None else row.sweep_at, kept) if kept else None
        self._changed.add(key)

    def _read(self, key: bytes) -> CapRow | None:
        if key not in self._rows:
            row = self._table.read(self._partition, [key])[0]
            self._rows[key] = None if row is None else read_cap_row(row)
        return self._rows[key]
