"""RocksDB in memory: as much of rocksdict as the tables of the stages use. A disk outlives the processes on it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence


class Rows:
    """The rows of one store, in the order of their keys."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes) -> None:
        """Set a row."""
        if key not in self.values:
            insort(self.keys, key)
        self.values[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a row, if there is one."""
        if self.values.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]


class MemoryBatch:
    """`rocksdict.WriteBatch`."""

    def __init__(self, raw_mode: bool = True) -> None:
        self.writes: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes) -> None:
        """Set a row."""
        self.writes.append((key, value))

    def delete(self, key: bytes) -> None:
        """Remove a row."""
        self.writes.append((key, None))


class MemoryCursor:
    """`rocksdict.RdictIter` over the rows as they were when it was made."""

    def __init__(self, rows: Rows) -> None:
        self._keys = rows.keys
        self._values = rows.values
        self._index = -1

    def seek(self, key: bytes) -> None:
        """Go to the first row at or after this key."""
        self._index = bisect_left(self._keys, key)

    def seek_for_prev(self, key: bytes) -> None:
        """Go to the last row at or before this key."""
        self._index = bisect_right(self._keys, key) - 1

    def seek_to_first(self) -> None:
        """Go to the first row."""
        self._index = 0

    def seek_to_last(self) -> None:
        """Go to the last row."""
        self._index = len(self._keys) - 1

    def valid(self) -> bool:
        """Whether there is a row here."""
        return 0 <= self._index < len(self._keys)

    def next(self) -> None:
        """Go on."""
        self._index += 1

    def prev(self) -> None:
        """Go back."""
        self._index -= 1

    def key(self) -> bytes:
        """The key here."""
        return self._keys[self._index]

    def value(self) -> bytes:
        """The value here."""
        return self._values[self.key()]


Disk = dict[str, Rows]


class MemoryRocksdb:
    """`rocksdict.Rdict`. `disks`: by the beginning of the path, that of one worker."""

    disks: dict[str, Disk] = {}  # noqa: RUF012 (set for each world, because rocksdict knows stores by their paths only)

    def __init__(self, path: str, options: object = None) -> None:
        self._rows = self._disk_of(path).setdefault(path, Rows())

    @classmethod
    def _disk_of(cls, path: str) -> Disk:
        return next(disk for start, disk in cls.disks.items() if path.startswith(start))

    @classmethod
    def destroy(cls, path: str, options: object = None) -> None:
        """Remove a store."""
        cls._disk_of(path).pop(path, None)

    def get(self, key: bytes | Sequence[bytes]) -> bytes | list[bytes | None] | None:
        """A row, or one for each key of a list."""
        if isinstance(key, bytes):
            return self._rows.values.get(key)
        return [self._rows.values.get(each) for each in key]

    def put(self, key: bytes, value: bytes) -> None:
        """Set a row."""
        self._rows.put(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a row."""
        self._rows.delete(key)

    def write(self, batch: MemoryBatch) -> None:
        """Write everything in it."""
        for key, value in batch.writes:
            if value is None:
                self._rows.delete(key)
            else:
                self._rows.put(key, value)

    def delete_range(self, begin: bytes, end: bytes) -> None:
        """Remove the rows from one key up to another."""
        keys = self._rows.keys
        for key in keys[bisect_left(keys, begin) : bisect_left(keys, end)]:
            self._rows.delete(key)

    def compact_range(self, begin: bytes | None, end: bytes | None) -> None:
        """Nothing: nothing is in the way."""

    def flush(self) -> None:
        """Nothing: what is written survives the process."""

    def iter(self, options: object = None) -> MemoryCursor:
        """A cursor."""
        return MemoryCursor(self._rows)

    def close(self) -> None:
        """Nothing to let go of."""
