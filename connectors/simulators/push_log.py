"""The push log: every push that a device has shown or may show. It is the record that an auditor trusts."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from connectors.outcome import ProviderName

# Another process that follows the file is never further behind than this.
FLUSH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Shown:
    """One push, at the instant at which the service accepted it, whether or not its answer reached the sender.

    `at_ms` and `expires_at_ms` are milliseconds since the epoch by the simulators' clock; 0 as expiry: kept for no
    time, None: the sender said nothing. `user` is the payload's `user_id`, `push_id` the apns-id or the payload's
    `push_id`, empty where there is none. `connection` and `stream` tell requests apart: two entries with the same
    pair cannot be.
    """

    at_ms: int
    provider: ProviderName
    address: str
    notification_id: str
    type: str
    user: str
    push_id: str
    collapse_id: str
    expires_at_ms: int | None
    connection: int
    stream: int


@dataclass(slots=True)
class Counts:
    """What one provider was asked and said. `shown` counts pushes after collapsing: two that share a collapse id
    on one device are one. `accepted` counts each."""

    requests: int = 0
    accepted: int = 0
    shown: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class PushLog:
    """Pushes in the order of their acceptance, in memory and optionally as JSON lines in a file (appended)."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Shown] = []
        self.counts: dict[ProviderName, Counts] = {name: Counts() for name in ProviderName}
        self._collapsed: set[tuple[str, str]] = set()
        self._written = 0
        self._file: TextIO | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def record(self, shown: Shown) -> None:
        """Put one accepted push on record. Must be called inside the event loop."""
        self.entries.append(shown)
        counts = self.counts[shown.provider]
        counts.accepted += 1
        key = (shown.address, shown.collapse_id)
        if not shown.collapse_id or key not in self._collapsed:
            counts.shown += 1
            self._collapsed.add(key)
        if self._file is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        if self._waiting:
            self._wake()

    async def wait_for(self, count: int, timeout_seconds: float = 10.0) -> list[Shown]:
        """Wait until `count` pushes are on record, and give them all. Raises TimeoutError."""
        ready: Callable[[], bool] = lambda: len(self.entries) >= count  # noqa: E731 (named for its type)
        if not ready():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((ready, future))
            async with asyncio.timeout(timeout_seconds):
                await future
        return list(self.entries)

    def flush(self) -> None:
        """Write what is not yet in the file."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._file is not None and self._written < len(self.entries):
            lines = [json.dumps(asdict(entry), separators=(",", ":")) for entry in self.entries[self._written :]]
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()
            self._written = len(self.entries)

    def close(self) -> None:
        """Flush, and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def counts_as_json(self) -> dict[str, dict[str, Any]]:
        """The counters by provider, as plain values."""
        # Not by asdict(): it takes a Counter for a plain mapping and counts its pairs.
        return {
            name.value: {
                "requests": counts.requests,
                "accepted": counts.accepted,
                "shown": counts.shown,
                "refused": dict(counts.refused),
            }
            for name, counts in self.counts.items()
        }

    def _wake(self) -> None:
        still_waiting = []
        for ready, future in self._waiting:
            if future.done():
                continue
            if ready():
                future.set_result(None)
            else:
                still_waiting.append((ready, future))
        self._waiting = still_waiting
