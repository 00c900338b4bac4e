"""What it costs to tell how each event ended: the suppress worker, telling only how many ended how.

    python -m tests.benchmarks.counting_worker '{"bootstrap": …}'       as tests.suppress_worker

No mode of ringonce, whose promise is that every event ends in a status of its own: a step's statuses are replaced by
one record that counts them when the step is committed. They are still made, a twentieth of the time.
"""

from __future__ import annotations

from typing import Final

import streams.lane.lanes
from streams.lane.step import Step
from streams.lane.transaction import PartitionTransaction
from tests.benchmarks.counts import counted
from tests.suppress_worker import main

STATUSES: Final = "statuses"  # the end of the topic's name, whatever its prefix
OUTBOX: Final = "outbox"


class CountingTransaction(PartitionTransaction):
    """Commits a count in place of statuses."""

    async def commit(self, step: Step) -> None:
        """See PartitionTransaction."""
        admitted = sum(len(records) for (topic, _), records in step.outputs.items() if topic.endswith(OUTBOX))
        for place, records in step.outputs.items():
            if place[0].endswith(STATUSES) and records:
                step.outputs[place] = [counted(records, admitted)]
        await super().commit(step)


if __name__ == "__main__":
    streams.lane.lanes.PartitionTransaction = CountingTransaction  # type: ignore[attr-defined] # imported there
    main()
