"""One test for each hole of Faust 0.15.3 that the lane closes; where it can be shown on plain Faust, it is."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import faust
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from faust.transport.consumer import Consumer
from faust.types import TP

from connectors.embedded_kafka.ports import free_ports
from streams.lane.chunk import Chunk, Record
from streams.lane.lane import RecordsLostError
from streams.lane.recovery import ChangelogReplay
from streams.lane.step import Step
from streams.lane.table import LaneTable
from streams.lane.transaction import PartitionTransaction, StepFailedError
from tests.integration.copying_stage import CopyingApp
from tests.integration.kafka_records import committed, create_topics, producing, read_all, until_read
from tests.simulation.tables import local_rows, new_table, unstarted_app


class RecordingTable:
    """Notes what is applied, and what is committed in Kafka by then."""

    def __init__(self, changelog: str) -> None:
        self.changelog = changelog
        self.applied: list[tuple[dict[bytes, bytes | None], int]] = []

    def apply(self, partition: int, changes: Mapping[bytes, bytes | None], offset: int) -> None:
        """As a table, without a store."""
        self.applied.append((dict(changes), offset))


class Transactions:
    """A stage's output, changelog and input; each `new` producer is one owner of its partition 0."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self.input, self.output, self.changelog = f"{prefix}in", f"{prefix}out", f"{prefix}changelog"
        self.table = RecordingTable(self.changelog)

    async def create_topics(self) -> None:
        await create_topics(self.bootstrap, {self.input: 1, self.output: 1, self.changelog: 1})

    def new(self) -> PartitionTransaction:
        return PartitionTransaction(
            "stage",
            0,
            f"{self.prefix}group",
            [("table", self.table)],
            {"bootstrap_servers": self.bootstrap},
            transaction_timeout_ms=30_000,
        )

    def step(self, value: bytes, offset: int) -> Step:
        step = Step(changes={"table": {b"row": value}}, offsets={(self.input, 0): offset})
        step.emit(self.output, 0, b"key", value)
        return step

    async def said(self) -> tuple[list[bytes], list[bytes], dict[tuple[str, int], int]]:
        """What anybody can see: outputs, changelog, offsets."""
        outputs = [record.value for record in await read_all(self.bootstrap, self.output)]
        rows = [record.value for record in await read_all(self.bootstrap, self.changelog)]
        return outputs, rows, await committed(self.bootstrap, f"{self.prefix}group")


def test_plain_faust_commits_past_an_event_in_flight() -> None:
    """The hole itself (upstream #606): 2585 is in flight, 2586 to 2589 are acked, and Faust would commit 2590."""
    tp = TP("t", 0)
    for committed_offset, acked, would_commit in ((2585, [2586, 2587, 2588, 2589], 2590), (None, [1, 2], 3)):
        consumer = SimpleNamespace(
            _acked={tp: acked}, _acked_index=defaultdict(set), _gap={tp: None}, _committed_offset={tp: committed_offset}
        )
        assert Consumer._new_offset(cast(Any, consumer), tp) == would_commit


def test_an_exception_in_a_stage_acks_nothing(kafka: str, prefix: str, tmp_path: Path) -> None:
    """The worker ends; nothing of the step is said, remembered or committed; the next worker does it all."""

    async def play() -> None:
        def choke(record: Record) -> None:
            if record.value == b"3":
                raise ZeroDivisionError

        choking = CopyingApp(kafka, prefix, tmp_path / "a", choke)
        await choking.create_topics()
        async with producing(kafka) as producer:
            for number in range(5):
                await producer.send_and_wait(choking.input, b"%d" % number, key=b"%d" % number, partition=0)
        async with choking.running():
            assert isinstance(await choking.until_failed(), ZeroDivisionError)
        assert await read_all(kafka, choking.output) == []
        assert await committed(kafka, choking.group) == {}
        healthy = CopyingApp(kafka, prefix, tmp_path / "b")
        async with healthy.running():
            await until_read(kafka, healthy.group, [healthy.input], healthy.check)
        assert [record.value for record in await read_all(kafka, healthy.output)] == [b"0", b"1", b"2", b"3", b"4"]

    asyncio.run(play())


def test_a_send_that_fails_commits_nothing(kafka: str, prefix: str) -> None:
    """One record of the step is refused by the broker: neither the others nor the state nor the offset count."""

    async def play() -> None:
        world = Transactions(kafka, prefix)
        await world.create_topics()
        transaction = world.new()
        await transaction.fence()
        step = world.step(b"v", 7)
        step.emit(world.output, 0, b"key", b"x" * 3_000_000)  # more than any broker takes by default
        with pytest.raises(StepFailedError):
            await transaction.commit(step)
        await transaction.close(10)
        following = world.new()
        await following.fence()
        assert await world.said() == ([], [], {})
        assert world.table.applied == []
        await following.commit(world.step(b"w", 7))
        assert await world.said() == ([b"w"], [b"w"], {(world.input, 0): 7})
        await following.close(10)

    asyncio.run(play())


