"""What the demo shows: a live table while it runs, and the result."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from streams.audit.report import Report
from streams.demo.play import Played
from streams.demo.workload import PROVIDERS

SHOW_EVERY_SECONDS = 0.25
STATES = ("ADMITTED", "SUPPRESSED", "DUPLICATE", "DEFERRED", "RELEASED", "ACCEPTED", "UNKNOWN", "EXPIRED", "DEAD")


class Screen:
    """Live progress on a terminal; plain lines where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._shown_at = 0.0
        self._title = ""

    def __enter__(self) -> Screen:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        if self._live is not None:
            self._live.stop()

    def show(self, played: Played, title: str) -> None:
        """Show how far it is, at most four times a second."""
        now = time.monotonic()
        if title == self._title and now - self._shown_at < SHOW_EVERY_SECONDS:
            return
        if self._live is not None:
            self._live.update(_progress(played, title))
        elif title != self._title or now - self._shown_at > 2:
            counts = ", ".join(f"{state.lower()} {played.tally.states[state]}" for state in STATES)
            self._console.print(f"{title}: {len(played.tally.ended)} of {len(played.produced)} ended; {counts}")
        else:
            return
        self._title, self._shown_at = title, now


def _progress(played: Played, title: str) -> Table:
    seconds = max(0.001, time.monotonic() - played.started_at) if played.started_at else 0.001
    table = Table(title=title, show_header=False)
    table.add_row("read and ended", f"{len(played.tally.ended):,} of {len(played.produced):,}")
    table.add_row("events/s", f"{len(played.tally.ended) / seconds:,.0f}")
    for state in STATES:
        table.add_row(state.lower(), f"{played.tally.states[state]:,}")
    return table


def result(played: Played, report: Report) -> Table:
    """Return the table at the end."""
    states = played.tally.states
    seconds = max(0.001, played.ended_at - played.started_at)
    table = Table(title="what became of every event", show_header=False)
    table.add_row("read", f"{len(played.produced):,}")
    table.add_row("admitted", f"{states['ADMITTED']:,}")
    table.add_row("suppressed", f"{states['SUPPRESSED']:,}")
    table.add_row("duplicate", f"{states['DUPLICATE']:,}")
    table.add_row("scheduled", f"{states['DEFERRED']:,}")
    table.add_row("released", f"{states['RELEASED']:,}")
    for provider in PROVIDERS:
        table.add_row(f"accepted by {provider}", f"{played.tally.accepted[provider]:,}")
    for state in ("UNKNOWN", "EXPIRED", "NO_DEVICE", "DEAD"):
        table.add_row(state.lower().replace("_", " "), f"{states[state]:,}")
    table.add_section()
    table.add_row("pushes seen by the providers", f"{report.pushes or 0:,}")
    table.add_row("(user, type) slots among them", f"{report.pushed_slots:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    return table
