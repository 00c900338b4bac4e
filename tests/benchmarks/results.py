"""The results of a benchmark: medians, ratios pair by pair, and on what they were measured."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from connectors.embedded_kafka.jars import kafka_version
from streams.compiled import is_compiled
from streams.interpreter import described
from tests.benchmarks.suppress_plot import plot

LIBRARIES = ("faust-streaming", "aiokafka", "rocksdict", "fastavro", "uvloop")
OURS = "ringonce"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one implementation. The CPU time is that of its process, all threads. Runs of one round are near in
    time, and can be compared."""

    implementation: str
    events: int
    admitted: int
    events_per_second: int
    cpu_us_per_event: float
    rss_megabytes_max: float
    round: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians over the runs. `ours_to_it`: how many times as fast ringonce was, median over the `pairs`
    rounds that have both."""

    implementation: str
    runs: int
    events: int
    events_per_second: int
    cpu_us_per_event: float
    rss_megabytes_max: float
    ours_to_it: float | None
    pairs: int


def summarize(runs: Sequence[Run]) -> list[Summary]:
    """One summary for each implementation, in the order of their first runs."""
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.implementation, []).append(run)
    ours = by_name.get(OURS, [])
    return [
        Summary(
            implementation=name,
            runs=len(its),
            events=its[0].events,
            events_per_second=round(statistics.median(run.events_per_second for run in its)),
            cpu_us_per_event=round(statistics.median(run.cpu_us_per_event for run in its), 2),
            rss_megabytes_max=max(run.rss_megabytes_max for run in its),
            ours_to_it=round(statistics.median(pairs), 2) if (pairs := _ratios(ours, its)) else None,
            pairs=len(pairs),
        )
        for name, its in by_name.items()
    ]


def _ratios(ours: Sequence[Run], its: Sequence[Run]) -> list[float]:
    our = {run.round: run.events_per_second for run in ours}
    return [our[run.round] / run.events_per_second for run in its if run.round in our]


def read_runs(json_file: Path | None) -> list[Run]:
    """The runs of results that were written, oldest first; none where there are none."""
    if json_file is None or not json_file.exists():
        return []
    return [Run(**run) for run in json.loads(json_file.read_text(encoding="utf-8"))["runs"]]


def commands_of(json_file: Path | None, command: str) -> str:
    """The command, behind those that the results so far are from."""
    if json_file is None or not json_file.exists():
        return command
    before: list[str] = json.loads(json_file.read_text(encoding="utf-8"))["command"].split("; ")
    return "; ".join([*before, *([] if command in before else [command])])


def write_results(
    runs: Sequence[Run],
    command: str,
    partitions: int,
    json_file: Path | None,
    left_out: Mapping[str, str] | None = None,
    versions: Mapping[str, str] | None = None,
) -> str:
    """The table in Markdown; written with the full results in JSON and a plot, where a file is given."""
    summaries = summarize(runs)
    on = measured_on(command, partitions)
    on["versions"] |= versions or {}
    table = "\n".join([_table(summaries, on), *(f"Left out: {name}, {why}" for name, why in (left_out or {}).items())])
    if json_file is not None:
        results = {
            **on,
            "left_out": dict(left_out or {}),
            "summary": [asdict(one) for one in summaries],
            "runs": [asdict(run) for run in runs],
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        json_file.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
        json_file.with_suffix(".svg").write_text(_plot(summaries, runs, on), encoding="utf-8")
    return table


def measured_on(command: str, partitions: int) -> dict[str, Any]:
    """When, with what, and on what machine; for the head of any results."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "partitions": partitions,
        "machine": {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.system()},
        "load_average": round(os.getloadavg()[0], 2),
        "real_time": _is_real_time(),
        "compiled": is_compiled(),
        "versions": {
            "python": described(),
            "kafka": kafka_version(),
            **{name: version(name) for name in LIBRARIES},
        },
    }


def written_on(on: Mapping[str, Any]) -> list[str]:
    """The same as lines of text, for below a table."""
    machine, versions = on["machine"], ", ".join(f"{name} {number}" for name, number in on["versions"].items())
    load = f"load {on['load_average']} at the end"
    if on["real_time"]:
        load += ", most of it of other work, before which the processes of the run came (real-time priority)"
    if on.get("compiled"):
        versions = f"hot path compiled, {versions}"
    return [
        f"{on['date']}, {machine['cpu']}, {machine['cores']} cores, {load}; {versions}.",
        f"`{on['command']}`",
    ]


def write_table(
    lines: Sequence[str], runs: Sequence[Mapping[str, Any]], on: Mapping[str, Any], json_file: Path | None
) -> str:
    """The lines with what they were measured on below them; written, with the runs in JSON, where a file is given."""
    table = "\n".join([*lines, *written_on(on)])
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps({**on, "runs": list(runs)}, indent=2) + "\n", encoding="utf-8")
        json_file.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    return table


def _plot(summaries: Sequence[Summary], runs: Sequence[Run], on: Mapping[str, Any]) -> str:
    machine, events = on["machine"], max(one.events for one in summaries)
    foot = (
        f"{on['date']}, {events:,} events, {machine['cpu']}, {machine['cores']} cores; a bar is a median, a dot a run."
    )
    return plot(summaries, runs, OURS, foot)


def _is_real_time() -> bool:
    """Whether this process comes before all usual ones: `chrt --rr 1`, on a machine that others use as well."""
    return hasattr(os, "SCHED_RR") and os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _table(summaries: Sequence[Summary], on: dict[str, Any]) -> str:
    lines = [
        "| implementation | events | events/s | CPU µs/event | peak RSS MB | ringonce is, next to it |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for one in summaries:
        compared = one.implementation != OURS and one.ours_to_it is not None
        ratio = f"{one.ours_to_it:.2f} times as fast ({one.pairs})" if compared else ""
        lines.append(
            f"| {one.implementation} | {one.events:,} | {one.events_per_second:,} | {one.cpu_us_per_event:.1f} "
            f"| {one.rss_megabytes_max:.0f} | {ratio} |"
        )
    runs = max((one.runs for one in summaries), default=0)
    lines += [
        "",
        f"Medians of up to {runs} interleaved runs, RSS the highest, every output verified; "
        f"{on['partitions']} partitions, one process. The ratio is the median over the rounds that had both, so many "
        "as in brackets: compare by it, because the other columns may be of different minutes of the machine.",
        *written_on(on),
    ]
    return "\n".join(lines)
