"""The CPU of suppress' own steps without Kafka, by the code of any checkout: `suppress_steps.py EVENTS PASSES [RATIO]`.

Decides on the events of the suppression benchmark, 2,000 at a time, counts them, and applies the changes to RocksDB.
Only deciding and counting are timed: what a change of metrics or traces adds is there, and a broker's noise is not.
Prints the least of all passes, in microseconds for each event. RATIO: with traces, of which this part is kept.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from schemas.codec import Codec
from streams.app import slot_policies
from streams.lane.chunk import Chunk
from streams.settings import load_settings
from streams.stages.slots_table import SlotsTable
from streams.stages.suppress import SuppressDecider
from streams.topics import TopicNames
from streams.types_file import NotificationTypes
from tests.benchmarks.workload import Workload, make_workload
from tests.simulation.memory_log import LogRecord, MemoryLog
from tests.simulation.tables import new_table, recover, unstarted_app

CHUNK = 2_000
NOW = 1_800_000_000_000


class Dropped:
    """A sink that keeps nothing."""

    def take(self, span: object) -> None:
        """See SpanSink."""


def run(workload: Workload, options: dict[str, Any]) -> float:
    """One pass on a table of its own; microseconds for each event."""
    settings = load_settings(bootstrap="127.0.0.1:1", partitions=1)
    topics, types = TopicNames.of(settings), NotificationTypes.load()
    with tempfile.TemporaryDirectory() as directory:
        app = unstarted_app(Path(directory), 1)
        table = new_table(app, SlotsTable, "slots")
        recover(table, MemoryLog(), 0)
        policy_of = slot_policies(types, settings)
        decider = SuppressDecider(0, 1, table, topics, policy_of, Codec(), **options)
        records = [
            LogRecord(offset, NOW - 20, event.slot, event.value, [])
            for offset, event in enumerate(workload.partitions[0])
        ]
        seconds = 0.0
        gc.collect()
        gc.freeze()
        gc.disable()
        for start in range(0, len(records), CHUNK):
            part = records[start : start + CHUNK]
            chunk = Chunk(topics.notifications, 0, start, start + len(part), part)
            began_at = time.thread_time()
            step = decider.step([chunk], NOW + start)
            for count in getattr(step, "committed", ()):
                count()
            seconds += time.thread_time() - began_at
            for changes in step.changes.values():
                table.apply(0, changes, start)
        gc.unfreeze()
        gc.enable()
    return seconds * 1e6 / len(records)


def main() -> None:
    """Print the least of the passes."""
    events, passes = int(sys.argv[1]), int(sys.argv[2])
    options: dict[str, Any] = {}
    if len(sys.argv) > 3:
        from streams.tracing import Tracer

        options["tracer"] = Tracer(float(sys.argv[3]), Dropped())
    workload = make_workload(events, 1)
    print(f"{min(run(workload, options) for _ in range(passes)):.4f}")


if __name__ == "__main__":
    main()
