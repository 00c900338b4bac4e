"""What a lane of deliver has taken and not ended: entries by user, and how far each topic may be committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.codec import Codec
from schemas.poison import PoisonError
from streams.lane.chunk import Record
from streams.stages.deliver_entry import Entry, UserQueue, read_entry
from streams.stages.deliver_step import DeliverStep
from streams.stages.deliver_types import DeliverSettings
from streams.stages.offsets import OffsetTracker


class Intake:
    """One for each lane. `positions`: from where each topic is read."""

    def __init__(self, positions: Mapping[str, int], codec: Codec, settings: DeliverSettings) -> None:
        self.offsets = {topic: OffsetTracker(position) for topic, position in positions.items()}
        self.queue = UserQueue()
        self._codec = codec
        self._settings = settings

    def take(self, work: DeliverStep, records: Sequence[Record], topic: str) -> None:
        """Take records of `outbox` or `outbox-bulk`, in their order; what cannot be read is a dead letter."""
        offsets, queue, codec, settings = self.offsets[topic], self.queue, self._codec, self._settings
        for record in records:
            offsets.opened(record.offset)
            try:
                queue.add(read_entry(record, topic, codec, settings))
            except PoisonError as error:
                work.poison(error, record, topic)
                offsets.done(record.offset)

    def close(self, entry: Entry) -> None:
        """The entry is done with the commit of this step; the user's next one may follow."""
        self.offsets[entry.topic].done(entry.record.offset)
        self.queue.done(entry)

    def pending(self, partition: int) -> dict[tuple[str, int], int]:
        """Return how far each topic may be committed, where that is further than it is."""
        pending: dict[tuple[str, int], int] = {}
        for topic, tracker in self.offsets.items():
            offset = tracker.pending()
            if offset is not None:
                pending[topic, partition] = offset
        return pending
