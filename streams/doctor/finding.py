"""What a check found: a sentence about what is, and one about what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Health(StrEnum):
    """`WARN`: works, and will hurt. `FAIL`: does not work, or breaks the promise. `SKIP`: could not be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Finding(NamedTuple):
    """`area`: broker, topics, clocks … `todo`: empty where there is nothing to do."""

    area: str
    health: Health
    found: str
    todo: str = ""


def ok(area: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(area, Health.OK, found)


def warn(area: str, found: str, todo: str) -> Finding:
    """Return what will hurt."""
    return Finding(area, Health.WARN, found, todo)


def fail(area: str, found: str, todo: str) -> Finding:
    """Return what does not work."""
    return Finding(area, Health.FAIL, found, todo)


def skip(area: str, found: str, todo: str = "") -> Finding:
    """Return what could not be looked at, and why."""
    return Finding(area, Health.SKIP, found, todo)
