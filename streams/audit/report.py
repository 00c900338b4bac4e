"""What an audit found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from streams.audit.rows import Violation
from streams.audit.state_checks import StateReport


@dataclass(slots=True)
class Report:
    """Counts, and what is broken. `final`: ends of the events by state; `under_way`: those without an end so far;
    `turned_away`: by a cap."""

    events: int = 0
    final: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    unknown_reasons: Counter[str] = field(default_factory=Counter)
    slots: int = 0
    claims: int = 0
    pushes: int | None = None
    pushed_slots: int = 0
    dead_letters: int = 0
    turned_away: int = 0
    state: StateReport = field(default_factory=StateReport)
    violations: list[Violation] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def unknown_share(self) -> float:
        """The share of admitted notifications of which nobody knows whether they were sent."""
        admitted = self.states["ADMITTED"]
        return self.states["UNKNOWN"] / admitted if admitted else 0.0

    @property
    def first(self) -> Violation | None:
        """The earliest violation."""
        return min(self.violations, key=lambda violation: violation.at, default=None)
