"""How fast deliver is, next to its own connector without Kafka. Every push of every run is verified.

    python -m tests.benchmarks.bench_deliver [--pushes 20000] [--runs 3] [--provider apns …] [--answer-ms 50 …]
                                             [--in-flight 1000 …] [--rate half] [--strict] [--beside …] [--json FILE]

`deliver` is the product's stage: claims are committed before the request, outcomes and offsets together after it. The
`bare connector` sends the same pushes with the same connector in a loop. Both work in a process of their own against
the same provider, one after the other, pair by pair, so that a busy minute of the machine strikes both.

Both start warm: they have sent a few, and the worker knows all devices before the notifications become readable, all at
once. The time ends when the last offset is committed. Then notifications come at an even `--rate`, for ten seconds or
until each user has had one more, for the time from `outbox` to the provider: so many a second, or `half` of what was
just measured. `--strict`: the provider is the strict simulator, which is what is measured then. `--beside`: bare
loops on HTTP clients that others keep, for FCM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shlex
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from connectors.embedded_kafka import EmbeddedKafka
from connectors.outcome import ProviderName
from schemas.codec import Codec
from schemas.keys import partition_of
from streams.settings import load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.bare_connector import WARM_UP
from tests.benchmarks.deliver_beside import CLIENTS, available, measure_beside, versions_of
from tests.benchmarks.deliver_oracle import verify_arrivals, verify_record
from tests.benchmarks.deliver_results import BARE, DELIVER, Case, DeliverRun, write_results
from tests.benchmarks.deliver_topics import end_offsets_of, register, until_committed
from tests.benchmarks.deliver_workload import (
    Target,
    another_for,
    make_targets,
    order_data,
    outbox_record,
    workload_of,
)
from tests.benchmarks.oracle import Verification
from tests.benchmarks.paced_feed import produce_paced
from tests.benchmarks.provider_stand_in import Provider, StandIn
from tests.benchmarks.worker_process import delete_topics, own_options, worker
from tests.benchmarks.workload import Event, Feed, Workload

LATENCY_SECONDS: Final = 10
HALF: Final = "half"
CODEC: Final = Codec()


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run is made of. `rate`: pushes a second for the latency, None: half of what is measured, 0: it is not
    measured. `data_of` gives the values of each push, `variables` are of the worker's environment."""

    case: Case
    pushes: int
    rate: int | None
    partitions: int
    bootstrap: str
    data_of: Callable[[int], dict[str, str]] = order_data
    variables: Mapping[str, str] = field(default_factory=dict)

    def outbox_record(self, target: Target, at_ms: int) -> tuple[int, Event]:
        """The partition and the record of a target that is admitted then."""
        record = outbox_record(CODEC, target, self.partitions, at_ms)
        return partition_of(record.slot, self.partitions), record

    def environment(self, stand_in: StandIn) -> dict[str, str]:
        """The provider's settings, as fast as it can be."""
        return {
            **stand_in.environment,
            **self.variables,
            f"RINGONCE_{self.case.provider.upper()}_CONNECTIONS": str(self.case.connections),
            f"RINGONCE_{self.case.provider.upper()}_PER_SECOND_MAX": "0",
            "RINGONCE_DELIVER_IN_FLIGHT": str(self.case.in_flight),
        }


async def measure_deliver(plan: Plan, stand_in: StandIn, addresses: Sequence[Any]) -> DeliverRun:
    """One run of a worker on topics of its own. Raises AssertionError when a push or a record is wrong."""
    provider = ProviderName(plan.case.provider)
    targets = make_targets(plan.pushes, provider, addresses, "u", plan.data_of)
    warm = another_for(targets[:WARM_UP], "warm")
    workload = workload_of(targets, plan.partitions, plan.outbox_record)
    with tempfile.TemporaryDirectory() as directory:
        options = own_options(plan.bootstrap, directory, plan.partitions)
        settings = load_settings(**options)
        names = TopicNames.of(settings)
        await ensure_topics(settings)
        try:
            known = await register(settings, names, targets)
            async with (
                Feed(plan.bootstrap, names.outbox, workload) as feed,
                worker("tests.benchmarks.deliver_worker", options, plan.environment(stand_in)) as process,
            ):
                await until_committed(settings, names.devices, known)
                await produce_paced(plan.bootstrap, names.outbox, warm, plan.outbox_record, WARM_UP)
                read = await end_offsets_of(settings, names.outbox)
                await until_committed(settings, names.outbox, read)
                await feed.fill()
                await stand_in.arrivals()
                ends = {partition: read[partition] + count for partition, count in _ends(workload).items()}
                cpu, started_at = process.cpu_seconds(), time.perf_counter()
                await feed.release()
                await until_committed(settings, names.outbox, ends)
                seconds, cpu = time.perf_counter() - started_at, process.cpu_seconds() - cpu
                found, arrivals = Verification(), await stand_in.arrivals()
                rate = max(1, round(plan.pushes / seconds / 2)) if plan.rate is None else plan.rate
                paced = another_for(targets[: rate * LATENCY_SECONDS], "paced")
                sent_at: Mapping[str, float] = {}
                if rate:
                    sent_at = await produce_paced(plan.bootstrap, names.outbox, paced, plan.outbox_record, rate)
                await until_committed(settings, names.outbox, await end_offsets_of(settings, names.outbox))
                late = await stand_in.arrivals()
                rss = process.rss_bytes_max()
            verify_arrivals(targets, arrivals, found)
            verify_arrivals(paced, late, found)
            await verify_record(plan.bootstrap, names, [*targets, *warm, *paced], found)
        finally:
            await delete_topics(plan.bootstrap, options["topic_prefix"])
    found.assert_exact()
    latencies = statistics.quantiles((at - sent_at[mark] for mark, at in late), n=100) if rate else None
    return DeliverRun(
        case=plan.case,
        what=DELIVER,
        pushes=plan.pushes,
        per_second=round(plan.pushes / seconds),
        cpu_us=round(cpu * 1e6 / plan.pushes),
        rss_megabytes_max=round(rss / 2**20, 1),
        latency_rate=rate,
        latency_ms_p50=round(latencies[49], 1) if latencies else None,
        latency_ms_p99=round(latencies[98], 1) if latencies else None,
    )


