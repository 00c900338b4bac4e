"""Records as aiokafka reads them, handed out by the slice.

aiokafka hands out record by record through four functions of Python, which costs as much as reading them does. What it
knows of batches, aborted transactions and positions stays its own: it takes a slice of a batch for one record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords

SLICE_RECORDS: Final = 100


class RawPartitionRecords(PartitionRecords):  # type: ignore[misc] # aiokafka is untyped
    """Hands out aiokafka's own record objects: key, value, offset, timestamp and headers are on them already."""

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


class Slice(list[Any]):
    """Consecutive records of one batch. Its offset, by which aiokafka knows how far it is, is that of the last."""

    __slots__ = ()

    @property
    def offset(self) -> int:
        """Offset of the last record."""
        offset: int = self[-1].offset
        return offset


class SlicedBatch:
    """A batch of the log whose records come in slices."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # of a control batch, the marker
        return next(self._batch)

    def __iter__(self) -> Iterator[Slice]:
        records = list(self._batch)
        for start in range(0, len(records), SLICE_RECORDS):
            yield Slice(records[start : start + SLICE_RECORDS])


class SlicedBatches:
    """The batches of a fetch."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches

    def has_next(self) -> bool:
        """Whether there is another one."""
        return bool(self._batches.has_next())

    def next_batch(self) -> SlicedBatch:
        """Return the next one."""
        return SlicedBatch(self._batches.next_batch())


class SlicedPartitionRecords(PartitionRecords):  # type: ignore[misc] # aiokafka is untyped
    """What was fetched of a partition, of which nothing has been handed out before it became one of these."""

    def _consumer_record(self, tp: Any, record: Slice) -> Slice:
        position = self.next_fetch_offset  # a batch that is fetched for its middle comes as a whole
        if record[0].offset >= position:
            return record
        return Slice([one for one in record if one.offset >= position])


def take_records(result: FetchResult, count: int) -> list[Any]:
    """Return at most so many records of a fetch; `count` is at least SLICE_RECORDS. A slice that does not fit waits."""
    fetched = result._partition_records
    if type(fetched) is PartitionRecords:
        fetched.__class__ = SlicedPartitionRecords
        fetched._records = SlicedBatches(fetched._records)
    records: list[Any] = []
    while result.has_more():
        slices = (count - len(records)) // SLICE_RECORDS
        if slices <= 0:
            break
        for some in result.getall(slices):
            records += some
    return records
