"""A Faust table of raw bytes that is written after the commit, never before.

Faust writes RocksDB at once and the changelog by and by: after a crash the local state knows events that Kafka does
not, and their replay is wrongly suppressed. Here a stage reads the table, collects its changes in a step, and the table
is written, together with the changelog offset, in one WriteBatch once the step's transaction is committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import faust
import rocksdict
from faust.stores import rocksdb
from faust.types import TP, EventT

from .chunk import Chunk
from .chunk_schema import ChunkSchema

MEBIBYTE = 1024 * 1024
WRITE_BUFFER_BYTES = 8 * MEBIBYTE  # each partition of each table has one; many small ones beat few large ones here
WRITE_BUFFERS_BYTES_MAX = 64 * MEBIBYTE  # over all of them, in one process
BLOCK_CACHE_BYTES = 32 * MEBIBYTE  # shared by all partitions of all tables in one process
# As much as four write buffers, which are merged into it at a time (RocksDB wiki, "Tuning guide"). By default it is
# 256 MiB: then a partition's table is one level, and all of it is written anew whenever four buffers come.
FIRST_LEVEL_BYTES = 4 * WRITE_BUFFER_BYTES
FILE_BYTES = 16 * MEBIBYTE  # what merges has the filter of a whole file in memory while it writes it
OPEN_FILES_MAX = 256  # of one partition of one table; the filter of one that is closed would be read anew
LEVELS_UNCOMPRESSED = 2  # what is new, and is soon merged into what is large
LEVELS = 7  # as RocksDB has by default
BLOOM_BITS_PER_KEY = 10  # about 1 % false positives (RocksDB wiki, Bloom filter)
IDLE_SECONDS_MAX = 12 * 3600  # half of the changelogs' delete.retention.ms: after it tombstones may be gone
ROWS_ESTIMATE = "rocksdb.estimate-num-keys"
MEMTABLE_BLOOM_RATIO = 0.1  # most look-ups are for ids never seen: answered without walking the memtable


def _idle_seconds(path: Path) -> float:
    """Return for how long nothing was written to a store, 0 where there is none."""
    written_at = max((file.stat().st_mtime for file in path.glob("*")), default=None)
    return 0.0 if written_at is None else time.time() - written_at


class StoreBudget:
    """Memory that all RocksDB stores of one process share, so that it does not grow with the number of partitions."""

    def __init__(self) -> None:
        self.cache = rocksdict.Cache(BLOCK_CACHE_BYTES)
        self.write_buffers = rocksdict.WriteBufferManager(WRITE_BUFFERS_BYTES_MAX, False)

    def options(self) -> rocksdict.Options:
        """Return the options that every store is opened with."""
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_block_cache(self.cache)
        blocks.set_bloom_filter(BLOOM_BITS_PER_KEY, False)
        # Filters and indices stay with their files, some 3 bytes a row. In the cache one of some megabytes, of a file
        # that is asked at random, is read anew over and over: with ten million slots 26 of 28 µs of a look-up.
        blocks.set_cache_index_and_filter_blocks(False)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        options.set_write_buffer_manager(self.write_buffers)
        options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO)
        options.set_memtable_whole_key_filtering(True)
        options.set_block_based_table_factory(blocks)
        options.set_max_open_files(OPEN_FILES_MAX)
        options.set_keep_log_file_num(2)
        options.set_max_bytes_for_level_base(FIRST_LEVEL_BYTES)
        options.set_target_file_size_base(FILE_BYTES)
        none, lz4 = rocksdict.DBCompressionType.none(), rocksdict.DBCompressionType.lz4()
        options.set_compression_per_level([none] * LEVELS_UNCOMPRESSED + [lz4] * (LEVELS - LEVELS_UNCOMPRESSED))
        return options


class LaneStore(rocksdb.Store):
    """Faust's RocksDB store, opened with the shared budget."""

    def __init__(self, *args: Any, budget: StoreBudget, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._budget = budget

    def _open_for_partition(self, partition: int) -> rocksdict.Rdict:
        path = self.partition_path(partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        if _idle_seconds(path) > IDLE_SECONDS_MAX:
            # Rows deleted meanwhile may have left no trace in the changelog, and would come back to life.
            rocksdict.Rdict.destroy(str(path), self._budget.options())
        return rocksdict.Rdict(str(path), options=self._budget.options())

    def partition(self, partition: int) -> rocksdict.Rdict:
        """Return the open store of one partition."""
        return cast(rocksdict.Rdict, self._db_for_partition(partition))

    def revoke_partitions(self, table: Any, tps: set[TP]) -> None:
        """Close what was revoked: Faust only drops the reference, and the lock stays until it is collected."""
        for tp in tps:
            if tp.topic == table.changelog_topic_name:
                self.close_partition(tp.partition)

    def close_partition(self, partition: int) -> None:
        """Close one partition's store, if it is open."""
        store = self._dbs.pop(partition, None)
        if store is not None:
            store.close()

    async def stop(self) -> None:
        """Close every store."""
        for partition in list(self._dbs):
            self.close_partition(partition)

    def wipe(self, partition: int) -> None:
        """Remove one partition's local data; the changelog has it all."""
        self.close_partition(partition)
        rocksdict.Rdict.destroy(str(self.partition_path(partition)), self._budget.options())


class LaneTable(faust.Table[bytes, bytes]):
    """Rows of bytes by partition, with a changelog that Faust creates, assigns, follows as standby and routes by."""

    def __init__(self, app: Any, *, budget: StoreBudget, **kwargs: Any) -> None:
        super().__init__(app, key_type=bytes, value_type=bytes, schema=ChunkSchema(), **kwargs)
        self._budget = budget

    def _new_store(self) -> LaneStore:
        return LaneStore(
            "rocksdb://",
            self.app,
            self,
            table_name=self.name,
            key_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            value_type=bytes,
            loop=self.loop,
            budget=self._budget,
        )

    @property
    def store(self) -> LaneStore:
        """The local store."""
        return cast(LaneStore, self.data)

    @property
    def changelog(self) -> str:
        """Name of the changelog topic."""
        return str(self.changelog_topic_name)

    def changelog_position(self, partition: int) -> int:
        """How many offsets of the changelog the local rows reach over: grows with every change and never repeats."""
        offset = self.persisted_offset(TP(self.changelog, partition))
        return 0 if offset is None else offset + 1

    def path(self, partition: int) -> Path:
        """Where one partition's local data lies."""
        return Path(self.store.partition_path(partition))

    def read(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the committed rows for many keys in one call, None where there is none."""
        return cast("list[bytes | None]", self.store.partition(partition).get(list(keys)))

    def scan(self, partition: int, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return at most `limit` committed rows with start <= key < end, in byte order."""
        options = rocksdict.ReadOptions()
        # RocksDB itself stops there; else it would walk over all that was removed beyond, to find the next row.
        options.set_iterate_upper_bound(end)
        cursor = self.store.partition(partition).iter(options)
        rows: list[tuple[bytes, bytes]] = []
        cursor.seek(start)
        while len(rows) < limit and cursor.valid() and (key := cursor.key()) < end:
            rows.append((key, cursor.value()))
            cursor.next()
        return rows

    def count(self, partition: int, start: bytes, end: bytes, limit: int) -> tuple[int, bytes]:
        """Count at most `limit` committed rows with start <= key < end; return also the key of the last one."""
        options = rocksdict.ReadOptions()
        options.set_iterate_upper_bound(end)
        cursor = self.store.partition(partition).iter(options)
        counted, last = 0, b""
        cursor.seek(start)
        while counted < limit and cursor.valid() and (key := cursor.key()) < end:
            counted, last = counted + 1, key
            cursor.next()
        return counted, last

    def rows_estimated(self) -> int:
        """Return how many rows there are, of all partitions that are open here, standbys included: by the estimate of
        RocksDB, which costs nothing."""
        stores = list(self.store._dbs.values())
        return sum(int(cast(rocksdict.Rdict, store).property_int_value(ROWS_ESTIMATE) or 0) for store in stores)

    def write_rows(
        self, store: rocksdict.Rdict, batch: rocksdict.WriteBatch, changes: Iterable[tuple[bytes, bytes | None]]
    ) -> None:
        """Put the changes into the batch. A table whose local rows differ from its changelog's overrides this."""
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)

    def apply(self, partition: int, changes: Mapping[bytes, bytes | None], offset: int) -> None:
        """Write committed changes and how far in the changelog they reach, in one WriteBatch."""
        self._apply(partition, changes.items(), offset)

    def _apply(self, partition: int, changes: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        store, batch = self.store.partition(partition), rocksdict.WriteBatch(raw_mode=True)
        self.write_rows(store, batch, changes)
        batch.put(self.store.offset_key, b"%d" % offset)
        store.write(batch)

    def apply_chunk(self, chunk: Chunk) -> None:
        """Write a chunk of the changelog: recovery and standby. Applying one twice changes nothing."""
        rows = [(record.key, record.value) for record in chunk.records if record.key is not None]
        self._apply(chunk.partition, rows, chunk.end - 1)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Called by Faust with what it read of changelogs, which is nothing: ChangelogReader reads them."""
        assert not list(batch), "Faust was told of no changelog to read"

    def wipe(self, partition: int) -> None:
        """Forget one partition's local data, to read it from the changelog again."""
        self.store.wipe(partition)
