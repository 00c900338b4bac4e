"""Follows `statuses`: counts by state, and which events have come to an end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from schemas.records import FINAL_STATES


@dataclass(slots=True)
class Tally:
    """Counts by state, and which events have come to an end."""

    states: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    ended: dict[tuple[int, int], str] = field(default_factory=dict)

    def add(self, status: dict[str, Any]) -> None:
        """Count one status."""
        state = status["state"]
        self.states[state] += 1
        if state == "ATTEMPTED" and status["reason"].startswith("ACCEPTED"):
            self.accepted[status["provider"]] += 1
        if state in FINAL_STATES:
            self.ended[status["origin_partition"], status["origin_offset"]] = state
