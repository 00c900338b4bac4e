"""What one step of a stage does to the world outside: records, changes of its tables, offsets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Headers = list[tuple[str, bytes]]
Output = tuple[bytes | None, bytes | None, Headers]
Changes = dict[bytes, bytes | None]

NO_HEADERS: Headers = []  # shared by all records without any; aiokafka's builder wants a list


@dataclass(slots=True)
class Step:
    """Everything that one step of a stage does to the world outside; all of it happens or none.

    `decided_at`: the time that it was decided by, milliseconds since the epoch; 0: it does not depend on time.
    `committed`: what is called once all of it has happened, to count it; a step that is not committed is not counted.
    """

    outputs: dict[tuple[str, int], list[Output]] = field(default_factory=dict)
    changes: dict[str, Changes] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    decided_at: int = 0
    committed: list[Callable[[], None]] = field(default_factory=list)

    def output(self, topic: str, partition: int) -> list[Output]:
        """Return the records of what the step produces there, for many to be added to."""
        place = (topic, partition)
        records = self.outputs.get(place)
        if records is None:
            records = self.outputs[place] = []
        return records

    def emit(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = NO_HEADERS
    ) -> None:
        """Add one record to what the step produces."""
        self.output(topic, partition).append((key, value, headers))

    def is_empty(self) -> bool:
        """Tell whether committing it would change anything."""
        return not (self.offsets or any(self.outputs.values()) or any(self.changes.values()))
