"""What a benchmark says about its runs, and what peers are given."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from schemas.codec import Codec
from tests.benchmarks.bench_growth import Slots
from tests.benchmarks.bench_suppress import available
from tests.benchmarks.counts import counted, read_counts
from tests.benchmarks.implementations import IMPLEMENTATIONS
from tests.benchmarks.peers.given import delivery, read_notification, status, write
from tests.benchmarks.results import Run, commands_of, read_runs, summarize, write_results
from tests.benchmarks.workload import TYPES, make_workload


def _run(name: str, number: int, events_per_second: int) -> Run:
    return Run(name, 100, 30, events_per_second, 1.0, 50.0, number)


def test_ratios_are_those_of_runs_of_one_round() -> None:
    """A round without the other one counts for nothing: its minute of the machine was another."""
    runs = [_run("ringonce", 0, 900), _run("ringonce", 1, 100), _run("ringonce", 2, 200)]
    runs += [_run("peer", 1, 50), _run("peer", 2, 100)]
    assert [one.ours_to_it for one in summarize(runs)] == [1.0, 2.0]


def test_rounds_can_be_added_and_the_plot_shows_each_run(tmp_path: Path) -> None:
    """What is written can be read again, and the picture has a bar for each implementation and a dot for each run."""
    runs = [_run("ringonce", 0, 900), _run("a <peer> & more", 0, 300), _run("ringonce", 1, 800)]
    table = write_results(runs, "bench", 4, tmp_path / "found.json", {"other": "there is no other"})
    assert read_runs(tmp_path / "found.json") == runs
    assert commands_of(tmp_path / "found.json", "bench") == "bench"
    assert commands_of(tmp_path / "found.json", "bench --append") == "bench; bench --append"
    assert "Left out: other, there is no other" in table
    picture = ElementTree.fromstring((tmp_path / "found.svg").read_text(encoding="utf-8"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(picture.findall(f"{space}circle")) == 3
    assert "a <peer> & more" in [text.text for text in picture.findall(f"{space}text")]


def test_a_peer_that_cannot_be_had_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are measured."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    wanted = [one for one in IMPLEMENTATIONS if one.name in ("ringonce", "redis, pipelined")]
    found, left_out = available(wanted)
    assert [one.name for one in found] == ["ringonce"]
    assert "redis-server" in left_out["redis, pipelined"]


def test_counts_in_place_of_statuses() -> None:
    """One record for a step's statuses, which says how many there were of each kind."""
    key, value, headers = counted([(b"a:t", b"status", []), (b"b:t", b"status", []), (b"a:t", b"status", [])], 1)
    assert (key, headers) == (None, [])
    assert read_counts(value or b"") == {"ADMITTED": 1, "SUPPRESSED": 2}


def test_peers_write_what_the_contracts_say() -> None:
    """Their status and delivery are read by our codec as they were written."""
    event = make_workload(1, 1).partitions[0][0]
    notification = read_notification(event.value)
    told = status(notification, 0, 7, 1_000, ("other", 5_000))
    assert Codec().decode(write("Status", told), ("Status",)).record.items() >= told.items()
    passed = delivery(notification, 0, 7, 1_000)
    assert Codec().decode(write("Delivery", passed), ("Delivery",)).record == passed


def test_events_of_growth_are_those_of_their_slots() -> None:
    """What is made from templates is a notification whose key and id are those of the event."""
    events = [event for its in Slots(3).workload(iter(range(40, 48)), 5).partitions for event in its]
    assert len(events) == 8
    for event in events:
        record = Codec().decode(event.value, ("Notification",)).record
        assert event.slot.decode() == f"{record['user_id']}:{record['type']}"
        assert record["notification_id"] == event.notification_id
        slot = int(event.notification_id[-10:])
        assert (record["user_id"], record["type"]) == (f"user-{slot // len(TYPES):07d}", TYPES[slot % len(TYPES)])
