"""How the rows of one partition are divided among those that it becomes. Pure.

From P partitions to k x P, what was in partition p goes to p, p + P, p + 2P, …: the hash of a key is the same, and its
remainder by k x P has the remainder p by P. So ids, of which only a digest is kept, need not be known to be divided:
they are copied to all k, where they do no harm and are swept within a day.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from schemas.keys import partition_of
from streams.stages.blocks import Block, block_key

Where = Callable[[bytes], int]


def heirs(partition: int, old: int, new: int) -> range:
    """Return the partitions that one becomes. `new` must be a multiple of `old`."""
    return range(partition, new, old)


def slot_of_place(key: bytes) -> bytes:
    """Return the slot of a place's row: a type has no NUL, so what follows one after the last colon is the place."""
    user, colon, kind = key[1:].rpartition(b":")
    return user + colon + kind.partition(b"\0")[0]


def user_of(slot: bytes) -> bytes:
    """Return the user of a slot."""
    return slot.rpartition(b":")[0]


def place_partition(partitions: int) -> Where:
    """Return what finds the partition of a place's row."""
    return lambda key: partition_of(slot_of_place(key), partitions)


def cap_partition(partitions: int) -> Where:
    """Return what finds the partition of the row of a user's caps."""
    return lambda key: partition_of(key[1:], partitions)


def divided(block: Block, to: range, where: Where, dropped: Container[bytes] = ()) -> Iterator[tuple[int, Block]]:
    """Yield the block of each heir: the rows that are its own, and all ids but the dropped digests."""
    ids = b"".join(digest + mark for digest, mark in block.digests() if digest not in dropped)
    rows: dict[int, list[bytes]] = {heir: [] for heir in to}
    for key in block.slots:
        rows[where(key)].append(key)
    for heir in to:
        if ids or rows[heir]:
            yield heir, block._replace(ids=ids, slots=rows[heir])


class Numbers:
    """Numbers the blocks of each partition from 1: whoever writes the next one counts from what the changelog has."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], int] = {}

    def key(self, table: str, partition: int, sweep_at: int) -> bytes:
        """Return the key of the next block of a partition of a table."""
        number = self._last[table, partition] = self._last.get((table, partition), 0) + 1
        return block_key(sweep_at, number)
