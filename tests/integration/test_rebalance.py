"""Workers come and go while events stream in, as processes: one leaves in order, one is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from connectors.simulators import ProviderSimulators
from schemas.keys import partition_of, slot_key
from schemas.records import FINAL_STATES
from streams.lane.clock import wall_ms
from streams.settings import Settings
from streams.topics import TopicNames, ensure_topics
from tests.integration.kafka_records import LOOK_SECONDS, producing, read_all
from tests.integration.straight_line import CODEC, PARTITIONS, settings_of, until_done

USERS = 250
ROUNDS_MIN = 4
READY_SECONDS_MAX = 90.0
REPOSITORY = Path(__file__).parents[2]


def environment(settings: Settings, simulators: ProviderSimulators, directory: Path) -> dict[str, str]:
    """The settings of a worker process."""
    apns = simulators.apns
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    return kept | {
        "RINGONCE_BOOTSTRAP": settings.bootstrap or "",
        "RINGONCE_APP_ID": settings.app_id,
        "RINGONCE_TOPIC_PREFIX": settings.topic_prefix,
        "RINGONCE_PARTITIONS": str(settings.partitions),
        "RINGONCE_SESSION_TIMEOUT_SECONDS": f"{settings.session_timeout_seconds:g}",
        "RINGONCE_HEARTBEAT_SECONDS": f"{settings.heartbeat_seconds:g}",
        "RINGONCE_DATA_DIR": str(directory),
        "RINGONCE_WEB_PORT": "0",
        "RINGONCE_PROVIDER_CA_FILE": str(simulators.ca_file),
        "RINGONCE_APNS_BASE_URL": apns.url,
        "RINGONCE_APNS_KEY_FILE": str(apns.key_file),
        "RINGONCE_APNS_KEY_ID": apns.key_id,
        "RINGONCE_APNS_TEAM_ID": apns.team_id,
        "RINGONCE_APNS_TOPIC": apns.topic,
    }


@asynccontextmanager
async def worker(settings: Settings, simulators: ProviderSimulators, directory: Path) -> AsyncIterator[Process]:
    """A worker process that has its partitions; killed at the end if it still runs."""
    log_file = directory.with_suffix(".log")
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streams", "worker"),
            cwd=REPOSITORY,
            env=environment(settings, simulators, directory),
            stdout=log,
            stderr=log,
        )
    try:
        await _until_ready(process, log_file)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), READY_SECONDS_MAX)


def _said(log_file: Path) -> str:
    return log_file.read_text()


async def _until_ready(process: Process, log_file: Path) -> None:
    async with asyncio.timeout(READY_SECONDS_MAX):
        while "ready:" not in _said(log_file):
            assert process.returncode is None, _said(log_file)
            await asyncio.sleep(LOOK_SECONDS)


def test_whoever_comes_and_goes_each_event_ends_once_and_each_user_sees_one(
    kafka: str, prefix: str, tmp_path: Path
) -> None:
    """P1 and P3 over three workers, by the record of the providers and by the statuses.

    first   |--------------SIGTERM
    second        |-----------------SIGKILL
    third                    |---------------------->
    events  ........................................
    """

    async def play() -> None:
        settings = settings_of(kafka, prefix, tmp_path / "unused")
        topics = TopicNames.of(settings)
        assert not (await ensure_topics(settings)).differences
        written: set[tuple[int, int]] = set()
        user_of: dict[str, str] = {}
        enough = asyncio.Event()

        async with (
            ProviderSimulators(tmp_path / "simulators") as simulators,
            producing(kafka, linger_ms=5) as producer,
        ):
            for number in range(USERS):
                user, address = f"u{number}", simulators.apns.new_device()
                user_of[address] = user
                device = {"device_id": "d", "provider": "APNS", "address": address, "registered_at": 1}
                value = CODEC.encode("Devices", {"user_id": user, "devices": [device]})
                await producer.send(topics.devices, value, user.encode(), partition_of(user.encode(), PARTITIONS))
            await producer.flush()

            async def stream() -> None:
                rounds = 0
                while rounds < ROUNDS_MIN or not enough.is_set():
                    rounds += 1
                    for number in range(USERS):
                        key = slot_key(f"u{number}", "order_ready")
                        notification = {
                            "notification_id": str(uuid.uuid4()),
                            "user_id": f"u{number}",
                            "type": "order_ready",
                            "created_at": wall_ms(),
                            "data": {"order": "7"},
                        }
                        value = CODEC.encode("Notification", notification)
                        partition = partition_of(key, PARTITIONS)
                        sent = await producer.send(topics.notifications, value, key, partition)
                        if number % 25 == 0:
                            await sent  # a pace that the broker sets
                            await asyncio.sleep(0.1)
                        sent.add_done_callback(
                            lambda done: written.add((done.result().partition, done.result().offset))
                        )
                await producer.flush()

            async with worker(settings, simulators, tmp_path / "first") as first:
                streaming = asyncio.create_task(stream())
                async with worker(settings, simulators, tmp_path / "second") as second:
                    first.send_signal(signal.SIGTERM)
                    assert await asyncio.wait_for(first.wait(), READY_SECONDS_MAX) == 0
                    async with worker(settings, simulators, tmp_path / "third") as third:
                        second.kill()
                        enough.set()
                        await streaming

                        def check() -> None:
                            assert third.returncode is None, _said(tmp_path / "third.log")

                        await until_done(settings, check)
            shown = Counter(user_of[push.address] for push in simulators.log.entries)

        ends: dict[tuple[int, int], list[str]] = defaultdict(list)
        states_of: dict[str, Counter[str]] = defaultdict(Counter)
        for record in await read_all(kafka, topics.statuses):
            status = CODEC.decode(record.value, ("Status",)).record
            if status["state"] in FINAL_STATES:
                ends[status["origin_partition"], status["origin_offset"]].append(status["state"])
                states_of[status["user_id"]][status["state"]] += 1
        assert set(ends) == written
        assert {len(states) for states in ends.values()} == {1}
        assert set(shown.values()) == {1}
        for number in range(USERS):
            states = states_of[f"u{number}"]
            # One was sent, or may have been: by the worker that was killed with a request under way.
            assert states["ACCEPTED"] + states["UNKNOWN"] == 1, states
            assert set(states) <= {"ACCEPTED", "UNKNOWN", "SUPPRESSED"}
            assert shown[f"u{number}"] == 1 or states["UNKNOWN"] == 1

    asyncio.run(play())
