"""What reading and writing costs for each record, and why heads are read the way they are.

    python -m tests.benchmarks.bench_codec [--records N] [--rounds N] [--out FILE]

Every way works on the same chunk; the ways take turns, round by round, so that a busy machine is unjust to all alike.
The figures are medians over the rounds, in microseconds for each record; compare ratios rather than figures.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aiokafka.partitioner import murmur2
from fastavro import parse_schema, schemaless_reader

from schemas.codec import Codec
from schemas.contracts import CONTRACTS
from schemas.keys import check_notification_id, check_type, check_user_id, partition_of
from schemas.notification import (
    Head,
    StatusWriter,
    read_due_head,
    read_heads,
    read_slot,
    write_deferral,
    write_delivery,
    write_due,
    write_slot,
)
from schemas.poison import PoisonError
from schemas.varint import write_long

Ways = dict[str, Callable[[], object]]
CODEC = Codec()
NOTIFICATION = CONTRACTS["Notification"]
HEADER = NOTIFICATION.header
NOW = 1_750_000_000_000


def _fixed(name: str, size: int) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size}


def _items(event: Any) -> Any:
    fields = [
        {"name": "head", "type": _fixed("Head", 10)},
        {"name": "event", "type": event},
        {"name": "end", "type": _fixed("End", 8)},
    ]
    return parse_schema({"type": "array", "items": {"type": "record", "name": "Item", "fields": fields}})


CHUNK = _items({**NOTIFICATION.parsed})


def heads_by_array(values: list[bytes], keys: list[bytes]) -> list[Head | PoisonError]:
    """One call of fastavro for the whole chunk: an array of {header, event, sentinel}.

    The sentinel is random, so a record that is cut off or overlong shifts it and is noticed; then one by one. Not as
    strict as `read_heads`: fastavro takes a negative branch of a union and a number of any length.
    """
    sentinel = os.urandom(8)
    buffer = io.BytesIO(b"".join((write_long(len(values)), sentinel.join(values), sentinel, b"\x00")))
    try:
        items: Any = schemaless_reader(buffer, CHUNK, None)
        heads: list[Head | PoisonError] = []
        for item, key in zip(items, keys, strict=True):
            event = item["event"]
            if item["head"] != HEADER or item["end"] != sentinel:
                return read_heads(values, keys)
            if f"{event['user_id']}:{event['type']}".encode() != key:
                return read_heads(values, keys)
            notification_id = event["notification_id"].encode()
            check_notification_id(notification_id)
            check_user_id(event["user_id"].encode())
            check_type(event["type"].encode())
            heads.append(Head(notification_id, event["send_at"], event["expires_at"], 10))
    except Exception:  # Whatever fastavro stumbled over, one by one will name it.
        return read_heads(values, keys)
    return heads


def heads_by_prefix(values: list[bytes], keys: list[bytes]) -> list[Head]:
    """The upper bound: only the header, the id and the key are looked at, and nothing after them."""
    heads = []
    for value, key in zip(values, keys, strict=True):
        user_at = 11 + (value[10] >> 1)
        type_at = user_at + 1 + (value[user_at] >> 1)
        end = type_at + 1 + (value[type_at] >> 1)
        if value[:10] == HEADER and value[user_at + 1 : type_at] + b":" + value[type_at + 1 : end] == key:
            heads.append(Head(value[11:user_at], None, None, 10))
    return heads


def notifications(kind: str, count: int, seed: int) -> list[dict[str, Any]]:
    """`short`: rendered from a template, two values. `text`: title and body of 20 and 120 characters, not ASCII, five
    values. `scheduled`: as short, with both instants."""
    chance = random.Random(seed)
    records = []
    for number in range(count):
        record: dict[str, Any] = {
            "notification_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "user_id": f"user-{chance.randrange(10**7):07d}",
            "type": "order_ready",
            "created_at": NOW + number,
            "data": {"name": "Alice", "order": str(1000 + number)},
        }
        if kind == "text":
            record |= {"title": "Ihre Bestellung: früh", "body": "Grüße aus der Küche. " * 6}
            record["data"] |= {"restaurant": "Zum Löwen", "table": "12", "url": "https://example.org/orders/1"}
        if kind == "scheduled":
            record |= {"send_at": NOW + 60_000 + number, "expires_at": NOW + 3_600_000}
        records.append(record)
    return records


def reading_heads(kind: str, count: int) -> Ways:
    """The ways to read the heads of a chunk; all give the same heads."""
    records = notifications(kind, count, seed=1)
    values = [CODEC.encode("Notification", record) for record in records]
    keys = [f"{record['user_id']}:{record['type']}".encode() for record in records]
    assert read_heads(values, keys) == heads_by_array(values, keys)
    flawed = [*values[:-1], values[-1][:-1]]
    assert isinstance(heads_by_array(flawed, keys)[-1], PoisonError)
    return {
        f"heads, {kind}: read_heads (a)": lambda: read_heads(values, keys),
        f"heads, {kind}: one array for fastavro (b)": lambda: heads_by_array(values, keys),
        f"heads, {kind}: prefix only, not complete (c)": lambda: heads_by_prefix(values, keys),
        f"heads, {kind}: Codec.decode of each": lambda: [CODEC.decode(value, ("Notification",)) for value in values],
    }


def writing(count: int) -> Ways:
    """The writers of suppress, and for scale the complete codec."""
    records = notifications("short", count, seed=2)
    values = [CODEC.encode("Notification", record) for record in records]
    keys = [f"{record['user_id']}:{record['type']}".encode() for record in records]
    ids = [record["notification_id"].encode() for record in records]
    bodies = [value[10:] for value in values]
    slots = [write_slot(ids[n], "HELD", NOW + 3_900_000 + n, NOW, NOW + 300_000) for n in range(count)]
    dues = [write_due(NOW, NOW + n, n % 12, 1_000_000 + n, body) for n, body in enumerate(bodies)]
    status = {"state": "SUPPRESSED", "reason": "window", "at": NOW, "stage": "suppress", "origin_partition": 3,
              "origin_offset": 7, "attempt": 0, "notification_id": "n", "user_id": "u", "type": "t"}  # fmt: skip

    def statuses() -> list[bytes]:
        write = StatusWriter("suppress", NOW, 3).write
        return [
            write(ids[n], keys[n], "SUPPRESSED", b"window", 1_000_000 + n, 0, ids[n - 1], NOW + 37 * n)
            for n in range(count)
        ]

    return {
        "Codec.encode, Notification": lambda: [CODEC.encode("Notification", record) for record in records],
        "Codec.encode, Status": lambda: [CODEC.encode("Status", status) for _ in range(count)],
        "StatusWriter.write": statuses,
        "write_delivery": lambda: [
            write_delivery(NOW, NOW + 300_000, 1, (), 3, 1_000_000 + n, body) for n, body in enumerate(bodies)
        ],
        "write_deferral": lambda: [write_deferral(NOW + n, 3, 1_000_000 + n, body) for n, body in enumerate(bodies)],
        "write_slot": lambda: [
            write_slot(id, "HELD", NOW + 3_900_000 + n, NOW, NOW + 300_000) for n, id in enumerate(ids)
        ],
        "read_slot": lambda: [read_slot(row) for row in slots],
        "read_due_head": lambda: [read_due_head(value, key) for value, key in zip(dues, keys, strict=True)],
        "partition_of": lambda: [partition_of(key, 12) for key in keys],
        "the same by aiokafka's murmur2": lambda: [(murmur2(key) & 0x7FFFFFFF) % 12 for key in keys],
    }


def measure(ways: Ways, records: int, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds for each record: the median and the least over the rounds, in which the ways take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    scale = 1e6 / records
    return {
        name: {"median_us": round(statistics.median(each) * scale, 2), "min_us": round(min(each) * scale, 2)}
        for name, each in seconds.items()
    }


def main() -> None:
    """Measure, print a table and, with --out, write the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000, help="records in a chunk")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for kind in ("short", "text", "scheduled"):
        results |= measure(reading_heads(kind, arguments.records), arguments.records, arguments.rounds)
    results |= measure(writing(arguments.records), arguments.records, arguments.rounds)
    for name, figures in results.items():
        print(f"{name:48} {figures['median_us']:8.2f} µs   (least {figures['min_us']:.2f})")
    report = {
        "benchmark": "codec",
        "command": f"python -m tests.benchmarks.bench_codec {' '.join(sys.argv[1:])}".strip(),
        "machine": {
            "cpu_count": os.cpu_count(),
            "machine": platform.machine(),
            "system": platform.system(),
            "load": os.getloadavg(),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("fastavro", "murmurhash2", "aiokafka")},
        "records": arguments.records,
        "rounds": arguments.rounds,
        "unit": "microseconds for each record, median and minimum over the rounds",
        "results": results,
    }
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
