"""One line for each record, with what is known of it, and never a secret."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from streams.logs import HumanLines, JsonLines, lane_of_record, notice, secrets_of, start_logging
from streams.settings import load_settings
from streams.tracing.current import trace_of_record

SECRET = "correct-horse-battery"


def record(text: str, *arguments: object, **extra: Any) -> logging.LogRecord:
    """A record as a module of ours makes it."""
    made = logging.LogRecord("streams.worker", logging.ERROR, __file__, 1, text, arguments, None)
    made.__dict__.update(extra)
    return made


def with_traceback() -> logging.LogRecord:
    """One that has caught something."""
    made = record("it failed")
    try:
        raise ValueError(f"two\nlines with {SECRET}")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_json_line_has_the_fields_that_are_documented() -> None:
    """And only those that are known."""
    shown = json.loads(JsonLines([]).format(record("%d of %s", 3, "them")))
    assert set(shown) == {"at", "level", "logger", "message", "worker"}
    assert (shown["level"], shown["logger"], shown["message"]) == ("ERROR", "streams.worker", "3 of them")
    assert len(shown["at"]) == len("2026-03-01T09:30:00.123Z") and shown["at"].endswith("Z")


def test_what_a_lane_writes_says_where_and_of_which_notification() -> None:
    """Set in its task, seen by all that it calls."""
    lane, trace = lane_of_record.set("suppress-3"), trace_of_record.set("ab" * 16)
    try:
        shown = json.loads(JsonLines([]).format(record("x")))
        human = HumanLines([]).format(record("x"))
    finally:
        lane_of_record.reset(lane)
        trace_of_record.reset(trace)
    assert (shown["stage"], shown["partition"], shown["trace_id"]) == ("suppress", 3, "ab" * 16)
    assert human.endswith(f" ERROR streams.worker [suppress-3 trace={'ab' * 16}]: x")
    assert json.loads(JsonLines([]).format(record("x", trace_id="cd" * 16)))["trace_id"] == "cd" * 16


@pytest.mark.parametrize("lines", [JsonLines, HumanLines])
def test_a_record_is_one_line(lines: type[JsonLines | HumanLines]) -> None:
    """Also with a traceback, and whatever a provider or a producer has put into it."""
    hostile = "first\r\n2026-01-01 ERROR forged\u2028and\x0bmore\x1b[31m"
    for made in (with_traceback(), record("%s", hostile)):
        shown = lines([]).format(made)
        assert len(shown.splitlines()) == 1
        assert "\x1b" not in shown
    assert "ValueError: two | lines" in lines([]).format(with_traceback())


@pytest.mark.parametrize("lines", [JsonLines, HumanLines])
def test_no_secret_is_written(lines: type[JsonLines | HumanLines]) -> None:
    """Neither one of the settings, nor a password in a URL, nor a token behind its scheme."""
    settings = load_settings(
        sasl_password=SECRET, history_url=f"postgresql://me:{SECRET}@host/db", otlp_headers="x=another-secret"
    )
    formatter = lines(secrets_of(settings))
    shown = [
        formatter.format(with_traceback()),
        formatter.format(record("refused: %s and x=another-secret", SECRET)),
        formatter.format(record("GET https://user:of-somebody@host/path")),
        formatter.format(record("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30")),
    ]
    text = "\n".join(shown)
    for secret in (SECRET, "another-secret", "of-somebody", "eyJhbGci"):
        assert secret not in text
    assert "https://***@host/path" in shown[2] and "Bearer ***" in shown[3]


@pytest.mark.parametrize(
    ("logger", "level", "text", "shown"),
    [
        ("aiokafka.consumer.group_coordinator", logging.WARNING, "Heartbeat failed because it is rebalancing", "INFO"),
        ("aiokafka.consumer.group_coordinator", logging.ERROR, "GroupCoordinatorNotAvailableError", "INFO"),
        ("aiokafka.conn", logging.ERROR, "Unable connect to node", "WARNING"),
        ("asyncio", logging.ERROR, "Unclosed AIOKafkaConnection\nconn: 127.0.0.1", "INFO"),
        ("asyncio", logging.ERROR, "Task was destroyed but it is pending!", "ERROR"),
        ("streams.worker", logging.WARNING, "while stopping", "WARNING"),
    ],
)
def test_levels_are_what_they_oblige_to(logger: str, level: int, text: str, shown: str) -> None:
    """Kafka's client warns of what passes by itself; all others are taken at their word."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        handler = start_logging("json", "WARNING", [])
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
    made = logging.LogRecord(logger, level, "", 0, text, None, None)
    assert handler.filter(made) == (shown != "INFO")
    assert made.levelname == shown


def test_a_notice_is_written_at_every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for `ready` sees it, as a line of the same format; what is below the level is not written."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    try:
        handler = start_logging("json", "ERROR", [])
        notice(handler, "ready: all")
        logging.getLogger("x").warning("not this")
        logging.getLogger("x").error("but this")
    finally:
        root.handlers[:], level = before[0], before[1]
        root.setLevel(level)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["ready: all", "but this"]
