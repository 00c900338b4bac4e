"""What an installation holds at rest: the last value of each key of a compacted topic, without all of it in memory."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import rocksdict

from streams.audit.reading import TopicReader


class Latest:
    """The rows of one partition of a compacted topic, in the order of their keys, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        self._store = rocksdict.Rdict(str(folder), options=options)

    async def read(self, reader: TopicReader, topic: str, partition: int, start: int, end: int) -> None:
        """Read a partition. Raises RecordUnreadableError."""
        async for records in reader.read(topic, partition, start, end):
            batch = rocksdict.WriteBatch(raw_mode=True)
            for record in records:
                if record.key is None:
                    continue
                if record.value is None:
                    batch.delete(record.key)
                else:
                    batch.put(record.key, record.value)
            self._store.write(batch)

    def rows(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows whose keys begin so."""
        cursor = self._store.iter()
        cursor.seek(prefix)
        while cursor.valid() and (key := cursor.key()).startswith(prefix):
            yield key, cursor.value()
            cursor.next()

    def close(self) -> None:
        """Let go of the folder."""
        self._store.close()


@asynccontextmanager
async def latest(reader: TopicReader, topic: str, partition: int, partitions: int) -> AsyncIterator[Latest]:
    """Give the rows of a partition up to its end, of a topic with so many. Raises RecordUnreadableError."""
    starts, ends = await reader.starts(topic, partitions, None), await reader.ends(topic, partitions)
    with tempfile.TemporaryDirectory(prefix="ringonce-repartition-") as folder:
        rows = Latest(Path(folder) / "rows")
        try:
            await rows.read(reader, topic, partition, starts[partition], ends[partition])
            yield rows
        finally:
            rows.close()