def test_the_table_is_written_after_the_commit_and_not_before(kafka: str, prefix: str) -> None:
    """When rows are applied, everybody can read the changelog that they stand in."""

    async def play() -> None:
        world = Transactions(kafka, prefix)
        await world.create_topics()
        transaction = world.new()
        await transaction.fence()
        order: list[str] = []
        producer = transaction._producer
        commit, apply = producer.commit_transaction, world.table.apply

        async def commit_noted() -> None:
            await commit()
            order.append("committed")

        def apply_noted(partition: int, changes: Mapping[bytes, bytes | None], offset: int) -> None:
            order.append("applied")
            apply(partition, changes, offset)

        producer.commit_transaction, world.table.apply = commit_noted, apply_noted  # type: ignore[method-assign] # spied on
        await transaction.commit(world.step(b"v", 1))
        assert order == ["committed", "applied"]
        assert world.table.applied == [({b"row": b"v"}, 0)]
        await transaction.close(10)

    asyncio.run(play())


def test_a_new_owner_fences_the_old_one(kafka: str, prefix: str) -> None:
    """A paused worker that wakes up can commit neither outputs nor state nor offsets, however often it tries."""

    async def play() -> None:
        world = Transactions(kafka, prefix)
        await world.create_topics()
        paused, owner = world.new(), world.new()
        await paused.fence()
        await paused.commit(world.step(b"old", 1))
        await owner.fence()
        for _ in range(2):
            with pytest.raises(StepFailedError):
                await paused.commit(world.step(b"too late", 9))
        await owner.commit(world.step(b"new", 2))
        assert await world.said() == ([b"old", b"new"], [b"old", b"new"], {(world.input, 0): 2})
        assert [rows for rows, _ in world.table.applied] == [{b"row": b"old"}, {b"row": b"new"}]
        await paused.close(10)
        await owner.close(10)

    asyncio.run(play())


async def leave_open(bootstrap: str, transactional_id: str, topic: str, value: bytes) -> AIOKafkaProducer:
    """Write one record in a transaction that nobody ends, as a worker that dies."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=transactional_id, transaction_timeout_ms=600_000
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, value, key=b"open", partition=0)
    return producer


def test_inputs_are_read_when_they_are_committed_and_aborted_ones_never(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """A record of an open transaction is not decided on; once it is aborted, the stream goes on behind it."""

    async def play() -> None:
        copying = CopyingApp(kafka, prefix, tmp_path)
        await copying.create_topics()
        dead = await leave_open(kafka, f"{prefix}upstream", copying.input, b"never said")
        async with producing(kafka) as producer, copying.running():
            await producer.send_and_wait(copying.input, b"after", key=b"after", partition=0)
            await producer.send_and_wait(copying.input, b"other", key=b"other", partition=1)
            await dead.abort_transaction()
            await until_read(kafka, copying.group, [copying.input], copying.check)
        await dead.stop()
        assert [record.value for record in await read_all(kafka, copying.input, "read_uncommitted")] == [
            b"never said",
            b"after",
            b"other",
        ]
        assert [record.value for record in await read_all(kafka, copying.output)] == [b"after", b"other"]

    asyncio.run(play())


def test_recovery_ends_the_open_transaction_of_a_dead_owner_and_ignores_it(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Its half-written changelog would hold back every read-committed reader until it times out, ten minutes later.

    changelog:  1   never committed   2         read committed: 1, 2
    """

    async def play() -> None:
        first = CopyingApp(kafka, prefix, tmp_path / "a")
        await first.create_topics()
        async with producing(kafka) as producer, first.running():
            await producer.send_and_wait(first.input, b"1", key=b"row", partition=0)
            await until_read(kafka, first.group, [first.input], first.check)
        dead = await leave_open(kafka, f"{first.group}-copy-0", first.changelog, b"never committed")
        following = CopyingApp(kafka, prefix, tmp_path / "b")
        async with following.running():  # within the minute that every start is given
            assert local_rows(following.table, 0) == {b"row": b"1"}
            async with producing(kafka) as producer:
                await producer.send_and_wait(first.input, b"2", key=b"row", partition=0)
            await until_read(kafka, first.group, [first.input], following.check)
            assert [record.value for record in await read_all(kafka, first.changelog)] == [b"1", b"2"]
        dead._closed = True  # it is dead: it has no last word
        await dead.client.close()

    asyncio.run(play())


