"""The lane of broadcast: lists in small pieces, and the directory of its users only where it is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from streams.app import BEHIND_RECORDS, AppParts, create_app
from streams.lane.chunk import Chunk
from streams.lane.lane import LaneContext, RecordsLostError, StepLane
from streams.settings import load_settings
from streams.stages.broadcast import LIST_RECORDS_MAX, QUEUED_RECORDS_MAX, BroadcastDecider, BroadcastLane
from streams.types_file import NotificationTypes
from tests.simulation.memory_log import LogRecord


def context(stage: str, held: set[str], *topics: str) -> LaneContext:
    """What a lane is given; it commits nothing here."""
    return LaneContext(
        stage=stage,
        partition=0,
        transaction=cast(Any, None),
        positions=dict.fromkeys(topics, 10),
        hold=lambda topic, partition: held.add(topic),
        release=lambda topic, partition: held.discard(topic),
        wall_ms=lambda: 0,
        commit_seconds_max=1.0,
    )


def chunk(topic: str, start: int, end: int, offsets: range) -> Chunk:
    """A chunk with records at these offsets; the others are markers."""
    records = [LogRecord(offset, 0, b"b", b"", []) for offset in offsets]
    return Chunk(topic, 0, start, end, cast(Any, records))


def test_a_chunk_is_taken_in_small_pieces() -> None:
    """Each ends where the next one starts, the last one where the chunk ends; none holds more than one step takes."""
    held: set[str] = set()
    lane = BroadcastLane(context("broadcast", held, "a"), cast(Any, None))
    lane.offer(chunk("a", 10, 40, range(11, 31, 2)))
    lane.offer(chunk("a", 40, 41, range(0)))
    pieces = []
    while taken := lane.take(lane.step_records_max):
        pieces += taken
    assert [piece.start for piece in pieces] == [10, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == 41
    assert [len(piece.records) for piece in pieces] == [LIST_RECORDS_MAX, LIST_RECORDS_MAX, 2, 0]
    for piece in pieces:
        assert all(piece.start <= record.offset < piece.end for record in piece.records)
    with pytest.raises(RecordsLostError):
        lane.offer(chunk("a", 42, 43, range(42, 43)))


def test_a_long_list_waits_in_kafka() -> None:
    """Beyond so many records the topic is held, and released when half of them are taken."""
    held: set[str] = set()
    lane = BroadcastLane(context("broadcast", held, "a"), cast(Any, None))
    lane.offer(chunk("a", 10, 10 + QUEUED_RECORDS_MAX, range(10, 10 + QUEUED_RECORDS_MAX)))
    assert held == {"a"}
    while lane.queued_records >= QUEUED_RECORDS_MAX // 2:
        assert held == {"a"}
        lane.take(lane.step_records_max)
    assert held == set()


def test_users_are_read_where_deliver_has_them(tmp_path: Path) -> None:
    """Not before this worker has the partition of the directory and has read it, and not while deliveries pile up."""
    settings = load_settings(bootstrap="127.0.0.1:1", partitions=2, data_dir=tmp_path)
    app = create_app(AppParts(settings, NotificationTypes.load(), faust={"web_enabled": False}))
    stages, held = app.lanes.stages, set[str]()
    lane = cast(StepLane, stages["broadcast"].new_lane(context("broadcast", held, *stages["broadcast"].topics)))
    decider = cast(BroadcastDecider, lane.decider)
    assert not decider.teller.users.is_here()
    deliver = stages["deliver"].new_lane(context("deliver", held, *stages["deliver"].topics))
    app.lanes._lanes["deliver", 0] = deliver
    assert decider.teller.users.is_here()
    assert not decider.options.is_behind()
    outbox = stages["deliver"].topics[0]
    deliver.offer(chunk(outbox, 10, 10 + BEHIND_RECORDS, range(10, 10 + BEHIND_RECORDS)))
    assert decider.options.is_behind()
    assert decider.options.knows_type("any")
    assert lane.context.gate is not deliver.context.gate
    devices = stages["deliver"].topics[2]
    unread = replace(context("deliver", held, *stages["deliver"].topics), ends={devices: 12})
    app.lanes._lanes["deliver", 0] = deliver = stages["deliver"].new_lane(unread)
    assert not decider.teller.users.is_here()
    assert outbox in held
