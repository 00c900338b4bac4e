"""The clock that the schedule goes by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from streams.app import AppParts, create_app
from streams.lane.lane import LaneContext, StepLane
from streams.settings import load_settings
from streams.topics import TopicNames
from streams.types_file import NotificationTypes


def test_a_clock_that_was_ahead_for_a_moment_releases_nothing_early(tmp_path: Path) -> None:
    """The lane of schedule follows its clock back; one that never goes back would be an hour early from then on.

    12:00:00   13:00:00 (wrong)   12:00:01 (right again)
    |----------^------------------|
    """
    now = [1_700_000_000_000]
    settings = load_settings(bootstrap="127.0.0.1:9", partitions=1, data_dir=tmp_path)
    parts = AppParts(settings, NotificationTypes.load(), stages=frozenset({"schedule"}), faust={"web_enabled": False})
    app = create_app(parts)
    context = LaneContext(
        stage="schedule",
        partition=0,
        transaction=cast(Any, None),
        positions={TopicNames.of(settings).scheduled: 0},
        hold=lambda topic, partition: None,
        release=lambda topic, partition: None,
        wall_ms=lambda: now[0],
        commit_seconds_max=1.0,
    )
    lane = cast(StepLane, app.lanes.stages["schedule"].new_lane(context))
    now[0] += 3_600_000
    assert lane._clock.now_ms() == now[0]
    now[0] -= 3_599_000
    assert lane._clock.now_ms() == now[0]
