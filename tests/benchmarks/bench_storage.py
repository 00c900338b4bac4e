"""What an event, a slot, a pending notification and a user take on disk, in Kafka and in the workers' tables.

    python -m tests.benchmarks.bench_storage [--users 4000] [--json FILE]

A system on a broker of its own: users are registered, each gets one notification (admitted, delivered), then as many
that are suppressed, then one that is scheduled for later. After each step the folders of the topics and of the tables
are weighed. Brokers keep a topic on `replication factor` disks, workers a table on `1 + standbys`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from connectors.embedded_kafka import EmbeddedKafka
from schemas.codec import Codec
from schemas.keys import slot_key
from streams.demo.play import new_addresses
from streams.demo.workload import Plan, devices, user_id
from streams.publish.messages import Message
from streams.topics import STREAMS, TABLES
from tests.benchmarks.results import measured_on, written_on
from tests.integration.system import System, now_ms, system

PREFIX: Final = "s-"
LATER_MS: Final = 3_600_000
TYPE: Final = "order_ready"


class Scales:
    """Weighs the topics in the broker's folder and the tables in the worker's."""

    def __init__(self, broker: Path, worker: Path) -> None:
        self._broker, self._worker = broker, worker

    def weigh(self) -> dict[str, int]:
        """Bytes by `topic NAME` and `table NAME`; the index files of Kafka, which are allocated ahead, do not count."""
        names = [*(spec.name for spec in STREAMS), *(f"app-{table}-changelog" for table in TABLES)]
        weights = {
            f"topic {name.removeprefix('app-')}": _bytes(self._broker.glob(f"data/{PREFIX}{name}-[0-9]*/*.log"))
            for name in names
        }
        for table in TABLES:
            weights[f"table {table}"] = _bytes(self._worker.rglob(f"*{table}*/**/*"))
        return weights


def _bytes(paths: Any) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _event(user: str, number: int, send_at: int | None = None) -> Message:
    record = {
        "notification_id": str(uuid.uuid4()),
        "user_id": user,
        "type": TYPE,
        "created_at": now_ms(),
        "send_at": send_at,
        "data": {"name": "Alice", "order": str(number)},
    }
    return Message(slot_key(user, TYPE), Codec().encode("Notification", record))


def measure(users: int, directory: Path) -> dict[str, dict[str, float]]:
    """Return the bytes for one of each, by where they are."""
    with (
        EmbeddedKafka(directory / "kafka") as broker,
        system(broker.bootstrap, PREFIX, directory) as running,
    ):
        scales = Scales(directory / "kafka", directory / "one")
        running.worker("one")
        running.wait_for_devices()
        before = scales.weigh()
        found: dict[str, dict[str, float]] = {}

        def note(what: str) -> None:
            nonlocal before
            after = scales.weigh()
            grown = {
                name: (after[name] - before[name]) / users for name in after if after[name] - before[name] >= users
            }
            found[what] = {name: round(size, 1) for name, size in grown.items()}
            print(what, found[what], file=sys.stderr, flush=True)
            before = after

        asyncio.run(_register(running, users))
        note("user with a device")
        names = [user_id(number) for number in range(users)]
        running.produce([_event(name, number) for number, name in enumerate(names)])
        running.ended(users)
        note("notification, delivered")
        running.produce([_event(name, number) for number, name in enumerate(names)])
        running.ended(2 * users)
        note("event, suppressed")
        others = [f"later-{name}" for name in names]
        due = now_ms() + LATER_MS
        running.produce([_event(name, number, due) for number, name in enumerate(others)])
        running.statuses(lambda seen: sum(each["state"] == "DEFERRED" for each in seen.records) >= users)
        asyncio.run(running.until_read(running.topics.scheduled))
        note("notification, pending")
        return found


async def _register(running: System, users: int) -> None:
    plan = Plan(users=users, events=0, seed=1, schedule_seconds=0)
    addresses = new_addresses(running.simulators["control_url"], plan)
    messages = [Message(each.key or b"", each.value or b"") for each in devices(Codec(), plan, addresses, now_ms())]
    await running.produce_to(running.topics.devices, messages)
    await running.until_read(running.topics.devices)


def report(found: Mapping[str, Mapping[str, float]], users: int, on: Mapping[str, Any]) -> str:
    """The table in Markdown."""
    lines = [
        "| one … takes | bytes in Kafka, one copy | bytes in tables, one copy | most of it |",
        "|---|---:|---:|---|",
    ]
    for what, weights in found.items():
        topics = sum(size for name, size in weights.items() if name.startswith("topic "))
        tables = sum(size for name, size in weights.items() if name.startswith("table "))
        most = sorted(weights.items(), key=lambda item: -item[1])[:3]
        lines.append(
            f"| {what} | {topics:,.0f} | {tables:,.0f} | {', '.join(f'{name} {size:,.0f}' for name, size in most)} |"
        )
    lines += ["", f"{users:,} of each, one run; tables before RocksDB has compacted them, their logs included."]
    lines += written_on(on)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        found = measure(options.users, Path(directory))
    on = measured_on(f"python -m tests.benchmarks.bench_storage {' '.join(sys.argv[1:])}".strip(), 6)
    table = report(found, options.users, on)
    print(table)
    if options.json is not None:
        document = {**on, "users": options.users, "bytes": found}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        options.json.with_suffix(".md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
