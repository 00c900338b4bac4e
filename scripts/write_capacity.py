"""Write the tables of docs/capacity.md from the costs that were measured (tests/benchmarks/results)."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "tests" / "benchmarks" / "results"
TARGET = ROOT / "docs" / "capacity.md"
DAY_SECONDS = 86_400
RETENTION_DAYS = 7
COPIES = 3
STANDBYS = 1
BUSY_SHARE = 0.5  # of a core, at the peak: the other half is for recovery, rebalances and a bad hour
SPACE_FACTOR = 1.5  # RocksDB's space beside the rows: tombstones, logs, levels that are not merged yet


class Unit(NamedTuple):
    """What one of a kind costs: CPU of a worker, bytes in Kafka for one copy, bytes of tables for one copy."""

    cpu_us: float
    kafka_bytes: float
    table_bytes: float


class Load(NamedTuple):
    """A day of a product: events for each user, shares of them that are sent and that are held for later, and how
    many times the mean the busiest hour has."""

    users: int
    events_per_user: float = 5.0
    sent_share: float = 0.3
    scheduled_share: float = 0.2
    peak: float = 5.0


LOADS = [Load(1_000_000), Load(10_000_000), Load(50_000_000), Load(100_000_000)]


class Need(NamedTuple):
    """What a load asks for."""

    events_per_second: float
    pushes_per_second: float
    cores: float
    kafka_gigabytes: float
    table_gigabytes: float
    partitions: int


def units() -> dict[str, Unit]:
    """Read the unit costs."""
    storage = _results("storage")["bytes"]
    suppress = next(each for each in _results("suppress")["summary"] if each["implementation"] == "ringonce")
    deliver = {
        each["case"]["provider"]: each["cpu_us"]
        for each in _results("deliver")["summary"]
        if each["case"]["answer_ms"] == 50
    }
    schedule = _results("schedule")["runs"][0]
    scheduled_us = schedule["insert_cpu_us"] + schedule["release_cpu_us"]
    delivered, suppressed = storage["notification, delivered"], storage["event, suppressed"]
    return {
        "event, suppressed": Unit(suppress["cpu_us_per_event"], _in("topic", suppressed), _in("table", suppressed)),
        "notification, sent": Unit(
            sum(deliver.values()) / len(deliver), _in("topic", delivered), _in("table", delivered)
        ),
        "notification, held for later": Unit(
            scheduled_us, _in("topic", storage["notification, pending"]), _in("table", storage["notification, pending"])
        ),
        "user with a device": Unit(
            0.0, _in("topic", storage["user with a device"]), _in("table", storage["user with a device"])
        ),
    }


def need(load: Load, costs: dict[str, Unit]) -> Need:
    """Work out what a load asks for. Events that are sent cost what the suppressed cost, and the sending besides."""
    events = load.users * load.events_per_user / DAY_SECONDS
    sent, held = events * load.sent_share, events * load.scheduled_share
    event, push = costs["event, suppressed"], costs["notification, sent"]
    later, user = costs["notification, held for later"], costs["user with a device"]
    busy = events * event.cpu_us + sent * push.cpu_us + held * later.cpu_us
    cores = busy / 1e6 * load.peak / BUSY_SHARE * (1 + STANDBYS * 0.1)
    stored = events * event.kafka_bytes + sent * push.kafka_bytes + held * later.kafka_bytes
    kafka = (stored * DAY_SECONDS * RETENTION_DAYS + load.users * user.kafka_bytes) * COPIES
    # Slots of an hour and ids of a day are in what one notification or event leaves in the tables, for a day at most.
    rows = events * DAY_SECONDS * event.table_bytes + sent * DAY_SECONDS * push.table_bytes
    rows += held * DAY_SECONDS * later.table_bytes + load.users * user.table_bytes
    return Need(
        events * load.peak,
        sent * load.peak,
        cores,
        kafka / 1e9,
        rows * SPACE_FACTOR * (1 + STANDBYS) / 1e9,
        _partitions(cores),
    )


def _partitions(cores: float) -> int:
    wanted = max(12.0, 4 * cores)
    return next((count for count in (12, 24, 48, 60, 120, 240, 480) if count >= wanted), 960)


def tables() -> dict[str, list[str]]:
    """Return the tables of the page by name."""
    costs = units()
    unit_rows = [
        f"| {name} | {unit.cpu_us:,.0f} | {unit.kafka_bytes:,.0f} | {unit.table_bytes:,.0f} |"
        for name, unit in costs.items()
    ]
    need_rows = [_row(load, need(load, costs)) for load in LOADS]
    needs = "| users | events/s at the peak | pushes/s | cores of workers | partitions | Kafka, GB | tables, GB |"
    return {
        "units": ["| | worker CPU, µs | bytes in Kafka | bytes in tables |", "|---|---:|---:|---:|", *unit_rows],
        "needs": [needs, "|---:|---:|---:|---:|---:|---:|---:|", *need_rows],
    }


def page(text: str) -> str:
    """Return the page with the tables in their places."""
    for name, lines in tables().items():
        block = "\n".join([f"<!-- computed: {name} -->", *lines, "<!-- end -->"])
        place = re.compile(rf"<!-- computed: {name} -->.*?<!-- end -->", re.DOTALL)
        text, replaced = place.subn(block, text)
        assert replaced == 1, f"{TARGET} has no place for the table of the {name}"
    return text


def _row(load: Load, needs: Need) -> str:
    return (
        f"| {load.users:,} | {needs.events_per_second:,.0f} | {needs.pushes_per_second:,.0f} | "
        f"{math.ceil(needs.cores)} | {needs.partitions} | {needs.kafka_gigabytes:,.0f} | {needs.table_gigabytes:,.0f} |"
    )


def _in(kind: str, weights: dict[str, float]) -> float:
    return sum(size for name, size in weights.items() if name.startswith(f"{kind} "))


def _results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def main() -> None:
    TARGET.write_text(page(TARGET.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
