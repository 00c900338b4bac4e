"""What the lanes of a worker show of themselves: how far they are, how late, how long a commit takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from faust.types import TP
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from streams.metrics import Metric, counter, gauge, histogram

from .table import LaneTable

if TYPE_CHECKING:
    from .app import LaneApp
    from .recovery import LaneTableManager


class LanesCollector(Collector):
    """Shows the lanes that this worker has right now."""

    def __init__(self, app: LaneApp) -> None:
        self._app = app

    def describe(self) -> Iterable[Family]:
        """Return nothing: the app is not there yet when this is added."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Return the families with their values."""
        return [*self._work(), *self._lag(), *self._recovery(), self._rows()]

    def _work(self) -> Iterable[Family]:
        lanes, clock = self._app.lanes, self._app.lanes.clock
        ready, partitions, commits = gauge(Metric.READY), gauge(Metric.PARTITIONS), histogram(Metric.COMMIT_SECONDS)
        ready.add_metric([], float(lanes.opened.is_set()))
        for stage, buckets in lanes.commit_ms.items():
            partitions.add_metric([stage], len(lanes.lanes(stage)))
            buckets.show(commits, [stage])
        offset, offset_max = gauge(Metric.CLOCK_OFFSET_SECONDS), gauge(Metric.CLOCK_OFFSET_MAX_SECONDS)
        offset.add_metric([], clock.off_ms / 1000)
        offset_max.add_metric([], clock.off_ms_max / 1000)
        return ready, partitions, commits, offset, offset_max

    def _lag(self) -> Iterable[Family]:
        records, seconds = gauge(Metric.LAG_RECORDS), gauge(Metric.LAG_SECONDS)
        queued = gauge(Metric.QUEUED_RECORDS)
        lanes = self._app.lanes
        now = lanes.clock.wall_ms()
        for lane in lanes.all():
            stage, partition = lane.context.stage, str(lane.partition)
            queued.add_metric([stage, partition], lane.queued_records)
            for topic, offset in lane.progress.offsets.items():
                labels = [stage, topic, partition]
                records.add_metric(labels, max(0, lanes.ends.get(TP(topic, lane.partition), 0) - offset))
                oldest = lane.progress.oldest_ms(topic)
                seconds.add_metric(labels, 0.0 if oldest is None else max(0, now - oldest) / 1000)
        return records, seconds, queued

    def _recovery(self) -> Iterable[Family]:
        replayed, remaining = gauge(Metric.RECOVERY_REPLAYED_RECORDS), gauge(Metric.RECOVERY_REMAINING_RECORDS)
        seconds, followed = gauge(Metric.RECOVERY_SECONDS), counter(Metric.STANDBY_RECORDS_TOTAL)
        replay = self._app.replay
        replayed.add_metric([], 0 if replay is None else replay.replayed)
        remaining.add_metric([], 0 if replay is None else replay.remaining)
        seconds.add_metric([], 0 if replay is None else replay.seconds)
        followed.add_metric([], cast("LaneTableManager", self._app.tables).recovery.follower.applied)
        return replayed, remaining, seconds, followed

    def _rows(self) -> Family:
        rows = gauge(Metric.TABLE_ROWS)
        for name, table in self._app.tables.items():
            rows.add_metric([name], cast(LaneTable, table).rows_estimated())
        return rows
