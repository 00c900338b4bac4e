"""The tables of the stages on real RocksDB, without a worker: an app that is never started gives them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, cast

from faust.types import TP

from streams.lane.app import LaneApp, LaneAppOptions
from streams.lane.table import LaneTable
from tests.simulation.memory_log import MemoryLog

T = TypeVar("T", bound=LaneTable)


def unstarted_app(directory: Path, partitions: int) -> LaneApp:
    """An app whose tables can be used, and which connects to nothing."""
    return LaneApp(
        LaneAppOptions(
            app_id="simulation",
            bootstrap="127.0.0.1:1",
            partitions=partitions,
            replication_factor=1,
            data_dir=str(directory),
        )
    )


def new_table(app: LaneApp, table_type: type[T], name: str) -> T:
    """A table of this app."""
    return cast(T, app.lane_table(table_type, name))


def recover(table: LaneTable, log: MemoryLog, partition: int) -> None:
    """Bring the local rows up to the end of the changelog, as recovery does: from the persisted offset on."""
    persisted = table.persisted_offset(TP(table.changelog, partition))
    chunk = log.chunk(table.changelog, partition, 0 if persisted is None else persisted + 1, 10**9)
    if chunk is not None:
        table.apply_chunk(chunk)


def local_rows(table: LaneTable, partition: int) -> dict[bytes, bytes]:
    """Everything that the local store holds, but for the offset that goes with it."""
    rows = dict(table.scan(partition, b"", b"\xff" * 8, 10**9))
    rows.pop(table.store.offset_key, None)
    return rows


def folded_rows(table: LaneTable, log: MemoryLog, partition: int) -> dict[bytes, bytes]:
    """What the changelog says: the last value of each key that was not removed."""
    rows: dict[bytes, bytes] = {}
    for record in log.partitions[table.changelog, partition]:
        if record is not None and record.key is not None:
            rows.pop(record.key, None)  # a key that is written again is the newest one
            if record.value is not None:
                rows[record.key] = record.value
    return rows
