"""`ringonce broadcast` as far as it needs no Kafka: mistakes, and what is said of answers and of progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from schemas.records import BroadcastReport, BroadcastState
from streams.cli import command_line
from streams.commands.broadcast import answer_of, progress_line
from streams.policies.broadcasting import Action
from streams.publish.broadcasts import Controlled


@pytest.fixture(autouse=True)
def loud_clients() -> Iterator[None]:
    """A command makes the client's log quiet, for its process."""
    level = logging.getLogger("aiokafka").level
    yield
    logging.getLogger("aiokafka").setLevel(level)


def run(*arguments: str) -> Result:
    """Run the command in this process, with a Kafka that is not there and is not waited for."""
    environment = {"RINGONCE_BOOTSTRAP": "127.0.0.1:1", "COLUMNS": "200"}
    return CliRunner().invoke(command_line(), ["broadcast", *arguments], env=environment)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--type", "t"], "give one of --all"),
        (["--type", "t", "--all", "--filter", "bucket = 1"], "give one of --all"),
        (["--type", "t", "--filter", "bukket = 1"], "did you mean bucket?"),
        (["--type", "a b", "--all"], "type"),
        (["--type", "t", "--all", "--expires-in", "soon"], "--expires-in"),
        (["--type", "t", "--all", "--expires-in", "1h", "--expires-at", "2040-01-01T00:00Z"], "not both"),
        (["--type", "t", "--all", "--expires-at", "2001-01-01T00:00:00Z"], "is past"),
        (["--type", "t", "--all", "--send-at-local", "soon"], "send_at_local"),
        (["--type", "t", "--all", "--time-zone", "Europe/Wien"], "Europe/Vienna"),
        (["--type", "t", "--all", "--data", "x"], "--data"),
        (["--type", "t", "--all", "--id", ""], "broadcast_id"),
        (["--type", "t", "--all", "--body", "x" * 70_000], "65,536"),
    ],
)
def test_a_mistake_is_named(arguments: list[str], said: str) -> None:
    """With exit code 2, before Kafka is asked for anything."""
    done = run("start", *arguments, "--wait-seconds", "0")
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_worker_that_is_not_there_is_said(tmp_path: Path) -> None:
    """With the option that names another one."""
    for arguments in (["list"], ["show", "b"]):
        done = run(*arguments, "--url", "http://127.0.0.1:9")
        assert done.exit_code == 1
        assert "--url" in done.stderr


def report(state: BroadcastState, emitted: int = 0) -> BroadcastReport:
    """What one partition answers."""
    return {
        "broadcast_id": "b",
        "partition": 0,
        "state": state,
        "reason": "",
        "at": 0,
        "seen": emitted,
        "matched": emitted,
        "not_matched": 0,
        "emitted": emitted,
    }


@pytest.mark.parametrize(
    ("action", "reports", "said", "code"),
    [
        ("PAUSE", {0: report("PAUSED", 3), 1: report("DONE", 4)}, "PAUSED: 7 users told", 0),
        ("RESUME", {0: report("RUNNING", 3), 1: report("DONE", 4)}, "RUNNING: 7 users told", 0),
        ("CANCEL", {0: report("CANCELLED", 3), 1: report("DONE", 4)}, "not recalled", 0),
        ("CANCEL", {0: report("DONE", 3), 1: report("DONE", 4)}, "too late", 1),
        ("PAUSE", {0: report("CANCELLED"), 1: report("CANCELLED")}, "too late", 1),
        ("PAUSE", {0: report("UNKNOWN_ID"), 1: report("UNKNOWN_ID")}, "no broadcast of this id", 1),
        ("CANCEL", {0: report("CANCELLED")}, "1 of 2 partitions have not answered", 1),
    ],
)
def test_what_the_partitions_answer_is_one_sentence(
    action: Action, reports: Mapping[int, BroadcastReport], said: str, code: int
) -> None:
    """And an exit code that tells whether it was done."""
    sentence, found = answer_of(Controlled("r", reports), action, 2)
    assert said in sentence and found == code


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "RUNNING: 1,200 of 5,000 users seen, 1,000 told, 200/s, 1h 1m 5s left (started by ops)"),
        ({"users": None, "seconds_left": None}, "RUNNING: 1,200 of ? users seen, 1,000 told, 200/s, ? left (started"),
        ({"state": "DONE"}, "DONE: 1,200 of 5,000 users seen, 1,000 told (started by ops)"),
        ({"dry_run": True}, "1,100 would be told"),
        ({"waits_for": ["delivery, which is behind"]}, "left; waits for delivery, which is behind (started by ops)"),
    ],
)
def test_progress_in_one_line(more: dict[str, Any], said: str) -> None:
    """How many, how fast, how long; and what it waits for."""
    document = {
        "state": "RUNNING",
        "reason": "started by ops",
        "users": 5_000,
        "seen": 1_200,
        "matched": 1_100,
        "emitted": 1_000,
        "told_per_second": 200,
        "seconds_left": 3_665.2,
        **more,
    }
    assert said in progress_line(document)
