"""How long the whole line takes, from an event that is due to be produced until the provider has it, and is noted.

    python -m tests.benchmarks.bench_line [--events 30000] [--shares 0.1 0.5 0.9] [--seconds 10] [--runs 3]
                                          [--warm 1] [--answer-ms 50] [--provider apns] [--json FILE]

One worker with the stages `suppress` and `deliver`. First its capacity: events, each the first of its slot, that become
readable all at once, until the last one is at the provider. Then events at an even rate, for each share of the capacity
that was measured in the same round. The first round counts for nothing: a broker that has just been started takes twice
the CPU until Java has compiled it. Every event is verified at the provider and in the record. The hops are between:

    due        when the event was to be produced; the wait for the batch before it is in the next hop
    admitted   when suppress decided on it, by its status
    claimed    when deliver decided on it; the commit of the admission, the way to deliver and its turn are in between
    arrived    when the provider had it; the commit of the claim is in between
    accepted   when the answer was decided on; the provider's own time is in between
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from connectors.embedded_kafka import EmbeddedKafka
from connectors.outcome import ProviderName
from schemas.codec import Codec
from schemas.keys import partition_of
from streams.settings import Settings, load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.bench_deliver import Plan
from tests.benchmarks.deliver_oracle import verify_arrivals, verify_record
from tests.benchmarks.deliver_results import Case
from tests.benchmarks.deliver_topics import register, until_committed
from tests.benchmarks.deliver_worker import STAGES_VARIABLE
from tests.benchmarks.deliver_workload import TYPE, Target, make_targets, workload_of
from tests.benchmarks.oracle import Verification, records
from tests.benchmarks.paced_feed import produce_paced
from tests.benchmarks.provider_stand_in import Provider, StandIn
from tests.benchmarks.responder import Arrival
from tests.benchmarks.results import measured_on, write_table
from tests.benchmarks.worker_process import delete_topics, own_options, worker
from tests.benchmarks.workload import Event, Feed

WARM_UP: Final = 2_000
IN_FLIGHT: Final = 1_000
ARRIVE_SECONDS_MAX: Final = 240.0
CODEC: Final = Codec()
HOPS: Final = ("admitted", "claimed", "arrived", "accepted")


@dataclass(frozen=True, slots=True)
class LineRun:
    """One stretch at one share of the capacity. `to_provider_ms` and `to_accepted_ms`: p50, p99 and p99.9 from when an
    event was due; `hops_ms`: the medians of the ways between."""

    share: float
    capacity: int
    rate: int
    events: int
    to_provider_ms: tuple[float, float, float]
    to_accepted_ms: tuple[float, float, float]
    hops_ms: dict[str, float]


def notification(partitions: int, target: Target, at_ms: int) -> tuple[int, Event]:
    """The partition and the record of an event."""
    record = {
        "notification_id": target.notification_id,
        "user_id": target.user,
        "type": TYPE,
        "created_at": at_ms,
        "data": target.data,
    }
    return partition_of(target.slot, partitions), Event(
        target.slot, target.notification_id, CODEC.encode("Notification", record)
    )


class Line:
    """A worker on topics of its own, and its provider."""

    def __init__(self, settings: Settings, stand_in: StandIn) -> None:
        self._settings = settings
        self._stand_in = stand_in
        self._names = TopicNames.of(settings)

    def record_of(self, target: Target, at_ms: int) -> tuple[int, Event]:
        """See `notification`."""
        return notification(self._settings.partitions, target, at_ms)

    async def at_rate(self, targets: Sequence[Target], rate: int) -> tuple[Mapping[str, float], list[Arrival]]:
        """Feed them; return when each was due and when each arrived."""
        assert self._settings.bootstrap is not None, "the benchmark has a broker"
        due_at = await produce_paced(self._settings.bootstrap, self._names.notifications, targets, self.record_of, rate)
        return due_at, await self._arrived(len(targets))

    async def at_once(self, feed: Feed, count: int) -> float:
        """Let them all become readable; return how many a second arrived."""
        started_at = time.time() * 1000
        await feed.release()
        arrivals = await self._arrived(count)
        return count / (max(at for _, at in arrivals) - started_at) * 1000

    async def _arrived(self, count: int) -> list[Arrival]:
        found: list[Arrival] = []
        async with asyncio.timeout(ARRIVE_SECONDS_MAX):
            while len(found) < count:
                await asyncio.sleep(0.3)
                found += await self._stand_in.arrivals()
        return found


async def statuses(bootstrap: str, names: TopicNames) -> dict[str, dict[str, int]]:
    """When each notification came to each state, by its id."""
    found: dict[str, dict[str, int]] = {}
    async for _, value, _ in records(bootstrap, names.statuses):
        status = CODEC.decode(value, ("Status",)).record
        found.setdefault(status["notification_id"], {})[status["state"]] = status["at"]
    return found


def summary_of(
    share: float,
    capacity: int,
    rate: int,
    targets: Sequence[Target],
    due_at: Mapping[str, float],
    arrivals: Sequence[Arrival],
    states: Mapping[str, Mapping[str, int]],
) -> LineRun:
    """Work out the percentiles of one stretch."""
    arrived = dict(arrivals)
    hops: dict[str, list[float]] = {hop: [] for hop in HOPS}
    to_provider, to_accepted = [], []
    for target in targets:
        due, told = due_at[target.mark], states[target.notification_id]
        at = arrived[target.mark]
        instants = [due, told["ADMITTED"], told["SENDING"], at, told["ACCEPTED"]]
        for hop, before, after in zip(HOPS, instants, instants[1:], strict=False):
            hops[hop].append(after - before)
        to_provider.append(at - due)
        to_accepted.append(told["ACCEPTED"] - due)
    return LineRun(
        share=share,
        capacity=capacity,
        rate=rate,
        events=len(targets),
        to_provider_ms=_percentiles(to_provider),
        to_accepted_ms=_percentiles(to_accepted),
        hops_ms={hop: round(statistics.median(values), 1) for hop, values in hops.items()},
    )


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(values, n=1000)
    return round(cuts[499], 1), round(cuts[989], 1), round(cuts[998], 1)


async def measure(arguments: argparse.Namespace, bootstrap: str) -> list[LineRun]:
    """One round: the capacity, then each share of it. Raises AssertionError when an output is wrong."""
    provider = ProviderName(arguments.provider)
    plan = Plan(
        Case(arguments.provider, arguments.answer_ms, IN_FLIGHT), arguments.events, 0, arguments.partitions, bootstrap
    )
    found, runs = Verification(), []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as directory:
        async with StandIn(Provider(provider, arguments.answer_ms), Path(folder)) as stand_in:
            options = own_options(bootstrap, directory, arguments.partitions)
            settings = load_settings(**options)
            names, line = TopicNames.of(settings), Line(settings, stand_in)
            await ensure_topics(settings)
            try:
                addresses = await stand_in.addresses(arguments.events)
                every = 1 + len(arguments.shares)
                # Users enough for each stretch: a slot takes one in an hour.
                pools = [make_targets(arguments.events, provider, addresses, f"u{n}") for n in range(every)]
                warm = make_targets(WARM_UP, provider, addresses, "warm")
                known = await register(settings, names, [*warm, *(target for pool in pools for target in pool)])
                workload = workload_of(pools[0], arguments.partitions, line.record_of)
                environment = {**plan.environment(stand_in), STAGES_VARIABLE: "suppress,deliver"}
                async with (
                    Feed(bootstrap, names.notifications, workload) as feed,
                    worker("tests.benchmarks.deliver_worker", options, environment),
                ):
                    await until_committed(settings, names.devices, known)
                    _, arrivals = await line.at_rate(warm, WARM_UP)
                    verify_arrivals(warm, arrivals, found)
                    await feed.fill()
                    capacity = round(await line.at_once(feed, workload.count))
                    stretches = []
                    for share, pool in zip(arguments.shares, pools[1:], strict=True):
                        rate = max(1, round(capacity * share))
                        targets = pool[: round(rate * arguments.seconds)]
                        due_at, arrivals = await line.at_rate(targets, rate)
                        verify_arrivals(targets, arrivals, found)
                        stretches.append((share, capacity, rate, targets, due_at, arrivals))
                    await asyncio.sleep(2.0)  # for the last answers to be noted
                states = await statuses(bootstrap, names)
                runs = [summary_of(*stretch, states) for stretch in stretches]
                sent = [*warm, *pools[0], *(target for _, _, _, targets, _, _ in stretches for target in targets)]
                await verify_record(bootstrap, names, sent, found)
            finally:
                await delete_topics(bootstrap, options["topic_prefix"])
    found.assert_exact()
    return runs


def table_of(runs: Sequence[LineRun]) -> list[str]:
    """One row for each share: medians over the rounds."""
    lines = [
        "| of capacity | events/s | event → provider p50 / p99 / p99.9 ms | → accepted p50 / p99 / p99.9 ms "
        "| admitted | claimed | at the provider | noted |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for share in dict.fromkeys(run.share for run in runs):
        of_it = [run for run in runs if run.share == share]
        to_provider, to_accepted = (
            " / ".join(f"{statistics.median(getattr(run, name)[at] for run in of_it):,.0f}" for at in range(3))
            for name in ("to_provider_ms", "to_accepted_ms")
        )
        hops = " | ".join(f"{statistics.median(run.hops_ms[hop] for run in of_it):,.0f}" for hop in HOPS)
        rate = statistics.median(run.rate for run in of_it)
        lines.append(f"| {share:.0%} | {rate:,.0f} | {to_provider} | {to_accepted} | {hops} |")
    return lines


def write_results(runs: Sequence[LineRun], arguments: argparse.Namespace, command: str) -> str:
    """The table in Markdown; written with the full results in JSON, where a file is given."""
    on = measured_on(command, arguments.partitions)
    rounds = max(sum(run.share == share for run in runs) for share in arguments.shares)
    capacity = statistics.median(run.capacity for run in runs)
    lines = [
        *table_of(runs),
        "",
        f"One worker with both stages, {arguments.provider}, which answers in {arguments.answer_ms:g} ms; capacity "
        f"{capacity:,.0f} events/s, each the first of its slot. Medians of {rounds} rounds, after {arguments.warm} "
        f"that warmed the broker up, of percentiles over {arguments.seconds:g} s or {arguments.events:,} events; the "
        "last four columns are medians of the ways between, in ms: due → admitted → claimed → at the provider → answer "
        "noted. Every event verified at the provider and in the record. Broker, provider, producer and worker share "
        "the machine.",
    ]
    return write_table(lines, [asdict(run) for run in runs], on, arguments.json)


def main() -> None:
    """Measure, print the table, and write it where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=30_000, help="of the capacity, and of a stretch at the most")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.5, 0.9])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--warm", type=int, default=1, help="rounds before them, which count for nothing")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--provider", default="apns", choices=[str(name) for name in ProviderName])
    parser.add_argument("--answer-ms", type=float, default=50.0)
    parser.add_argument("--json", type=Path, help="the results, in full; beside it the table, with .md")
    arguments = parser.parse_args()
    runs: list[LineRun] = []
    with contextlib.ExitStack() as stack:
        bootstrap = stack.enter_context(EmbeddedKafka()).bootstrap
        for number in range(1 - arguments.warm, arguments.runs + 1):
            for run in asyncio.run(measure(arguments, bootstrap)):
                said: dict[str, Any] = asdict(run)
                print(f"round {number}  {said}", file=sys.stderr, flush=True)
                if number > 0:
                    runs.append(run)
    command = f"python -m tests.benchmarks.bench_line {' '.join(sys.argv[1:])}".strip()
    print(write_results(runs, arguments, command))


if __name__ == "__main__":
    main()
