"""Ids of blocks that are written and swept in one portion of the changelog."""

from __future__ import annotations

from pathlib import Path

from streams.stages.blocks import Block, block_key, write_block
from streams.stages.slots_table import ID_MARKS, SlotsTable, id_key, read_mark
from tests.simulation.tables import new_table, unstarted_app

AGAIN, ONCE = b"a" * 16, b"o" * 16


def _block(at: int, *digests: bytes) -> bytes:
    return write_block(Block(at, at + 10, b"".join(digest + ID_MARKS[0] for digest in digests), []))


def test_an_id_that_was_seen_again_outlives_its_first_block(tmp_path: Path) -> None:
    """Whether the later block was written in an earlier portion, or just before the first one is swept."""
    table = new_table(unstarted_app(tmp_path, 2), SlotsTable, "slots")
    first, later = (block_key(11, 1), _block(1, AGAIN, ONCE)), (block_key(12, 2), _block(2, AGAIN))
    table.apply(0, dict([first, later]), 1)
    table.apply(0, {first[0]: None}, 2)
    table._apply(1, [first, later, (first[0], None)], 3)
    for partition in (0, 1):
        again, once = table.read(partition, [id_key(AGAIN), id_key(ONCE)])
        assert again is not None and read_mark(again).at == 2
        assert once is None
