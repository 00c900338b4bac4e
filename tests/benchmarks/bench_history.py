"""The history: statuses a second from Kafka into each database, and how long searches take in a large one.

    python -m tests.benchmarks history [--statuses N] [--notifications N] [--searches N] [--databases sqlite postgresql]

First a real Kafka has so many statuses, of events of which a third is admitted and said three things of; `ringonce
history` starts, and is measured from its first row to its last, with the CPU time of its process and of the server.
Then a database gets so many notifications, and every kind of search is asked for by one reader, one after the other,
for names that are drawn anew each time. What is found is checked. PostgreSQL is the system's own, with fsync on and
64 MB of buffers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from connectors.embedded_kafka import EmbeddedKafka
from schemas.codec import Codec
from schemas.keys import partition_of
from schemas.records import State
from streams.demo.processes import start, stopped_at_the_end
from streams.history.address import PostgresAddress, SqliteAddress
from streams.history.database import Batch, Claim, Database, Part, Source, history_source, open_database
from streams.history.queries import Search
from streams.history.rows import StatusRow
from streams.settings import Settings, load_settings
from streams.topics import TopicNames, ensure_topics
from tests.benchmarks.results import measured_on, written_on
from tests.integration.kafka_records import producing
from tests.postgres_server import PostgresServer, postgres_server

PARTITIONS = 12
SECONDS_MAX = 300.0
BEGAN_MS = 1_798_000_000_000
USERS, KINDS = 50_000, ("order_ready", "daily_digest", "reminder", "news", "price", "chat", "like", "login")
OUTCOMES: tuple[State, ...] = ("ACCEPTED", "SUPPRESSED", "SUPPRESSED", "DUPLICATE", "NO_DEVICE")


@dataclass(frozen=True, slots=True)
class Written:
    """How one database was written from Kafka."""

    database: str
    statuses: int
    statuses_per_second: int
    cpu_us_per_status: float
    server_cpu_us_per_status: float
    rss_megabytes: float


@dataclass(frozen=True, slots=True)
class Searched:
    """How long one kind of search took, in milliseconds."""

    database: str
    search: str
    found: float
    p50_ms: float
    p99_ms: float


def said(count: int) -> Iterator[dict[str, Any]]:
    """Statuses as the stages say them, as many as are asked for."""
    number = 0
    while count > 0:
        user, kind = f"user-{number * 7919 % USERS}", KINDS[number % len(KINDS)]
        states = ("ADMITTED", "SENDING", "ACCEPTED") if number % 3 == 0 else ("SUPPRESSED",)
        for state in states[:count]:
            yield {
                "notification_id": f"n-{number}",
                "user_id": user,
                "type": kind,
                "state": state,
                "reason": "the slot is held",
                "at": BEGAN_MS + number,
                "stage": "suppress",
                "origin_partition": number % PARTITIONS,
                "origin_offset": number,
                "attempt": 0,
                "by_notification_id": f"n-{number - 1}",
                "until": BEGAN_MS + number + 3_600_000,
            }
        count -= len(states)
        number += 1


async def produce(settings: Settings, count: int) -> None:
    """Put statuses on Kafka."""
    codec, topic = Codec(), TopicNames.of(settings).statuses
    async with producing(settings.bootstrap or "", linger_ms=20, max_batch_size=256 * 1024) as producer:
        last = None
        for status in said(count):
            key = f"{status['user_id']}:{status['type']}".encode()
            value = codec.encode("Status", status)
            last = await producer.send(topic, value, key, partition_of(key, PARTITIONS))
        await producer.flush()
        assert last is not None, "there are some"
        await last


def write(settings: Settings, url: str, database: Database, directory: Path, count: int, server: Any) -> Written:
    """Run the sink until all is written."""
    environment = {
        "RINGONCE_BOOTSTRAP": settings.bootstrap or "",
        "RINGONCE_APP_ID": settings.app_id,
        "RINGONCE_TOPIC_PREFIX": settings.topic_prefix,
        "RINGONCE_DATA_DIR": str(directory),
        "RINGONCE_HISTORY_URL": url,
        "RINGONCE_HISTORY_KEEP_DAYS": "36500",
    }
    database.open(history_source(settings))
    server_before = server()
    with stopped_at_the_end() as processes:
        sink = start("history", ["streams", "history"], directory, environment)
        processes.append(sink)
        process = psutil.Process(sink.popen.pid)
        give_up_at = time.monotonic() + SECONDS_MAX
        began = began_cpu = began_count = None
        while (done := read(database)) < count:
            assert sink.popen.poll() is None, sink.last_lines()
            assert time.monotonic() < give_up_at, f"{done} of {count}\n{sink.last_lines()}"
            if done and began is None:
                began, began_cpu, began_count, server_before = time.monotonic(), cpu(process), done, server()
            time.sleep(0.05)
        assert began is not None and began_cpu is not None and began_count is not None, "it was seen under way"
        seconds, used = time.monotonic() - began, cpu(process) - began_cpu
        megabytes = process.memory_info().rss / 1e6
        served = server() - server_before
    measured = count - began_count
    return Written(
        url.partition(":")[0],
        count,
        round(measured / seconds),
        round(used / measured * 1e6, 1),
        round(served / measured * 1e6, 1),
        round(megabytes, 1),
    )


def read(database: Database) -> int:
    """How far the sink is: nothing but these records is on the topic."""
    claims = [Claim(Part("statuses", number), epoch, None) for number in range(PARTITIONS) for epoch in (0, 1, 2)]
    return sum(claim.next_offset or 0 for claim in database.resume(claims))


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def server_cpu(server: PostgresServer | None) -> Callable[[], float]:
    """What tells the CPU seconds of a server and all its processes, those that have ended included."""
    if server is None:
        return lambda: 0.0
    parent = psutil.Process(server.pid)

    def total() -> float:
        own = parent.cpu_times()
        return own.children_user + own.children_system + sum(cpu(each) for each in parent.children(recursive=True))

    return total


def fill(database: Database, count: int) -> None:
    """Write one notification after the other, an instant each."""
    source = Source("statuses", PARTITIONS)
    database.open(source)
    claims = database.claim([Part("statuses", number) for number in range(PARTITIONS)], "benchmark")
    for start_at in range(0, count, 5_000):
        rows = [notification(number) for number in range(start_at, min(count, start_at + 5_000))]
        moved = [claim._replace(next_offset=start_at + 5_000) for claim in claims]
        database.write(Batch(moved, rows))


def notification(number: int) -> StatusRow:
    """The one status of a notification. One in a thousand is DEAD, all of them of two types; no chat is ACCEPTED."""
    kind = KINDS[number % len(KINDS)]
    state: State = "DEAD" if number % 1_000 in (1, 2) and number % 2_000 < 1_000 else OUTCOMES[number % len(OUTCOMES)]
    if (kind, state) == ("chat", "ACCEPTED"):
        state = "NO_DEVICE"
    return StatusRow(
        number % PARTITIONS,
        number,
        f"n-{number}",
        f"user-{number * 7919 % USERS}",
        kind,
        state,
        "the slot is held",
        BEGAN_MS + number,
        "suppress",
        number % PARTITIONS,
        number,
        0,
        None,
        None,
        None,
        None,
    )


def kinds_of_search(count: int, chance: random.Random) -> dict[str, Callable[[], Search]]:
    """What is searched for, drawn anew each time."""

    def user() -> str:
        return f"user-{chance.randrange(USERS)}"

    def instant() -> int:
        return BEGAN_MS + chance.randrange(count)

    return {
        "user": lambda: Search(user_id=user()),
        "user, type, state": lambda: Search(user_id=user(), type=chance.choice(KINDS), state="ACCEPTED"),
        "id": lambda: Search(notification_id=f"n-{chance.randrange(count)}"),
        "state DEAD, before an instant": lambda: Search(state="DEAD", until=instant()),
        "type, from an instant on": lambda: Search(type=chance.choice(KINDS), since=instant()),
        "type, state SUPPRESSED, before an instant": lambda: Search(
            type=chance.choice(KINDS), state="SUPPRESSED", until=instant()
        ),
        "before an instant": lambda: Search(until=instant()),
        "type and state that never meet": lambda: Search(type="login", state="DEAD", until=instant()),
        "type and common state that never meet": lambda: Search(type="chat", state="ACCEPTED", until=instant()),
    }


def search(name: str, database: Database, count: int, searches: int) -> list[Searched]:
    """Ask each kind of search so often."""
    found = []
    for kind, draw in kinds_of_search(count, random.Random(1)).items():
        seconds, rows = [], 0
        for _ in range(searches):
            wanted = draw()
            began = time.perf_counter()
            page = database.search(wanted)
            seconds.append(time.perf_counter() - began)
            rows += len(page.found)
            for row in page.found[:1]:
                assert wanted.user_id in (None, row.user_id) and wanted.state in (None, row.state), wanted
        cuts = statistics.quantiles(seconds, n=100)
        p50, p99 = (round(cuts[place] * 1e3, 2) for place in (49, 98))
        found.append(Searched(name, kind, round(rows / searches, 1), p50, p99))
    return found


def table(written: list[Written], searched: list[Searched], on: dict[str, Any], notifications: int) -> str:
    """The results in Markdown."""
    lines = [
        "| from Kafka into | statuses | statuses/s | CPU µs/status | of the server | RSS MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one.database} | {one.statuses:,} | {one.statuses_per_second:,} | {one.cpu_us_per_status} "
        f"| {one.server_cpu_us_per_status or ''} | {one.rss_megabytes} |"
        for one in written
    ]
    lines += [
        "",
        f"Searches over {notifications:,} notifications, pages of 100, one after the other:",
        "",
        "| database | search for | found | p50 ms | p99 ms |",
        "|---|---|---:|---:|---:|",
    ]
    lines += [f"| {one.database} | {one.search} | {one.found} | {one.p50_ms} | {one.p99_ms} |" for one in searched]
    return "\n".join([*lines, "", *written_on(on)])


def with_those_before(
    file: Path, written: list[Written], searched: list[Searched]
) -> tuple[list[Written], list[Searched]]:
    """Add what an earlier run has measured and this one has not: one database at a time takes less long."""
    before = json.loads(file.read_text(encoding="utf-8"))
    also = [Written(**one) for one in before["written"] if one["database"] not in {each.database for each in written}]
    more = [
        Searched(**one) for one in before["searched"] if one["database"] not in {each.database for each in searched}
    ]
    return sorted([*also, *written], key=lambda one: one.database), sorted(
        [*more, *searched], key=lambda one: one.database
    )


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--statuses", type=int, default=200_000)
    parser.add_argument("--notifications", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("RINGONCE_TEST_FSYNC", "on")
    written: list[Written] = []
    searched: list[Searched] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringonce-bench-")))
        server = stack.enter_context(postgres_server()) if "postgresql" in arguments.databases else None

        def place(kind: str, name: str) -> SqliteAddress | PostgresAddress:
            if kind == "sqlite":
                return SqliteAddress(directory / f"{name}.db")
            assert server is not None, "started above"
            return PostgresAddress(server.database())

        if arguments.statuses:
            with EmbeddedKafka(fast_start=True) as broker:
                settings = load_settings(bootstrap=broker.bootstrap, app_id="bench", topic_prefix="bench.")
                asyncio.run(ensure_topics(settings))
                asyncio.run(produce(settings, arguments.statuses))
                for kind in arguments.databases:
                    address = place(kind, "written")
                    url = address.url if isinstance(address, PostgresAddress) else f"sqlite://{address.path}"
                    own = server if kind == "postgresql" else None
                    database = open_database(address)
                    written.append(write(settings, url, database, directory, arguments.statuses, server_cpu(own)))
                    database.close()
                    print(written[-1], flush=True)
        for kind in arguments.databases if arguments.notifications else ():
            address = place(kind, "searched")
            database = open_database(address)
            began = time.monotonic()
            fill(database, arguments.notifications)
            seconds = time.monotonic() - began
            print(f"{kind}: {arguments.notifications / seconds:,.0f} rows/s written without Kafka", flush=True)
            database.close()
            reader = open_database(address, read_only=True)
            reader.open(Source("statuses", PARTITIONS))
            searched += search(kind, reader, arguments.notifications, arguments.searches)
            reader.close()
    on = measured_on("python -m tests.benchmarks history", PARTITIONS)
    if arguments.json is not None and arguments.json.exists():
        written, searched = with_those_before(arguments.json, written, searched)
    text = table(written, searched, on, arguments.notifications)
    print(text)
    if arguments.json is not None:
        results = {
            **on,
            "notifications": arguments.notifications,
            "written": [asdict(one) for one in written],
            "searched": [asdict(one) for one in searched],
        }
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        arguments.json.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
