"""What a panel and a row are, and the queries that most panels ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["stat", "timeseries", "table"]
Step = tuple[float | None, str]


@dataclass(frozen=True)
class Panel:
    """A panel: its queries, each with the legend of its series. `steps`: from which value on it has which colour.

    `empty`: what it says where there is nothing to show. `words`: what it says, and in which colour, instead of a
    value; `otherwise`: from the last step on, instead of any other. `overrides`: the steps of single series, by their
    legend. `columns`: the heads of a table, whose lines are the legends of series and their values.
    """

    title: str
    text: str
    queries: tuple[tuple[str, str], ...]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    steps: tuple[Step, ...] = ((None, "green"),)
    empty: str = ""
    words: tuple[tuple[str, str, str], ...] = ()
    otherwise: str = ""
    overrides: tuple[tuple[str, tuple[Step, ...]], ...] = ()
    columns: tuple[str, str] = ("what", "value")
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels side by side under a title; `height` in units of Grafana's grid."""

    title: str
    panels: tuple[Panel, ...]
    height: int = 8


def quantile(share: float, metric: str, by: str = "", match: str = "") -> str:
    """The query of a quantile of a histogram, by labels, over the range that the panel shows."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{match}[$__rate_interval])))"


def rate(metric: str, by: str, match: str = "") -> str:
    """The query of how much a counter grows in a second, by labels."""
    return f"sum by ({by}) (rate({metric}{match}[$__rate_interval]))"
