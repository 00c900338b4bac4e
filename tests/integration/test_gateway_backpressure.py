"""A Kafka that stands still under load: callers are told to come again, memory has its bound, and 202 stays true."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from connectors.embedded_kafka import EmbeddedKafka
from schemas.codec import Codec
from streams.publish.intake import CONFIRM_SECONDS_MAX, REQUEST_MS_MAX, SLOW_SECONDS, BusyError, Intake
from streams.publish.messages import Encoder, Message
from streams.topics import ensure_topics
from tests.integration.kafka_records import read_all
from tests.integration.system import SECONDS_MAX, System, now_ms, system, web_url
from tests.integration.test_web import until_status

CALLERS = 60
LATECOMERS = 10  # who ask while nothing moves: all others may be waiting for their answers then
FLOW_SECONDS = 3.0
STILL_SECONDS = 8.0  # longer than SLOW_SECONDS, shorter than the sessions of the group
RSS_GROWTH_BYTES_MAX = 80 * 1024 * 1024
CODEC = Codec()


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """A broker of our own: one that stands still is nobody else's."""
    with EmbeddedKafka(fast_start=True) as found:
        yield found


@contextmanager
def standing_still(broker: EmbeddedKafka) -> Iterator[None]:
    """Stop the broker's process, and let it go on."""
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def notification(notification_id: str) -> dict[str, Any]:
    """Of a user of its own, who has no device."""
    return {
        "notification_id": notification_id,
        "user_id": notification_id,
        "type": "order_ready",
        "data": {"order": "7"},
    }


class Load:
    """Callers that send one notification after the other, and note what was answered when."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: dict[str, tuple[float, int, str | None]] = {}
        self.running = True

    async def run(self, callers: range) -> None:
        """Let these ask until `running` is over."""
        connector = aiohttp.TCPConnector(limit=len(callers))
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(self._call(session, number) for number in callers))

    async def _call(self, session: aiohttp.ClientSession, caller: int) -> None:
        number = 0
        while self.running:
            number += 1
            # Half of them in batches, so that both bounds are met.
            ids = [f"c{caller}-{number}-{place}" for place in range(50 if caller % 2 else 1)]
            body = [notification(each) for each in ids] if caller % 2 else notification(ids[0])
            status, retry_after = 0, None
            try:
                async with session.post(f"{self._url}/notifications", json=body) as answer:
                    status, retry_after = answer.status, answer.headers.get("Retry-After")
                    assert status == 202 or (await answer.json(content_type=None))["status"] == status
            except aiohttp.ClientError:
                pass  # the worker starts anew, or is gone: nothing is known
            for each in ids:
                self.answers[each] = (time.monotonic(), status, retry_after)
            await asyncio.sleep(0.02 if status == 202 else 0.2)


async def the_ids(running: System) -> Counter[str]:
    """How often each id is on the topic."""
    records = await read_all(running.settings.bootstrap or "", running.topics.notifications)
    return Counter(CODEC.decode(record.value, ("Notification",)).record["notification_id"] for record in records)


def test_callers_are_told_to_come_again_and_202_stays_true(broker: EmbeddedKafka, tmp_path: Path) -> None:
    """
    Kafka     flows ─────│ stands still ───────────────│ flows
    answers   202        │ 429 after SLOW_SECONDS; 503 │ 202
    """
    with system(broker.bootstrap, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as running:
        worker = running.worker("one")
        url = web_url(worker)
        until_status(f"{url}/health/ready", 200)
        process = psutil.Process(worker.popen.pid)
        load = Load(url)

        async def scenario() -> tuple[int, int]:
            calling = asyncio.create_task(load.run(range(CALLERS)))
            await asyncio.sleep(FLOW_SECONDS)
            before = process.memory_info().rss
            with standing_still(broker):
                await asyncio.sleep(STILL_SECONDS / 2)
                late = asyncio.create_task(load.run(range(CALLERS, CALLERS + LATECOMERS)))
                await asyncio.sleep(STILL_SECONDS / 2)
                during = process.memory_info().rss
            await asyncio.sleep(FLOW_SECONDS)
            load.running = False
            await asyncio.wait_for(asyncio.gather(calling, late), SECONDS_MAX)
            return before, during

        before, during = asyncio.run(scenario())
        statuses = Counter(status for _, status, _ in load.answers.values())
        assert set(statuses) <= {0, 202, 429, 503}, statuses
        assert statuses[202] and statuses[429], statuses
        assert all(retry for _, status, retry in load.answers.values() if status in (429, 503))
        assert during - before < RSS_GROWTH_BYTES_MAX
        taken = {each for each, (_, status, _) in load.answers.items() if status == 202}
        refused = {each for each, (_, status, _) in load.answers.items() if status == 429}
        found = asyncio.run(the_ids(running))
        assert [each for each in taken if found[each] != 1] == []
        assert [each for each in refused if found[each]] == [], "it was refused, and is there all the same"
        assert set(found) <= set(load.answers)
        again = [each for each in load.answers if each not in taken]
        asyncio.run(send_again(url, again))
        found = asyncio.run(the_ids(running))
        assert [each for each in load.answers if not found[each]] == []


async def send_again(url: str, ids: list[str]) -> None:
    """In batches, each until it is taken."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(SECONDS_MAX):
        for start in range(0, len(ids), 500):
            body = [notification(each) for each in ids[start : start + 500]]
            while True:
                async with session.post(f"{url}/notifications", json=body) as answer:
                    if answer.status == 202:
                        break
                    await asyncio.sleep(float(answer.headers["Retry-After"]))


def test_a_kafka_that_stands_still_for_long_breaks_nothing(broker: EmbeddedKafka, tmp_path: Path) -> None:
    """After records were given up, a new producer takes the next ones; and who waits is told in time."""
    with system(broker.bootstrap, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as running:
        topic = running.topics.notifications
        encoder = Encoder(CODEC, topic, now_ms)

        def message(number: int) -> Message:
            return encoder.event(notification(f"n-{number}"))

        async def scenario() -> tuple[set[int], int]:
            await ensure_topics(running.settings)
            intake = Intake(running.settings)
            await intake.take(topic, [message(0)])
            taken, busy, began = {0}, 0, time.monotonic()
            with standing_still(broker):
                waiting = [asyncio.create_task(intake.take(topic, [message(number)])) for number in range(1, 20)]
                await asyncio.sleep(SLOW_SECONDS + 0.5)
                for number in range(100, 120):
                    try:
                        await asyncio.wait_for(intake.take(topic, [message(number)]), 1)
                    except BusyError:
                        busy += 1
                    except TimeoutError:
                        pass  # of a partition that nobody had waited for
                done, _ = await asyncio.wait(waiting, timeout=CONFIRM_SECONDS_MAX + 5)
                assert len(done) == len(waiting), "somebody waits without an end"
                assert all(task.exception() is not None for task in done)
                assert intake.under_way == 0
                await asyncio.sleep(max(0.0, REQUEST_MS_MAX / 1000 + 3 - (time.monotonic() - began)))
            async with asyncio.timeout(SECONDS_MAX):
                for number in range(200, 220):
                    while number not in taken:
                        try:
                            await intake.take(topic, [message(number)])
                            taken.add(number)
                        except Exception:
                            await asyncio.sleep(0.2)
            await intake.close()
            return taken, busy

        taken, busy = asyncio.run(scenario())
        assert busy > 0
        found = asyncio.run(the_ids(running))
        assert [number for number in taken if found[f"n-{number}"] < 1] == []
