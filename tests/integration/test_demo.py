"""`ringonce demo`: it ends well when the promise was kept, badly when it was not, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import typer

from streams.commands.demo import _judge
from streams.demo.play import Played
from tests.integration.system import USERS, System, event, system

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 240.0


def start_demo(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo with its temporary files in this directory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    cache = {"RINGONCE_CACHE": os.environ["RINGONCE_CACHE"]} if "RINGONCE_CACHE" in os.environ else {}
    # A shell ignores Ctrl-C for what it starts in the background, and so would all that the tests start from there.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "streams", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env={**clean, **cache, "TMPDIR": str(directory), "COLUMNS": "120"},
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, ours)


def left_behind(directory: Path) -> list[str]:
    """What runs with a file of this directory, and what lies in it."""
    running = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in running if str(directory) in line] + [path.name for path in directory.iterdir()]


def test_the_demo_keeps_its_promise(tmp_path: Path) -> None:
    """A small one ends with 0 and a table in which every event has come to an end; nothing runs and nothing lies
    around afterwards."""
    demo = start_demo(tmp_path, "--users", "300", "--events", "1500")
    said, _ = demo.communicate(timeout=SECONDS_MAX)
    assert demo.returncode == 0, said
    assert "kept: no (user, type) got two within the window, and every event has exactly one end" in said
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in said.splitlines() if line.count("│") == 3]
    table = {name: int(value.replace(",", "")) for name, value in cells if value.replace(",", "").isdigit()}
    assert table["read"] == 1500
    ends = ("suppressed", "duplicate", "dead", "expired", "unknown", "no device")
    assert sum(table[end] for end in ends) + table["(user, type) slots among them"] == 1500
    assert left_behind(tmp_path) == []


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C in the middle: broker, simulators, workers and files are gone, and the exit code is not 0."""
    demo = start_demo(tmp_path, "--users", "100", "--events", "200000")
    assert demo.stdout is not None, "started with a pipe"
    for line in demo.stdout:
        if line.startswith("playing"):
            break
    demo.send_signal(signal.SIGINT)
    said, _ = demo.communicate(timeout=SECONDS_MAX)
    assert demo.returncode not in (0, None), said
    assert left_behind(tmp_path) == []


@pytest.fixture(scope="module")
def played(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Path]]:
    """A system that has worked on its events, and whose worker has left; with the providers' push log."""
    directory = tmp_path_factory.mktemp("demo")
    with system(kafka, f"d{os.getpid()}-", directory) as running:
        worker = running.worker("worker")
        running.wait_for_devices()
        running.ended(running.produce(event(f"user-{n:06d}", "order_ready", f"n{n}") for n in range(USERS)))
        worker.stop()
        yield running, directory / "simulators" / "pushes.jsonl"


def judged(running: System, pushes: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code that the demo's judgement leads to, and what is said."""
    try:
        _judge(running.settings, Played(), pushes)
    except typer.Exit as end:
        code = end.exit_code
    else:
        code = 0
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_what_was_kept_is_judged_so(played: tuple[System, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The record as it is leads to exit code 0: the judgements below fail for what is changed in them."""
    running, pushes = played
    code, said = judged(running, pushes, capsys)
    assert code == 0, said


def test_no_push_at_all_is_a_failure(
    played: tuple[System, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A demo in which nothing reaches a provider has not shown anything: exit code 1."""
    running, _ = played
    (tmp_path / "pushes.jsonl").touch()
    code, said = judged(running, tmp_path / "pushes.jsonl", capsys)
    assert code == 1
    assert "no provider has seen any push" in said


@pytest.mark.parametrize("change", ["again", "another", "nobody"])
def test_a_push_too_many_is_a_failure(
    played: tuple[System, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """The same push twice, a second notification for the slot, and one that nobody asked for: exit code 1."""
    running, pushes = played
    lines = pushes.read_text(encoding="utf-8").splitlines()
    extra = json.loads(lines[0])
    if change == "another":
        extra["notification_id"] = json.loads(lines[1])["notification_id"]
    elif change == "nobody":
        extra |= {"notification_id": "nobody-asked", "push_id": "00000000-0000-4000-8000-000000000000"}
    changed = tmp_path / "pushes.jsonl"
    changed.write_text("\n".join([*lines, json.dumps(extra)]) + "\n", encoding="utf-8")
    code, said = judged(running, changed, capsys)
    assert code == 1, said
    assert "the promise was not kept" in said


def test_a_lost_push_is_a_failure(
    played: tuple[System, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A notification that is said to be accepted, and that no provider has seen: exit code 1."""
    running, pushes = played
    lines = pushes.read_text(encoding="utf-8").splitlines()
    changed = tmp_path / "pushes.jsonl"
    changed.write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    code, said = judged(running, changed, capsys)
    assert code == 1, said
    assert "the promise was not kept" in said


def test_an_event_without_an_end_is_a_failure(played: tuple[System, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """An event that nobody works on any more: exit code 1, and the event is named. It stays, so this comes last."""
    running, pushes = played
    running.produce([event("user-000001", "never_read", "never-read")])
    code, said = judged(running, pushes, capsys)
    assert code == 1, said
    assert "the promise was not kept" in said