async def measure_bare(plan: Plan, stand_in: StandIn, addresses: Sequence[Any]) -> DeliverRun:
    """One run of the connector alone. Raises AssertionError when a push is wrong."""
    name = uuid.uuid4().hex[:8]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "addresses.json")
        file.write_text(json.dumps(addresses), encoding="utf-8")  # noqa: ASYNC240 (nothing else runs)
        wanted = {
            "provider": plan.case.provider,
            "count": plan.pushes,
            "in_flight": plan.case.in_flight,
            "name": name,
            "addresses": str(file),
        }
        async with worker("tests.benchmarks.bare_connector", wanted, plan.environment(stand_in)) as process:
            await stand_in.arrivals()
            said = await process.ask()
            arrivals = await stand_in.arrivals()
    found = Verification()
    targets = make_targets(plan.pushes + WARM_UP, ProviderName(plan.case.provider), addresses, name)
    verify_arrivals(targets[WARM_UP:], arrivals, found)
    found.assert_exact()
    return DeliverRun(
        case=plan.case,
        what=BARE,
        pushes=plan.pushes,
        per_second=round(plan.pushes / said["seconds"]),
        cpu_us=round(said["cpu_seconds"] * 1e6 / plan.pushes),
    )


def _ends(workload: Workload) -> Mapping[int, int]:
    return {partition: len(events) for partition, events in enumerate(workload.partitions) if events}


async def bench(arguments: argparse.Namespace, bootstrap: str) -> list[DeliverRun]:
    """So many pairs of runs of each case, interleaved."""
    runs: list[DeliverRun] = []
    cases = [
        Case(provider, answer_ms, in_flight)
        for provider in arguments.provider
        for answer_ms in arguments.answer_ms
        for in_flight in arguments.in_flight
    ]
    count = arguments.pushes + WARM_UP
    for _ in range(arguments.runs):
        for case in cases:
            plan = Plan(case, arguments.pushes, arguments.rate, arguments.partitions, bootstrap)
            provider = Provider(ProviderName(case.provider), case.answer_ms, arguments.strict)
            with tempfile.TemporaryDirectory() as directory:
                async with StandIn(provider, Path(directory)) as stand_in:
                    addresses = await stand_in.addresses(count)
                    measures: list[Callable[[], Awaitable[DeliverRun]]] = [
                        partial(measure_deliver, plan, stand_in, addresses),
                        partial(measure_bare, plan, stand_in, addresses),
                    ]
                    if case.provider == ProviderName.FCM:
                        measures += [
                            partial(measure_beside, name, case, plan.pushes, stand_in, addresses)
                            for name in arguments.beside
                        ]
                    for measure in measures:
                        run = await measure()
                        runs.append(run)
                        print(
                            f"{case.provider} {case.answer_ms:g} ms, {case.in_flight:,} in flight  {run.what:15}"
                            f" {run.per_second:7,}/s {run.cpu_us:5} us  exact"
                            + (
                                f"  p50/p99 {run.latency_ms_p50}/{run.latency_ms_p99} ms at {run.latency_rate:,}/s"
                                if run.latency_rate
                                else ""
                            ),
                            file=sys.stderr,
                            flush=True,
                        )
    return runs


def _rate(text: str) -> int | None:
    if text == HALF:
        return None
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is neither a count a second nor {HALF!r}")
    return int(text)


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=20_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--provider", nargs="+", default=["apns"], choices=[str(name) for name in ProviderName])
    parser.add_argument("--answer-ms", type=float, nargs="+", default=[50.0])
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1000])
    parser.add_argument(
        "--rate",
        type=_rate,
        default=None,
        metavar="N|half",
        help="pushes a second for the time from outbox to provider",
    )
    parser.add_argument("--beside", nargs="+", default=[], choices=list(CLIENTS))
    parser.add_argument("--strict", action="store_true", help="ask the strict simulator")
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    parser.add_argument("--bootstrap", help="a Kafka that runs already, instead of an embedded one")
    arguments = parser.parse_args()
    if arguments.strict and arguments.beside:
        parser.error("--beside: the strict simulator knows no token of theirs")
    arguments.beside = available(arguments.beside)
    with contextlib.ExitStack() as stack:
        bootstrap = arguments.bootstrap or stack.enter_context(EmbeddedKafka()).bootstrap
        runs = asyncio.run(bench(arguments, bootstrap))
    command = f"python -m tests.benchmarks.bench_deliver {shlex.join(sys.argv[1:])}".strip()
    print(write_results(runs, command, arguments.partitions, arguments.json, versions_of(arguments.beside)))


if __name__ == "__main__":
    main()
