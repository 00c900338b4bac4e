"""The table of schedule: what is pending in due order, an index by slot and id, ids that ended, and the ledger.

    d <due_at> <offset> <slot> 0 <id>     a deferral that is pending              in the changelog
    r <due_at> <offset> <slot> 1 <id>     a retry of deliver that is pending      in the changelog
    n <slot> 0 <id>                       where its deferral is                   local only, unfolded from d
    n <slot> 1 <id> <offset>              where its retry is                      local only, unfolded from r
    b <sweep_at> <number>                 ids that one step ended                 in the changelog
    i <digest>                            how and when an id ended                local only, unfolded from b
    l                                     the ledger                              in the changelog

Everything that the index needs stands in the keys, so one changelog record does for a row and its index, also where the
row is removed. A row that is moved is removed first and written then: the index ends where the row is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import rocksdict

from streams.policies.scheduling import Ended, Ending
from streams.stages.slots_table import SlotsTable

DEFERRALS: Final = b"d"
RETRIES: Final = b"r"
INDEX: Final = b"n"
LEDGER_KEY: Final = b"l"
ENDINGS: Final[tuple[Ending, ...]] = ("RELEASED", "CANCELLED", "EXPIRED", "AWAITED")
ENDING_MARKS: Final[dict[Ending, bytes]] = {ending: bytes((number,)) for number, ending in enumerate(ENDINGS)}
_KINDS: Final = {DEFERRALS: b"\0", RETRIES: b"\1"}
_SLOT_AT: Final = 17  # after the prefix, the instant and the offset
_PENDING: Final = (DEFERRALS[0], RETRIES[0])


class Pending(NamedTuple):
    """A row: when it is due, the offset of the record that brought or moved it, whose it is, and its id."""

    due_at: int
    offset: int
    slot: bytes
    notification_id: bytes


def pending_key(pending: Pending, prefix: bytes = DEFERRALS) -> bytes:
    """Return the row's key: in due order, then in the order of arrival."""
    due_at, offset, slot, notification_id = pending
    instants = due_at.to_bytes(8, "big") + offset.to_bytes(8, "big")
    return b"".join((prefix, instants, len(slot).to_bytes(2, "big"), slot, _KINDS[prefix], notification_id))


def key_of_index(key: bytes) -> bytes:
    """Return the key of the index of a deferral's row: it stands in the row's key."""
    return INDEX + key[_SLOT_AT:]


def key_at(due_at: int, offset: int, known: bytes) -> bytes:
    """Return the key of a deferral's row, given that of its index."""
    return b"".join((DEFERRALS, due_at.to_bytes(8, "big"), offset.to_bytes(8, "big"), known[1:]))


def read_pending(key: bytes) -> Pending:
    """Read a row's key."""
    end = 19 + int.from_bytes(key[17:19], "big")
    return Pending(int.from_bytes(key[1:9], "big"), int.from_bytes(key[9:17], "big"), key[19:end], key[end + 1 :])


def index_key(slot: bytes, notification_id: bytes) -> bytes:
    """Return the key under which the deferral of an id is found."""
    return b"".join((INDEX, len(slot).to_bytes(2, "big"), slot, b"\0", notification_id))


def read_index(row: bytes, slot: bytes, notification_id: bytes) -> Pending:
    """Return where the deferral of an id is."""
    return Pending(int.from_bytes(row[:8], "big"), int.from_bytes(row[8:], "big"), slot, notification_id)


def read_ended(row: bytes) -> Ended:
    """Read how an id ended."""
    return Ended(ENDINGS[row[8]], int.from_bytes(row[:8], "big"))


class ScheduleTable(SlotsTable):
    """Unfolds the index of pending rows, and the ids of blocks as the table of suppress does."""

    def write_rows(
        self, store: rocksdict.Rdict, batch: rocksdict.WriteBatch, changes: Iterable[tuple[bytes, bytes | None]]
    ) -> None:
        """Put the changes into the batch, and what follows from them for the index."""
        changes = list(changes)
        super().write_rows(store, batch, changes)
        for key, value in changes:
            if key[0] not in _PENDING:
                continue
            found = INDEX + key[_SLOT_AT:]
            if key[0] == RETRIES[0]:
                found += key[9:17]
            if value is None:
                batch.delete(found)
            else:
                batch.put(found, key[1:_SLOT_AT])

    def of_slot(self, partition: int, slot: bytes, limit: int) -> list[tuple[bytes, Pending]]:
        """Return at most so many pending rows of a slot with their prefix: deferrals first, each by id."""
        start = index_key(slot, b"")[:-1]
        found = []
        for key, row in self.scan(partition, start, start + b"\2", limit):
            name = key[len(start) + 1 :]
            is_retry = key[len(start)] == 1
            pending = read_index(row, slot, name[:-8] if is_retry else name)
            found.append((RETRIES if is_retry else DEFERRALS, pending))
        return found

    def retry(self, partition: int, slot: bytes, notification_id: bytes) -> Pending | None:
        """Return where the retry of an id waits, if one does."""
        start = index_key(slot, b"")[:-1] + b"\1" + notification_id
        for key, row in self.scan(partition, start, start + b"\xff" * 9, 100):
            if len(key) == len(start) + 8:
                return read_index(row, slot, notification_id)
        return None
