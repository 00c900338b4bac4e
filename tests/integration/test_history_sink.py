"""`ringonce history` on a real Kafka: every status once, through kills, pauses, outages and gaps; what it refuses."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from schemas.codec import Codec
from schemas.keys import partition_of
from streams.demo.processes import Process, start, stopped_at_the_end, wait_for_log
from streams.history.address import PostgresAddress, SqliteAddress
from streams.history.database import Database, history_source, open_database
from streams.history.queries import Search
from streams.history.rows import StateRow
from streams.settings import Settings, load_settings
from streams.stages.forgetting import Forget, write_forget
from streams.topics import TopicNames, ensure_topics
from tests.integration.history_store import Store
from tests.integration.kafka_records import create_topics, producing
from tests.integration.system import end_by_force, now_ms
from tests.postgres_server import PASSWORD, QUOTED_PASSWORD, PostgresServer

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
SECONDS_MAX = 90.0
ODD = "u\0\\ Zoë 🦊"


@dataclass(slots=True)
class Record:
    """What a test says on `statuses`, and where it came to stand."""

    user: str
    id: str
    state: str
    origin: tuple[int, int]
    at: int
    place: tuple[int, int] = (-1, -1)

    def encoded(self) -> bytes:
        """The value of the record."""
        status = {
            "notification_id": self.id,
            "user_id": self.user,
            "type": "t",
            "state": self.state,
            "reason": "because",
            "at": self.at,
            "stage": "suppress",
            "origin_partition": self.origin[0],
            "origin_offset": self.origin[1],
            "attempt": 0,
        }
        return Codec().encode("Status", status)


@dataclass(slots=True)
class World:
    """Topics under names of their own, a place for a history, and the processes that write it."""

    settings: Settings
    environment: dict[str, str]
    directory: Path
    store: Store
    processes: list[Process]
    said: list[Record] = field(default_factory=list)

    @property
    def topics(self) -> TopicNames:
        """The names of the topics."""
        return TopicNames.of(self.settings)

    def sink(self, name: str, ready: bool = True) -> Process:
        """Start one, and wait until it has its partitions."""
        process = start(name, ["streams", "history"], self.directory, self.environment)
        self.processes.append(process)
        if ready:
            wait_for_log(process, "ready: partitions")
        return process

    async def say(self, records: Iterable[Record]) -> None:
        """Produce statuses."""
        async with producing(self.settings.bootstrap or "", enable_idempotence=True) as producer:
            sent = []
            for record in records:
                key = f"{record.user}:t".encode()
                partition = partition_of(key, PARTITIONS)
                sent.append((record, await producer.send(self.topics.statuses, record.encoded(), key, partition)))
            for record, future in sent:
                found = await future
                record.place = (found.partition, found.offset)
                self.said.append(record)

    async def put(self, topic: str, partition: int, value: bytes, key: bytes | None = None) -> int:
        """Produce anything; return its offset."""
        async with producing(self.settings.bootstrap or "") as producer:
            return int((await producer.send_and_wait(topic, value, key, partition)).offset)

    def database(self) -> Database:
        """Return the history, to read."""
        database = open_database(self.store.address, read_only=True)
        database.open(history_source(self.settings))
        self.store.opened.append(database)
        return database

    def states(self) -> dict[tuple[int, int], StateRow]:
        """Where all events stand, by their origin."""
        database, found, search = self.database(), dict[tuple[int, int], StateRow](), Search(limit=1_000)
        while True:
            page = database.search(search)
            for row in page.found:
                assert (row.origin_partition, row.origin_offset) not in found
                found[row.origin_partition, row.origin_offset] = row
            if page.after is None:
                database.close()
                return found
            search = search._replace(after=page.after)

    def until(self, wanted: dict[tuple[int, int], tuple[str, str, str]]) -> None:
        """Wait until the history has exactly these events: user, id and state by origin."""
        give_up_at = time.monotonic() + SECONDS_MAX
        while True:
            found = {origin: (row.user_id, row.notification_id, row.state) for origin, row in self.states().items()}
            if found == wanted:
                return
            if time.monotonic() > give_up_at:
                missing = {key: wanted[key] for key in wanted if found.get(key) != wanted[key]}
                logs = "\n".join(process.last_lines() for process in self.processes)
                extra = {key: found[key] for key in found if key not in wanted}
                raise AssertionError(f"not so: {list(missing.items())[:5]}, not asked for: {extra}\n{logs}")
            time.sleep(0.2)

    def wanted(self) -> dict[tuple[int, int], tuple[str, str, str]]:
        """What all that was said comes to."""
        return {record.origin: (record.user, record.id, record.state) for record in self.said}

    def check_stories(self) -> None:
        """Every status that was said is there, in its place, once, and no other."""
        stories: dict[tuple[str, str], list[tuple[tuple[int, int], str]]] = {}
        for record in self.said:
            stories.setdefault((record.user, record.id), []).append((record.place, record.state))
        database = self.database()
        for (user, id), story in stories.items():
            found = [((row.status_partition, row.status_offset), row.state) for row in database.story(user, "t", id)]
            assert found == sorted(story), (user, id)


@pytest.fixture
def world(kafka: str, prefix: str, tmp_path: Path, store: Store) -> Iterator[World]:
    """Fresh topics and a fresh database."""
    address = store.address
    url = address.url if isinstance(address, PostgresAddress) else f"sqlite://{address.path}"
    names = {"bootstrap": kafka, "topic_prefix": prefix, "app_id": f"{prefix}app"}
    settings = load_settings(**names, partitions=PARTITIONS, data_dir=tmp_path)
    environment = {f"RINGONCE_{name.upper()}": value for name, value in names.items()}
    environment |= {
        "RINGONCE_PARTITIONS": str(PARTITIONS),
        "RINGONCE_HISTORY_URL": url,
        "RINGONCE_DATA_DIR": str(tmp_path),
        "COLUMNS": "300",
    }
    asyncio.run(ensure_topics(settings))
    with stopped_at_the_end() as processes:
        yield World(settings, environment, tmp_path, store, processes)


def events(numbers: range, users: int = 50) -> list[Record]:
    """Three statuses of each of these events, those of a slot in their order."""
    found = []
    for number in numbers:
        user = ODD if number % users == 0 else f"user-{number % users}"
        for step, state in enumerate(("ADMITTED", "SENDING", "ACCEPTED" if number % 3 else "UNKNOWN")):
            found.append(Record(user, f"n\0{number}", state, (number % PARTITIONS, number), now_ms() + step))
    return found


def test_every_status_once_though_it_is_killed_again_and_again(world: World) -> None:
    """SIGKILL five times in the middle; poison among the records is said and passed over; at the end all is there."""
    at = asyncio.run(world.put(world.topics.statuses, 1, b"no status"))
    hostile = Record("u", "n", "ADMITTED", (0, 0), 1).encoded()
    asyncio.run(world.put(world.topics.statuses, 1, hostile[:14] + b"\xff\xff\xff\xff\xff\xff\xff\x7f"))
    too_long = Record("u" * 5_000, "n", "ADMITTED", (0, 0), 1).encoded()
    asyncio.run(world.put(world.topics.statuses, 1, too_long))
    asyncio.run(world.say(events(range(2_000))))
    for kill in range(5):
        sink = world.sink(f"sink-{kill}", ready=kill == 0)
        asyncio.run(world.say(events(range(2_000 + kill * 500, 2_500 + kill * 500))))
        time.sleep(0.3 * kill)
        end_by_force(sink)
    last = world.sink("last")
    world.until(world.wanted())
    world.check_stories()
    last.stop()
    assert last.popen.returncode == 0
    logs = "".join(process.log_file.read_text(encoding="utf-8") for process in world.processes)
    assert f"{world.topics.statuses}-1@{at} cannot be read, and is passed over, the 1. such record: starts with" in logs
    assert "Traceback" not in logs
    assert not any(each in logs for each in (PASSWORD, QUOTED_PASSWORD))


def test_two_share_the_partitions_and_a_paused_one_takes_nothing_back(world: World) -> None:
    """One stands still for longer than its session: the other has all partitions then. When it wakes up it writes
    nothing of what it had read, and they share again."""
    one, two = world.sink("one"), world.sink("two")
    asyncio.run(world.say(events(range(400))))
    world.until(world.wanted())
    one.popen.send_signal(signal.SIGSTOP)
    asyncio.run(world.say(events(range(400, 800))))
    world.until(world.wanted())
    claimed = claims(world)
    assert all(owner.endswith(f":{two.popen.pid}") for _, owner in claimed.values())
    one.popen.send_signal(signal.SIGCONT)
    give_up_at = time.monotonic() + SECONDS_MAX
    while True:  # they take their parts one after the other, each as a new owner of it
        now = claims(world)
        if len({owner for _, owner in now.values()}) == 2 and all(now[part][0] > claimed[part][0] for part in claimed):
            break
        assert time.monotonic() < give_up_at, f"{claimed} {now} {one.last_lines()} {two.last_lines()}"
        time.sleep(0.2)
    asyncio.run(world.say(events(range(800, 1_000))))
    world.until(world.wanted())
    world.check_stories()


def claims(world: World) -> dict[Any, tuple[int, str]]:
    """Epoch and owner of each part of `statuses`."""
    from tests.integration.test_history_database import execute

    rows = execute(world.store, "SELECT number, epoch, owner FROM ringonce_parts WHERE stream = 'statuses'")
    return {number: (epoch, owner) for number, epoch, owner in rows}


def test_a_database_that_is_away_is_waited_for(world: World, postgres: PostgresServer) -> None:
    """Said once, and once when it is back; nothing is lost. A server that freezes is only slow."""
    if isinstance(world.store.address, SqliteAddress):
        pytest.skip("a file is not away: that it is locked, test_history_database has")
    sink = world.sink("sink")
    asyncio.run(world.say(events(range(300))))
    world.until(world.wanted())
    for pid in postgres.backends():
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
    postgres.stop()
    asyncio.run(world.say(events(range(300, 900))))
    time.sleep(4)
    postgres.start()
    world.until(world.wanted())
    world.check_stories()
    log = sink.log_file.read_text(encoding="utf-8")
    assert log.count("the database cannot be used, and is waited for") == 1
    assert log.count("the database answers again") == 1
    assert not any(each in log for each in (PASSWORD, QUOTED_PASSWORD))


def test_what_kafka_removed_unread_is_said_and_it_goes_on(world: World) -> None:
    """While it was not there, and while it stood still; nothing else is missing."""
    asyncio.run(world.say(events(range(200))))
    first = world.sink("first")
    world.until(world.wanted())
    first.stop()
    gone = events(range(200, 400))
    asyncio.run(world.say(gone))
    del world.said[-len(gone) :]
    asyncio.run(remove_all(world))
    asyncio.run(world.say(events(range(400, 500))))
    second = world.sink("second")
    world.until(world.wanted())
    assert re.search(r"statuses-\d: Kafka removed \d+ to \d+ unread", second.log_file.read_text(encoding="utf-8"))
    second.popen.send_signal(signal.SIGSTOP)
    gone = events(range(500, 6_000))
    asyncio.run(world.say(gone))
    del world.said[-len(gone) :]
    asyncio.run(remove_all(world))
    asyncio.run(world.say(events(range(6_000, 6_100))))
    second.popen.send_signal(signal.SIGCONT)
    give_up_at = time.monotonic() + SECONDS_MAX
    kept = world.wanted()
    while not kept.items() <= {o: (r.user_id, r.notification_id, r.state) for o, r in world.states().items()}.items():
        assert time.monotonic() < give_up_at, second.last_lines()
        time.sleep(0.2)
    assert second.popen.poll() is None


async def remove_all(world: World) -> None:
    """Remove what is on `statuses` now, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.settings.bootstrap)
    await admin.start()
    try:
        topic = world.topics.statuses
        await admin.delete_records({TopicPartition(topic, n): RecordsToDelete(-1) for n in range(PARTITIONS)})
    finally:
        await admin.close()


