"""`POST /notifications` on a real worker: what is taken is on Kafka, and ends as any other event."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaError

from schemas.codec import Codec
from streams.publish.intake import BusyError, Intake
from streams.publish.messages import Encoder
from streams.settings import load_settings
from tests.integration.system import SECONDS_MAX, System, now_ms, system, web_url
from tests.integration.test_web import assert_problem, until_status

KIND = "order_ready"
Running = tuple[System, str]


@pytest.fixture(scope="module")
def running(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A system with one worker, and its URL."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("gateway")) as found:
        url = web_url(found.worker("one"))
        until_status(f"{url}/health/ready", 200)
        found.wait_for_devices()
        yield found, url


def post(url: str, body: Any, **headers: str) -> httpx.Response:
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        content = body if isinstance(body, bytes) else json.dumps(body)
        return client.post(f"{url}/notifications", content=content, headers=headers)


def notification(user: int, notification_id: str | None = None, **more: Any) -> dict[str, Any]:
    given = {} if notification_id is None else {"notification_id": notification_id}
    return {"user_id": f"user-{user:06d}", "type": KIND, "data": {"name": "Ada", "order": "7"}, **given, **more}


def test_what_is_taken_is_sent_once_however_often_it_is_posted(running: Running) -> None:
    """The id makes it the same notification; one for later waits in the schedule."""
    found, url = running
    before = len(found.statuses(lambda _: True).final())
    answer = post(url, notification(1), **{"Idempotency-Key": "one"})
    assert (answer.status_code, answer.json()["notification_id"]) == (202, "one")
    assert post(url, notification(1, "one")).status_code == 202
    later = notification(2, "later", send_at=now_ms() + 3_600_000)
    assert post(url, [later, notification(3, "two")]).status_code == 202
    seen = found.statuses(lambda statuses: len(statuses.final()) >= before + 3 and bool(statuses.states("later")))
    assert sorted(state for states in seen.final().values() for state in states) == [
        "ACCEPTED",
        "ACCEPTED",
        "DUPLICATE",
    ]
    assert seen.states("later") == ["DEFERRED"]
    until_status(f"{url}/schedule/user-000002/{KIND}/later", 200)
    until_status(f"{url}{answer.json()['slot_url']}", 200)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (notification(1), 400, "notification_id: must be given"),
        (notification(1, "x", usr="a"), 400, "usr"),
        (notification(1, "x" * 200), 400, "notification_id"),
        ([notification(1, "x"), notification(1, "y", send_at="tomorrow")], 400, "[1] send_at"),
        (b" " * (5 * 1024 * 1024), 413, "bytes"),
    ],
)
def test_what_cannot_be_taken_is_a_problem_that_names_the_field(
    running: Running, body: Any, status: int, words: str
) -> None:
    """And nothing of it is on Kafka."""
    answer = post(running[1], body)
    assert answer.status_code == status
    assert_problem(answer.status_code, dict(answer.headers), answer.content)
    assert words in answer.json()["detail"]


def test_more_than_kafka_takes_is_refused_and_an_unreachable_kafka_is_said(running: Running) -> None:
    """Nothing waits without a bound: neither in memory nor in time."""
    settings = running[0].settings
    message = Encoder(Codec(), running[0].topics.notifications, now_ms).event(notification(4, "busy"))

    async def scenario() -> None:
        topic = running[0].topics.notifications
        full = Intake(settings, under_way_max=2)
        with pytest.raises(BusyError):
            await full.take(topic, [message] * 3)
        nowhere = Intake(load_settings(bootstrap="127.0.0.1:1"))
        with pytest.raises((KafkaError, TimeoutError)):
            await nowhere.take("nowhere", [message])
        assert nowhere.under_way == 0
        await nowhere.close()
        await full.close()

    asyncio.run(scenario())
