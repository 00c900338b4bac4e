"""Which trace the code that runs now belongs to, for who writes a log line: set in a task, seen by what it calls."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

trace_of_record: Final[ContextVar[str]] = ContextVar("trace_of_record", default="")