def refused(world: World, **changed: str) -> str:
    """What a sink says that ends with exit code 2."""
    environment = {**os.environ, **world.environment, **{f"RINGONCE_{name}": value for name, value in changed.items()}}
    done = subprocess.run(
        [sys.executable, "-m", "streams", "history"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


def scraped(sink: Process) -> dict[str, float]:
    """What a sink serves to Prometheus, where it says that it does."""
    address = re.search(r"metrics on (http://127\.0\.0\.1:[0-9]+/metrics)", sink.log_file.read_text(encoding="utf-8"))
    assert address is not None, sink.last_lines()
    text = httpx.get(address[1], timeout=10).raise_for_status().text
    return {each.name: each.value for family in text_string_to_metric_families(text) for each in family.samples}


def test_a_process_of_its_own_shows_prometheus_what_it_does(world: World) -> None:
    """What was written and passed over is counted; it is not down, and the process's own memory is there as well."""
    asyncio.run(world.put(world.topics.statuses, 1, b"no status"))
    asyncio.run(world.say(events(range(10))))
    world.environment["RINGONCE_HISTORY_METRICS_PORT"] = "0"
    sink = world.sink("shown")
    world.until(world.wanted())
    found = scraped(sink)
    counted = {name: found[f"ringonce_history_{name}_total"] for name in ("written", "erased", "passed_over")}
    assert counted == {"written": 30.0, "erased": 0.0, "passed_over": 1.0}
    assert found["ringonce_history_down"] == 0.0
    assert found["process_resident_memory_bytes"] > 0


def test_a_port_that_is_taken_is_refused_with_the_setting(world: World) -> None:
    """Before anything is read: an operator who wants metrics is not left without them."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(world, HISTORY_METRICS_PORT=str(port))
    assert f"RINGONCE_HISTORY_METRICS_PORT: 127.0.0.1:{port} cannot be listened on" in said


def test_what_it_cannot_write_into_is_refused_with_the_setting(world: World, prefix: str) -> None:
    """Another installation's history, a wrong password: the setting is named, the password is not."""
    world.sink("sink").stop()
    other = load_settings(bootstrap=world.settings.bootstrap, topic_prefix=f"x{prefix}", partitions=PARTITIONS)
    said = refused(world, TOPIC_PREFIX=f"x{prefix}")
    assert f"RINGONCE_HISTORY_URL: it holds the history of {world.topics.statuses}" in said
    assert TopicNames.of(other).statuses in said
    if world.store.server is not None:
        said = refused(world, HISTORY_URL=world.store.server.url("postgres", "hunter2never"))
        assert "password authentication failed" in said
        assert "hunter2never" not in said


def test_a_topic_that_was_made_anew_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its offsets mean something else now, so the history needs another database; nothing is mixed up."""
    asyncio.run(world.say(events(range(100))))
    sink = world.sink("sink")
    world.until(world.wanted())
    sink.stop()
    asyncio.run(make_anew(world))
    assert "Was it made anew? Then the history needs another database" in refused(world)


async def make_anew(world: World) -> None:
    """Delete `statuses`, and make it again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([world.topics.statuses])
        async with asyncio.timeout(SECONDS_MAX):
            while world.topics.statuses in await admin.list_topics():  # noqa: ASYNC110 (Kafka sends no signal)
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
    await create_topics(world.settings.bootstrap or "", {world.topics.statuses: PARTITIONS})


def test_an_erased_user_is_gone_and_stays_gone(world: World) -> None:
    """Though the sink is killed in the middle, and reads what was said before the erasure only after it."""
    him, her = "user-1", "user-2"
    asyncio.run(world.say(events(range(500), users=5)))
    sink = world.sink("sink")
    world.until(world.wanted())
    end_by_force(sink)
    before = now_ms()
    late = [Record(user, f"late {user}", "ADMITTED", (0, 9_000 + n), before) for n, user in enumerate((him, her))]
    asyncio.run(world.say(late))
    asyncio.run(forget(world, him, before))
    skew_ms = int(world.settings.clock_skew_seconds_max * 1000)
    again = [Record(him, "again", "ADMITTED", (1, 9_500), before + skew_ms + 1)]
    cancelled = [Record(him, f"late {him}", "CANCELLED", (0, 9_000), before + skew_ms + 1)]
    asyncio.run(world.say([*cancelled, *again]))
    for kill in range(3):
        killed = world.sink(f"killed-{kill}", ready=False)
        time.sleep(1.0 + 0.4 * kill)
        end_by_force(killed)
    world.sink("last")
    wanted = {origin: row for origin, row in world.wanted().items() if row[0] != him or row[1] == "again"}
    world.until(wanted)
    asyncio.run(world.say([Record(him, f"late {him}", "ACCEPTED", (0, 9_000), before + skew_ms + 2)]))
    asyncio.run(world.say([Record(her, "last", "ADMITTED", (1, 9_999), now_ms())]))
    wanted[1, 9_999] = (her, "last", "ADMITTED")
    world.until(wanted)


async def forget(world: World, user: str, at: int) -> None:
    """Ask for an erasure."""
    topic, key = world.topics.device_changes, user.encode()
    value = write_forget(Codec(), Forget(key, "r", "a test", at), topic)
    async with producing(world.settings.bootstrap or "") as producer:
        await producer.send_and_wait(topic, value, key, partition_of(key, PARTITIONS), timestamp_ms=at)


def test_a_second_database_has_all_of_it_too(world: World, tmp_path: Path) -> None:
    """A history that is begun beside another one takes nothing from it: they are groups of their own."""
    asyncio.run(world.say(events(range(200))))
    world.sink("first")
    world.until(world.wanted())
    second = open_database(SqliteAddress(tmp_path / "second.db"), read_only=True)
    world.environment["RINGONCE_HISTORY_URL"] = f"sqlite://{tmp_path}/second.db"
    world.sink("second")
    asyncio.run(world.say(events(range(200, 300))))
    world.until(world.wanted())
    second.open(history_source(world.settings))
    give_up_at = time.monotonic() + SECONDS_MAX
    while len(second.search(Search(limit=1_000)).found) < 300:
        assert time.monotonic() < give_up_at
        time.sleep(0.2)
    second.close()
