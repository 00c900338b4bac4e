"""Blocks: what a step leaves behind that must be forgotten one day, in the order in which it may be.

A block is one record of the changelog for all ids that one step saw, and for the rows that it changed. It is keyed by
when it may be swept, so that sweeping reads from the front, in order of time, and never scans what is still needed.

    b <sweep_at> <number>
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from schemas.codec import Codec
from streams.lane.table import LaneTable

BLOCK_PREFIX = b"b"
BLOCKS_END = b"c"
DIGEST_BYTES = 16
ENTRY_BYTES = DIGEST_BYTES + 1
SWEPT_MAX = 8  # in one step, so that a long absence is caught up with in small portions

_codec = Codec()


class Block(NamedTuple):
    """What one step saw and changed; `ids` are digest and mark, 17 bytes each, `slots` the keys of rows."""

    at: int
    sweep_at: int
    ids: bytes
    slots: list[bytes]

    def digests(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (digest, mark) of each id."""
        for start in range(0, len(self.ids), ENTRY_BYTES):
            yield self.ids[start : start + DIGEST_BYTES], self.ids[start + DIGEST_BYTES : start + ENTRY_BYTES]


def block_key(sweep_at: int, number: int) -> bytes:
    """Return the key of a block."""
    return BLOCK_PREFIX + sweep_at.to_bytes(8, "big") + number.to_bytes(8, "big")


def block_sweep_at(key: bytes) -> int:
    """Return when the block with this key may be swept."""
    return int.from_bytes(key[1:9], "big")


def write_block(block: Block) -> bytes:
    """Write a block as the changelog has it."""
    return _codec.encode("SeenBlock", block._asdict())


def read_block(row: bytes) -> Block:
    """Read a block."""
    record = _codec.decode(row, ("SeenBlock",)).record
    return Block(record["at"], record["sweep_at"], record["ids"], record["slots"])


def unfold(block: Block, prefix: bytes, put: Callable[[bytes, bytes], object]) -> None:
    """Put a row for each id of a block: when it was seen, and its mark."""
    at, seen = block.at.to_bytes(8, "big"), block.ids
    for start in range(0, len(seen), ENTRY_BYTES):
        middle = start + DIGEST_BYTES
        put(prefix + seen[start:middle], at + seen[middle : start + ENTRY_BYTES])


class Sweeper:
    """Knows when the next block of one partition of a table may be swept, and which are due."""

    def __init__(self, table: LaneTable, partition: int) -> None:
        self._table = table
        self._partition = partition
        # Each block is a record of the changelog, so no earlier owner has come to this number.
        self._number = table.changelog_position(partition)
        self._front = BLOCK_PREFIX
        rows = table.scan(partition, BLOCK_PREFIX, BLOCKS_END, 1)
        self.next_at_ms = block_sweep_at(rows[0][0]) if rows else None

    def put(self, changes: dict[bytes, bytes | None], block: Block) -> None:
        """Add a new block to the changes of a step."""
        self._number += 1
        self.next_at_ms = block.sweep_at if self.next_at_ms is None else min(self.next_at_ms, block.sweep_at)
        changes[block_key(block.sweep_at, self._number)] = write_block(block)

    def due(self, now: int) -> list[tuple[bytes, Block]]:
        """Return the blocks to be swept in this step, which must be committed: they are not returned again."""
        if self.next_at_ms is None or self.next_at_ms > now:
            return []
        rows = self._table.scan(self._partition, self._front, BLOCKS_END, SWEPT_MAX + 1)
        self.next_at_ms = None
        due: list[tuple[bytes, Block]] = []
        for key, row in rows:
            if len(due) == SWEPT_MAX or block_sweep_at(key) > now:
                self.next_at_ms = block_sweep_at(key)
                break
            due.append((key, read_block(row)))
            self._front = key + b"\0"  # a scan from the very front would walk over the tombstones of those swept
        return due
