"""The names of the topics as the stages use them, prefix included."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageTopics:
    """One name for each topic of the straight line."""

    notifications: str
    due: str
    verdicts: str
    scheduled: str
    outbox: str
    statuses: str
    dead_letters: str
    devices: str

    @classmethod
    def with_prefix(cls, prefix: str) -> StageTopics:
        """Return the names with this put before each."""
        return cls(
            notifications=f"{prefix}notifications",
            due=f"{prefix}due",
            verdicts=f"{prefix}verdicts",
            scheduled=f"{prefix}scheduled",
            outbox=f"{prefix}outbox",
            statuses=f"{prefix}statuses",
            dead_letters=f"{prefix}dead-letters",
            devices=f"{prefix}devices",
        )
