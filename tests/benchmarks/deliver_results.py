"""The results of the deliver benchmark: medians for each case, and the ratio to the bare connector pair by pair."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.results import measured_on, written_on

STREAMS_MAX = 500  # of one connection: the connectors' own limit


@dataclass(frozen=True, slots=True)
class Case:
    """What the provider is, what it waits before it answers, and how many pushes are in flight at the most."""

    provider: str
    answer_ms: float
    in_flight: int

    @property
    def connections(self) -> int:
        """With room for all that is in flight."""
        return max(2, -(-self.in_flight // STREAMS_MAX))


@dataclass(frozen=True, slots=True)
class DeliverRun:
    """One run, verified. CPU is that of the sending process, all threads. The latency is from `outbox` to the provider,
    at `latency_rate` pushes a second; only of `deliver`. `what`: that, the `bare connector`, or another client."""

    case: Case
    what: str
    pushes: int
    per_second: int
    cpu_us: int
    rss_megabytes_max: float | None = None
    latency_rate: int | None = None
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None


DELIVER = "deliver"
BARE = "bare connector"


@dataclass(frozen=True, slots=True)
class Beside:
    """Medians of a client of others; `ratio` is that of deliver's speed to its, round by round."""

    what: str
    per_second: int
    cpu_us: int
    ratio: float


@dataclass(frozen=True, slots=True)
class CaseSummary:
    """Medians over the runs of one case; `ratio` is that of the speeds in runs that followed each other."""

    case: Case
    runs: int
    pushes: int
    per_second: int
    cpu_us: int
    rss_megabytes_max: float
    bare_per_second: int
    bare_cpu_us: int
    ratio: float
    latency_rate: int
    latency_ms_p50: float
    latency_ms_p99: float
    others: Sequence[Beside]


def summarize(runs: Sequence[DeliverRun]) -> list[CaseSummary]:
    """One summary for each case, in the order of their first runs."""
    found = []
    for case in dict.fromkeys(run.case for run in runs):
        by_name: dict[str, list[DeliverRun]] = {}
        for run in runs:
            if run.case == case:
                by_name.setdefault(run.what, []).append(run)
        ours, bare = by_name.pop(DELIVER), by_name.pop(BARE)
        found.append(
            CaseSummary(
                case=case,
                runs=len(ours),
                pushes=ours[0].pushes,
                per_second=round(_median(ours, lambda run: run.per_second)),
                cpu_us=round(_median(ours, lambda run: run.cpu_us)),
                rss_megabytes_max=max(run.rss_megabytes_max or 0.0 for run in ours),
                bare_per_second=round(_median(bare, lambda run: run.per_second)),
                bare_cpu_us=round(_median(bare, lambda run: run.cpu_us)),
                ratio=_ratio(ours, bare),
                latency_rate=round(_median(ours, lambda run: run.latency_rate)),
                latency_ms_p50=_median(ours, lambda run: run.latency_ms_p50),
                latency_ms_p99=_median(ours, lambda run: run.latency_ms_p99),
                others=[
                    Beside(
                        what,
                        round(_median(its, lambda run: run.per_second)),
                        round(_median(its, lambda run: run.cpu_us)),
                        _ratio(ours, its),
                    )
                    for what, its in by_name.items()
                ],
            )
        )
    return found


def _ratio(ours: Sequence[DeliverRun], its: Sequence[DeliverRun]) -> float:
    return round(statistics.median(our.per_second / one.per_second for our, one in zip(ours, its, strict=True)), 2)


def _median(runs: Sequence[DeliverRun], value: Callable[[DeliverRun], float | None]) -> float:
    return round(statistics.median(value(run) or 0.0 for run in runs), 1)


def write_results(
    runs: Sequence[DeliverRun],
    command: str,
    partitions: int,
    json_file: Path | None,
    versions: Mapping[str, str] | None = None,
) -> str:
    """The table in Markdown; written with the full results in JSON, where a file is given."""
    summaries, on = summarize(runs), measured_on(command, partitions)
    on["versions"] |= versions or {}
    lines = [
        "| provider | answers in | in flight | pushes/s | CPU µs/push | RSS MB | bare connector/s | CPU µs | deliver "
        "is | outbox → provider p50 / p99 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in summaries:
        lines.append(
            f"| {one.case.provider} | {one.case.answer_ms:g} ms | {one.case.in_flight:,} | {one.per_second:,} "
            f"| {one.cpu_us:,} | {one.rss_megabytes_max:.0f} | {one.bare_per_second:,} | {one.bare_cpu_us:,} "
            f"| {one.ratio:.2f} of it | {one.latency_ms_p50:g} / {one.latency_ms_p99:g} ms at {one.latency_rate:,}/s |"
        )
    others = [
        f"| {one.case.provider} | {one.case.answer_ms:g} ms | {one.case.in_flight:,} | {other.what} "
        f"| {other.per_second:,} | {other.cpu_us:,} | {other.ratio:.2f} times it |"
        for one in summaries
        for other in one.others
    ]
    if others:
        lines += [
            "",
            "The same requests by a bare loop on a client that others keep, in the same rounds:",
            "",
            "| provider | answers in | in flight | client | requests/s | CPU µs/request | deliver is |",
            "|---|---:|---:|---|---:|---:|---:|",
            *others,
        ]
    count, pushes = max(one.runs for one in summaries), max(one.pushes for one in summaries)
    lines += [
        "",
        f"Medians of {count} interleaved pairs of runs of {pushes:,} pushes (ratio pair by pair), each verified at the "
        f"provider and in the record; {partitions} partitions, one worker process, two commits for each push. The bare "
        "connector is the same client, without Kafka. Broker, provider and worker share the machine.",
        *written_on(on),
    ]
    table = "\n".join(lines)
    if json_file is not None:
        results = {**on, "summary": [asdict(one) for one in summaries], "runs": [asdict(run) for run in runs]}
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        json_file.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    return table
