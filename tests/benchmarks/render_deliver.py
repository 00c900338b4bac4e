"""What texts cost deliver: the same pushes with constant texts, with names in them, and with dates and amounts.

All have the same parts and the same data, so that only what is rendered differs. The ways take turns, round by round;
each is compared with the constant text of its own round. Every push is verified at the provider and in the record.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from connectors.outcome import ProviderName
from tests.benchmarks.bare_connector import WARM_UP
from tests.benchmarks.bench_deliver import Plan, measure_deliver
from tests.benchmarks.deliver_results import Case
from tests.benchmarks.deliver_worker import TEMPLATE_VARIABLE
from tests.benchmarks.provider_stand_in import Provider, StandIn

CASE: Final = Case("apns", 50.0, 1000)
PARTITIONS: Final = 4
FIRST_AT_MS: Final = 1_800_000_000_000
REPEATED: Final = 50  # values that come again and again
PLAIN: Final = {
    "title": "24. Dezember 2026: 49,50 Euro",
    "body": "7 orders for Alice",
    "link": "shop://orders/A-00000001",
    "image": "https://img.example.com/A-00000001.png",
    "data": {"screen": "order"},
}
USUAL: Final = {
    **PLAIN,
    "title": "Order {{ order }} is ready",
    "body": "Hi {{ name }}, your order {{ order }} is ready!",
}
CONSTANT: Final = "constant texts"


class Way(NamedTuple):
    """What is sent: a template, and the values of the n-th push."""

    name: str
    template: Mapping[str, Any]
    data_of: Callable[[int], dict[str, str]]


class Rendered(NamedTuple):
    """One way over all rounds: medians, and its share of deliver's CPU and speed next to the constant text."""

    name: str
    per_second: int
    cpu_us: int
    cpu_more: float
    speed_less: float


def new_values(number: int) -> dict[str, str]:
    """No instant, no price and no count twice: instants some minutes and seconds apart."""
    at, price = FIRST_AT_MS + number * 100_003, f"{number + 1000}.{number % 100:02d}"
    order = f"A-{number:08d}"
    return {"name": f"Customer {number % 1000}", "order": order, "at": f"{at}", "price": price, "count": f"{number}"}


def repeated_values(number: int) -> dict[str, str]:
    """Few instants, prices and counts, as of one sale."""
    return {**new_values(number % REPEATED), "order": f"A-{number:08d}"}


def ways(localized: Mapping[str, Any]) -> list[Way]:
    """What is compared; the first is what the others are compared with."""
    return [
        Way(CONSTANT, PLAIN, new_values),
        Way("names in title and body", USUAL, new_values),
        Way("dates, amounts, plurals in all parts; values repeat", localized, repeated_values),
        Way("the same; each value is new", localized, new_values),
    ]


async def measure(localized: Mapping[str, Any], pushes: int, rounds: int, bootstrap: str) -> list[Rendered]:
    """So many rounds of all ways."""
    found: dict[str, list[tuple[int, int]]] = {}
    for _ in range(rounds):
        for way in ways(localized):
            variables = {TEMPLATE_VARIABLE: json.dumps(way.template), "RINGONCE_LOCALE": "de-AT"}
            plan = Plan(CASE, pushes, 0, PARTITIONS, bootstrap, way.data_of, variables)
            with tempfile.TemporaryDirectory() as directory:
                async with StandIn(Provider(ProviderName(CASE.provider), CASE.answer_ms), Path(directory)) as stand_in:
                    run = await measure_deliver(plan, stand_in, await stand_in.addresses(pushes + WARM_UP))
            found.setdefault(way.name, []).append((run.per_second, run.cpu_us))
            print(f"{run.per_second:6,}/s {run.cpu_us:4} us  {way.name}", file=sys.stderr, flush=True)
    return [_summary(name, runs, found[CONSTANT]) for name, runs in found.items()]


def _summary(name: str, runs: Sequence[tuple[int, int]], constant: Sequence[tuple[int, int]]) -> Rendered:
    pairs = list(zip(runs, constant, strict=True))
    return Rendered(
        name,
        round(statistics.median(speed for speed, _ in runs)),
        round(statistics.median(cpu for _, cpu in runs)),
        round(statistics.median(run[1] / its[1] - 1 for run, its in pairs), 3),
        round(statistics.median(1 - run[0] / its[0] for run, its in pairs), 3),
    )


def table(found: Sequence[Rendered], pushes: int, rounds: int) -> list[str]:
    """The results as lines of Markdown."""
    rows = [
        f"| {one.name} | {one.per_second:,} | {one.cpu_us} | {one.cpu_more:+.1%} | {-one.speed_less:+.1%} |"
        for one in found
    ]
    return [
        "| deliver, with | pushes/s | CPU µs/push | CPU next to constant texts | pushes/s next to them |",
        "|---|---:|---:|---:|---:|",
        *rows,
        "",
        f"Medians of {rounds} interleaved rounds of {pushes:,} pushes (ratios round by round) to {CASE.provider}, "
        f"which answers in {CASE.answer_ms:g} ms; {CASE.in_flight:,} in flight, {PARTITIONS} partitions, one worker "
        "process; each push verified. Broker, provider and worker share the machine.",
    ]
