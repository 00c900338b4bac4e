"""The plot of the suppression benchmark, as SVG: a bar for the median of each implementation, a dot for each run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, Protocol

WIDTH: Final = 860
NAMES_WIDTH: Final = 210
FIGURES_WIDTH: Final = 250
ROW: Final = 26
BAR: Final = 16
TOP: Final = 44
BOTTOM: Final = 34
OURS_COLOUR: Final = "#1769aa"
OTHERS_COLOUR: Final = "#9aa5b1"


class Bar(Protocol):
    """What is drawn of one implementation."""

    @property
    def implementation(self) -> str: ...
    @property
    def events_per_second(self) -> int: ...
    @property
    def cpu_us_per_event(self) -> float: ...
    @property
    def rss_megabytes_max(self) -> float: ...


class Dot(Protocol):
    """One run."""

    @property
    def implementation(self) -> str: ...
    @property
    def events_per_second(self) -> int: ...


def plot(bars: Sequence[Bar], dots: Sequence[Dot], ours: str, foot: str) -> str:
    """The whole picture. `ours`: what the names of our own begin with; `foot`: the line below it."""
    fastest = max((each.events_per_second for each in (*bars, *dots)), default=1)
    room = WIDTH - NAMES_WIDTH - FIGURES_WIDTH
    height = TOP + ROW * len(bars) + BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="20" font-size="14" font-weight="bold">Suppression: events per second, one process</text>',
        f'<text x="{NAMES_WIDTH + room + 14}" y="36" fill="#555555">events/s, CPU µs/event, peak RSS</text>',
    ]
    for index, bar in enumerate(bars):
        top = TOP + index * ROW
        middle, width = top + BAR / 2, bar.events_per_second / fastest * room
        colour = OURS_COLOUR if bar.implementation.startswith(ours) else OTHERS_COLOUR
        figures = f"{bar.events_per_second:,}   {bar.cpu_us_per_event:.1f} µs   {bar.rss_megabytes_max:.0f} MB"
        lines += [
            f'<text x="{NAMES_WIDTH - 8}" y="{top + 12}" text-anchor="end">{escape(bar.implementation)}</text>',
            f'<rect x="{NAMES_WIDTH}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{NAMES_WIDTH + room + 14}" y="{top + 12}" xml:space="preserve">{figures}</text>',
        ]
        for dot in dots:
            if dot.implementation == bar.implementation:
                x = NAMES_WIDTH + dot.events_per_second / fastest * room
                lines.append(f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="3" fill="#222222" fill-opacity="0.6"/>')
    lines += [f'<text x="10" y="{height - 10}" font-size="10" fill="#555555">{escape(foot)}</text>', "</svg>", ""]
    return "\n".join(lines)
