"""A local store that was away for so long that the changelog may have forgotten what was deleted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import rocksdict

from streams.lane.app import LaneApp, LaneAppOptions
from streams.lane.table import IDLE_SECONDS_MAX, LaneTable


def _table(data_dir: Path) -> LaneTable:
    app = LaneApp(LaneAppOptions("idle", "127.0.0.1:9", 1, 1, str(data_dir), faust={"web_enabled": False}))
    return app.lane_table(LaneTable, "rows")


def _leave_a_row(data_dir: Path) -> Path:
    table = _table(data_dir)
    table.apply(0, {b"key": b"value"}, 7)
    path = table.path(0)
    table.store.close_partition(0)
    return path


def test_a_store_that_was_just_closed_keeps_its_rows(tmp_path: Path) -> None:
    """A restart reads only what is new."""
    _leave_a_row(tmp_path)
    assert _table(tmp_path).read(0, [b"key"]) == [b"value"]


def test_a_store_that_was_away_too_long_starts_empty(tmp_path: Path) -> None:
    """A row that was deleted elsewhere must not come back to life when its tombstone is gone."""
    path = _leave_a_row(tmp_path)
    long_ago = time.time() - IDLE_SECONDS_MAX - 60
    for file in path.iterdir():
        os.utime(file, (long_ago, long_ago))
    table = _table(tmp_path)
    assert table.read(0, [b"key"]) == [None]
    assert table.store.partition(0).get(table.store.offset_key) is None
    assert isinstance(table.store.partition(0), rocksdict.Rdict)
