"""The table of suppress: slots, ids of the last 24 hours, and the blocks by which both are swept.

    s <slot key> [NUL place]   one place of a slot                       in the changelog
    b <sweep_at> <number>      ids that one step saw, slots it changed   in the changelog
    i <digest>                 an id: when it was seen, and how          local only, unfolded from the blocks

One changelog record for the ids of a whole step, instead of one for each event, is what makes remembering every id
affordable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import rocksdict

from streams.lane.table import LaneTable
from streams.policies.suppression import Seen
from streams.stages.blocks import BLOCK_PREFIX, BLOCKS_END, Block, read_block, unfold

PLACE_PREFIX = b"s"
ID_PREFIX = b"i"
SEEN: tuple[Seen, ...] = ("FINAL", "DEFERRED")
ID_MARKS = (b"\x00", b"\x01")
LATEST_BLOCKS = 4


class SeenMark(NamedTuple):
    """When an id was seen, milliseconds since the epoch, and how."""

    at: int
    seen: Seen


def place_key(slot: bytes, index: int) -> bytes:
    """Return the key of one place; the first one, which most types have only, is that of the slot."""
    return PLACE_PREFIX + slot if index == 0 else b"%b%b\0%d" % (PLACE_PREFIX, slot, index)


def id_key(digest: bytes) -> bytes:
    """Return the key under which an id is looked up."""
    return ID_PREFIX + digest


def read_mark(row: bytes) -> SeenMark:
    """Read an id's row."""
    return SeenMark(int.from_bytes(row[:8], "big"), SEEN[row[8]])


class SlotsTable(LaneTable):
    """Unfolds the ids of a block into rows when the block is written, and folds them when it is swept."""

    def write_rows(
        self, store: rocksdict.Rdict, batch: rocksdict.WriteBatch, changes: Iterable[tuple[bytes, bytes | None]]
    ) -> None:
        """Put the changes into the batch; the rows of the same batch count as written."""
        blocks: dict[bytes, bytes] = {}
        written: list[Block] = []
        fresh: dict[bytes, bytes] = {}
        for key, value in changes:
            if value is None:
                if key.startswith(BLOCK_PREFIX):
                    old = blocks.pop(key, None) or store.get(key)
                    if old is not None:
                        for block in written:  # each once, and only where something is folded
                            unfold(block, ID_PREFIX, fresh.__setitem__)
                        written.clear()
                        self._fold(store, batch, read_block(old), fresh)
                batch.delete(key)
                continue
            batch.put(key, value)
            if key.startswith(BLOCK_PREFIX):
                blocks[key] = value
                block = read_block(value)
                unfold(block, ID_PREFIX, batch.put)
                written.append(block)

    @staticmethod
    def _fold(store: rocksdict.Rdict, batch: rocksdict.WriteBatch, block: Block, fresh: dict[bytes, bytes]) -> None:
        keys = [id_key(digest) for digest, _ in block.digests()]
        if not keys:
            return
        at = block.at.to_bytes(8, "big")
        rows = cast("list[bytes | None]", store.get([*keys]))
        for key, row in zip(keys, rows, strict=True):
            row = fresh.get(key, row)
            if row is not None and row[:8] == at:  # seen again since: then a later block looks after it
                batch.delete(key)

    def places(self, partition: int, slot: bytes, limit: int) -> list[bytes | None]:
        """Return the rows of all places of a slot."""
        return self.read(partition, [place_key(slot, index) for index in range(limit)])

    def latest_ms(self, partition: int) -> int:
        """Return the time of the newest block: no decision was taken later. 0: there is none."""
        cursor = self.store.partition(partition).iter()
        cursor.seek_for_prev(BLOCKS_END)
        latest = 0
        # Blocks of slots and of ids lie in different stretches of time: the newest of the last few is the latest.
        for _ in range(LATEST_BLOCKS):
            if not cursor.valid() or not cursor.key().startswith(BLOCK_PREFIX):
                break
            latest = max(latest, read_block(cursor.value()).at)
            cursor.prev()
        return latest