def test_a_partition_without_a_committed_offset_is_read_from_its_beginning(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Nothing is lost that was there before the first worker, nor on partitions that an earlier one had nothing of."""

    async def play() -> None:
        copying = CopyingApp(kafka, prefix, tmp_path / "a")
        await copying.create_topics()
        async with producing(kafka) as producer:
            for number in range(3_000):
                await producer.send(copying.input, b"%d" % number, key=b"%d" % number, partition=0)
            await producer.flush()
            async with copying.running():
                await until_read(kafka, copying.group, [copying.input], copying.check)
            for number in range(3_000, 6_000):
                await producer.send(copying.input, b"%d" % number, key=b"%d" % number, partition=number % 2)
            await producer.flush()
        assert (copying.input, 1) not in await committed(kafka, copying.group)
        following = CopyingApp(kafka, prefix, tmp_path / "b")
        async with following.running():
            await until_read(kafka, following.group, [following.input], following.check)
        copied = [int(record.value) for record in await read_all(kafka, copying.output)]
        assert sorted(copied) == list(range(6_000))

    asyncio.run(play())


def test_a_chunk_that_does_not_arrive_stops_the_worker(kafka: str, prefix: str, tmp_path: Path) -> None:
    """A gap ends in recovery, which reads the partition again: not in records that nobody decided on."""

    async def play() -> None:
        copying = CopyingApp(kafka, prefix, tmp_path)
        await copying.create_topics()
        async with copying.running() as app:
            await app.lanes.offer(Chunk(copying.input, 0, 5, 9, []))
            assert isinstance(await copying.until_failed(), RecordsLostError)
        assert await committed(kafka, copying.group) == {}

    asyncio.run(play())


@pytest.fixture
def changelog_table(tmp_path: Path) -> LaneTable:
    """A table of a worker that isn't running."""
    return new_table(unstarted_app(tmp_path, 1), LaneTable, "rows")


@pytest.mark.parametrize("persisted", [0, 1, 2, 3, 4, 5, 1_000_000])
def test_local_state_that_does_not_fit_its_changelog_is_wiped_and_built_anew(
    kafka: str, prefix: str, changelog_table: LaneTable, persisted: int
) -> None:
    """The changelog holds offsets 3 and 4, what was before is deleted.

    0   1   2   3   4   5           local state at 2, 3 and 4 goes on from there,
    x   x   x   r   r   end         older or ahead of it is forgotten first
    """

    async def play() -> None:
        changelog = f"{prefix}changelog"
        await create_topics(kafka, {changelog: 1})
        async with producing(kafka) as producer:
            for number in range(5):
                await producer.send_and_wait(changelog, b"%d" % number, key=b"row-%d" % number, partition=0)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        await admin.delete_records({TopicPartition(changelog, 0): RecordsToDelete(before_offset=3)})
        await admin.close()
        changelog_table.apply(0, {b"stale": b"s"}, persisted)
        await ChangelogReplay({"bootstrap_servers": kafka}).run({TP(changelog, 0): changelog_table})
        rows = local_rows(changelog_table, 0)
        fits = persisted in (2, 3, 4)
        assert (rows.pop(b"stale", None) == b"s") is fits
        expected = {b"row-3": b"3", b"row-4": b"4"}
        assert rows == {key: row for key, row in expected.items() if not fits or int(row) > persisted}
        assert changelog_table.persisted_offset(TP(changelog, 0)) == 4

    asyncio.run(play())


def test_tables_and_routes_are_not_served(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Plain Faust shows every row to anyone who asks; here there is nothing under these paths."""

    async def play() -> None:
        [port] = free_ports(1)
        web = {"web_host": "127.0.0.1", "web_bind": "127.0.0.1", "web_port": port}
        copying = CopyingApp(kafka, prefix, tmp_path, faust=web)
        await copying.create_topics()
        async with copying.running(), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for path in ("/table/", "/table/rows", "/table/rows/k/", "/router/", "/router/rows/", "/stats/", "/graph/"):
                assert (await client.get(path)).status_code == 404

    plain = {prefix for prefix, _ in faust.App("plain").web.default_blueprints}
    assert {"/table", "/router"} <= plain
    asyncio.run(play())


def test_a_read_committed_reader_waits_where_plain_faust_reads_on(kafka: str, prefix: str) -> None:
    """What the isolation level is for: without it, a record that is aborted later has been acted on."""

    async def play() -> None:
        topic = f"{prefix}in"
        await create_topics(kafka, {topic: 1})
        dead = await leave_open(kafka, f"{prefix}upstream", topic, b"never said")
        assert [record.value for record in await read_all(kafka, topic, "read_uncommitted")] == [b"never said"]
        assert await read_all(kafka, topic) == []
        await dead.abort_transaction()
        await dead.stop()

    asyncio.run(play())


def test_the_consumer_of_the_worker_reads_committed_and_commits_nothing_itself(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """Offsets are the transactions' business: the client neither commits by time nor when Faust asks it to."""

    async def play() -> None:
        copying = CopyingApp(kafka, prefix, tmp_path)
        await copying.create_topics()
        async with copying.running() as app:
            client: AIOKafkaConsumer = cast(Any, app.consumer)._thread._ensure_consumer()
            assert client._fetcher._isolation_level == 1  # read_committed
            assert client._enable_auto_commit is False
            assert await app.consumer.commit() is False

    asyncio.run(play())
