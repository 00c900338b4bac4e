"""What the samples of all workers are together: rates and gauges added up, latencies as quantiles. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from streams.web.overview_samples import DIGITS, LABELS_MAX, TICK_MS, UNSEEN_TICKS, Values
from streams.web.overview_series import SERIES, Kind, Series

SMOOTHED_TICKS = 5  # a quantile over fewer events than come in some seconds jumps
GAP_TICKS_MAX = UNSEEN_TICKS  # a longer one is shown as one
QUANTILES = {"p50": 0.5, "p99": 0.99}
Column = list[float | None]


def merged(parts: Sequence[Iterable[Sequence[Any]]], since: int, series: Iterable[Series] = SERIES) -> dict[str, Any]:
    """Return the columns of all series over the ticks from `since` on; each part are the samples of one worker.

    A worker without a sample at a tick counts for nothing there; `reporting` says how many there were.
    """
    kinds = {each.name: each.kind for each in series}
    by_tick: dict[int, Values] = {}
    counts: dict[int, int] = {}
    for part in parts:
        for tick, values in _without_gaps(part, kinds):
            counts[tick] = counts.get(tick, 0) + 1
            _add(by_tick.setdefault(tick, {}), values, kinds)
    ticks = sorted(by_tick)
    # The newest tick may not have come to everybody yet: half of a rate would be shown as a drop.
    while len(ticks) > 1 and counts[ticks[-1]] < counts[ticks[-2]] and ticks[-1] - ticks[-2] <= TICK_MS:
        ticks.pop()
    shown = [tick for tick in ticks if tick >= since]
    first = len(ticks) - len(shown)
    plots: dict[str, dict[str, Column]] = {}
    latencies: dict[str, dict[str, Column]] = {}
    for name, kind in kinds.items():
        columns = [by_tick[tick].get(name) for tick in ticks]
        if not any(column is not None for column in columns):
            continue
        if kind is Kind.LATENCY:
            latencies[name] = _quantiles(columns, first)
        else:
            plots[name] = _columns(columns[first:])
    return {"ticks": shown, "reporting": [counts[tick] for tick in shown], "series": plots, "latencies": latencies}


def _without_gaps(part: Iterable[Sequence[Any]], kinds: Mapping[str, Kind]) -> Iterator[tuple[int, Values]]:
    """Yield samples, and what stands for those that a worker has not taken: its next ones, whose rates span the gap.

    What fell into the buckets of a histogram is told once.
    """
    last: int | None = None
    for tick, values in part:
        if last is not None and TICK_MS < tick - last <= GAP_TICKS_MAX * TICK_MS:
            told = {name: found for name, found in values.items() if kinds.get(name) is not Kind.LATENCY}
            yield from ((missed, told) for missed in range(last + TICK_MS, tick, TICK_MS))
        yield tick, values
        last = tick


def _add(into: Values, values: Values, kinds: Mapping[str, Kind]) -> None:
    for name, found in values.items():
        kind = kinds.get(name)
        if kind is None:  # a newer worker has more to say
            continue
        series = into.setdefault(name, {})
        for label, value in found.items():
            if label in series:
                series[label] = max(series[label], value) if kind is Kind.LARGEST else series[label] + value
            elif len(series) < LABELS_MAX:
                series[label] = value


def _columns(columns: Sequence[Mapping[str, float] | None]) -> dict[str, Column]:
    labels = sorted({label for column in columns if column is not None for label in column})
    return {label: [None if column is None else _short(column.get(label)) for column in columns] for label in labels}


def _quantiles(columns: Sequence[Mapping[str, float] | None], first: int) -> dict[str, Column]:
    found: dict[str, Column] = {name: [] for name in (*QUANTILES, "per_second")}
    for index in range(first, len(columns)):
        buckets: dict[tuple[float, float], float] = {}
        ticks = [column for column in columns[max(0, index - SMOOTHED_TICKS + 1) : index + 1] if column is not None]
        for column in ticks:
            for label, count in column.items():
                lower, _, upper = label.partition(" ")
                bounds = float(lower), float(upper)
                buckets[bounds] = buckets.get(bounds, 0.0) + count
        for name, share in QUANTILES.items():
            found[name].append(_short(quantile(buckets, share)))
        seconds = len(ticks) * TICK_MS / 1000
        found["per_second"].append(_short(sum(buckets.values()) / seconds if ticks else None))
    return found


def quantile(buckets: Mapping[tuple[float, float], float], share: float) -> float | None:
    """Return a quantile of what fell into these buckets (bounds: count), None: nothing did.

    Within a bucket it is taken to be spread evenly; of what is above the last bound only that bound is known.
    """
    wanted, reached = share * sum(buckets.values()), 0.0
    for lower, upper in sorted(buckets):
        count = buckets[lower, upper]
        if count > 0 and reached + count >= wanted:
            return lower if upper == float("inf") else lower + (upper - lower) * (wanted - reached) / count
        reached += count
    return None


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}") if value % 1 else value
