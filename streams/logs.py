"""What a process writes to its log: one line for each record, for people or as JSON, and never a secret.

Levels oblige: ERROR, a person must act; WARNING, it mends itself, look when it comes again; INFO, a change of state;
DEBUG, for whoever works on the code. Normal work is silent: counts are metrics. docs/logs.md.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, SecretStr

from streams.tracing.current import trace_of_record

LogFormat = Literal["human", "json"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

# `suppress-3`: the lane that the code which runs now belongs to; set in its task, seen by what it calls.
lane_of_record: Final[ContextVar[str]] = ContextVar("lane_of_record", default="")

SECRET_CHARACTERS_MIN: Final = 4  # what is shorter would blot out words
HIDDEN: Final = "***"
# A user and a password in a URL, and what comes behind the name of an authentication scheme: they may not be ours.
_CREDENTIALS: Final = re.compile(r"(://)[^/@\s:]+:[^/@\s]+(@)|(\b(?:Bearer|Basic) )[\w.~+/=-]{8,}()")
_LINE_ENDS: Final = re.compile(r"\s*[\r\n\x0b\x0c\x85\u2028\u2029]+\s*")
# A coordinator that is being elected, and what is under way while a client ends.
_PASSING: Final = re.compile(r"GroupCoordinatorNotAvailable|Unclosed AIOKafkaConnection|Failed fetch messages")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def secrets_of(settings: BaseModel) -> list[str]:
    """Return what the settings call secret."""
    found: list[str] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, BaseModel):
            found += secrets_of(value)
    return [secret for secret in found if len(secret) >= SECRET_CHARACTERS_MIN]


class _OneLine(logging.Formatter):
    """What both formats share: the fields of a record, without line ends and without secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = sorted(secrets, key=len, reverse=True)  # one may hold another
        self._worker = f"{socket.gethostname()}-{os.getpid()}"

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the fields; those that are not known are left out."""
        stage, _, partition = lane_of_record.get().rpartition("-")
        trace_id = getattr(record, "trace_id", "") or trace_of_record.get()
        found: dict[str, Any] = {
            "at": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": self._clean(record.getMessage()),
            "worker": self._worker,
        }
        if stage:
            found |= {"stage": stage, "partition": int(partition)}
        if trace_id:
            found["trace_id"] = trace_id
        if record.exc_info and record.exc_info[0] is not None:
            found["exception"] = self._clean(self.formatException(record.exc_info))
        return found

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _CREDENTIALS.sub(rf"\1\3{HIDDEN}\2", text)
        return _CONTROLS.sub("�", _LINE_ENDS.sub(" | ", text.strip()))


class JsonLines(_OneLine):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return json.dumps(self.fields(record), ensure_ascii=False)


class HumanLines(_OneLine):
    """Instant, level, logger, where, message; a traceback follows behind bars in the same line."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        found = self.fields(record)
        where = [f"{found['stage']}-{found['partition']}"] if "stage" in found else []
        where += [f"trace={found['trace_id']}"] if "trace_id" in found else []
        placed = f" [{' '.join(where)}]" if where else ""
        behind = f" | {found['exception']}" if "exception" in found else ""
        return f"{found['at']} {found['level']} {found['logger']}{placed}: {found['message']}{behind}"


class _TheirLevels(logging.Filter):
    """Gives what Kafka's client says the level that it obliges to here: it tries again by itself, and what it cannot
    mend it raises, which one of ours says. It warns of each rebalance, and calls an error what passes at once."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging."""
        if record.name.startswith("aiokafka") or "AIOKafka" in str(record.msg):
            passing = _PASSING.search(record.getMessage()) is not None
            record.levelno = logging.INFO if passing else max(logging.DEBUG, record.levelno - 10)
            record.levelname = logging.getLevelName(record.levelno)
        return record.levelno >= self._level


def start_logging(log_format: LogFormat, level: str, secrets: Iterable[str] = ()) -> logging.Handler:
    """Let all records of this level and above go to stderr. Returns what writes them."""
    handler = logging.StreamHandler()
    handler.setFormatter((JsonLines if log_format == "json" else HumanLines)(secrets))
    handler.addFilter(_TheirLevels(logging.getLevelNamesMapping()[level]))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    return handler


def notice(handler: logging.Handler, text: str) -> None:
    """Say what a person waits for, such as `ready`, whatever the level is."""
    handler.emit(logging.LogRecord("ringonce", logging.INFO, "", 0, text, None, None))
