"""A worker under requests that mean no good: thousands made of its own document, and some that are made by hand.

Whatever comes, no answer is a mistake of ours, none tells of the machine, and what was answered with 202 is on Kafka,
and nothing else is.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

from schemas.codec import Codec
from tests.documented_answers import Answers
from tests.integration.hostile_requests import REFUSED, TAKEN, exchange, post
from tests.integration.kafka_records import read_all
from tests.integration.system import System, system, web_url
from tests.integration.test_web import until_status

CASES = int(os.environ.get("RINGONCE_TEST_HOSTILE_CASES", "32"))  # of each operation and mode; some 2,000 in all
SEED = int(os.environ.get("RINGONCE_TEST_HOSTILE_SEED", "1"))
SLOW = {"deleteUser": 1 / 16, "cancel": 1 / 3, "move": 1 / 3}  # of all cases: they wait for an answer of a partition
# They read a topic with a client of their own, in a tenth of a second.
SLOW |= dict.fromkeys(("deadLetters", "deadLetter", "replayDeadLetter", "replayDeadLetters", "audit_log"), 3 / 8)
BROADCASTS = {"startBroadcast", "pauseBroadcast", "resumeBroadcast", "cancelBroadcast"}
CODEC = Codec()
TOPICS = ("notifications", "device_changes", "preferences", "profiles")
LEAKS = re.compile(rb"Traceback|File \"|site-packages|/home/|/root/|/tmp/|aiohttp/|Python/|\.py\b")
Running = tuple[System, str, Answers]


@pytest.fixture(scope="module")
def running(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A system with one worker, its URL, and the document that it shows."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("hostile")) as found:
        url = web_url(found.worker("one"))
        until_status(f"{url}/health/ready", 200)
        yield found, url, Answers(until_status(f"{url}/openapi.json", 200).json())


def check(method: str, raw_path: str, answer: Any, answers: Answers) -> None:
    """No mistake of ours, nothing that the document does not say, nothing of the machine."""
    path = answers.path(raw_path)
    where = f"{method} {raw_path[:200]}: {answer.status_code} {answer.content[:300]!r}"
    assert answer.status_code < 500 or answer.status_code in (501, 503), where
    if answer.status_code in (429, 503):
        assert int(answer.headers["Retry-After"]) > 0, where
    if path is not None and "/openapi" not in path and "/docs" not in path:
        assert not LEAKS.search(answer.content), where
    if path is not None and method in ("GET", "PUT", "POST", "DELETE"):
        answers.check(method, path, answer)


class Wire(NamedTuple):
    """Where requests go, over connections that are kept: opening one for each would take as long as answering it."""

    session: requests.Session
    url: str


class Taken:
    """What was answered with 202, by the topic on which it must be."""

    def __init__(self) -> None:
        self.notifications: Counter[str] = Counter()
        self.of_users: dict[str, Counter[str]] = {"devices": Counter(), "preferences": Counter(), "profile": Counter()}
        self.erased: set[str] = set()
        self.requests = 0
        self.statuses: Counter[int] = Counter()

    def note(self, operation_id: str, answer: Any, path: str) -> None:
        """Note one answer."""
        self.requests += 1
        self.statuses[answer.status_code] += 1
        if operation_id == "deleteUser" and answer.status_code in (200, 202):
            self.erased.add(answer.json()["user_id"])
        if answer.status_code != 202:
            return
        said = answer.json()
        if operation_id == "postNotifications":
            self.notifications.update(each["notification_id"] for each in (said if isinstance(said, list) else [said]))
        for kind, of_kind in self.of_users.items():
            if operation_id.lower() in (f"put{kind}", f"delete{kind}", f"put{kind[:-1]}", f"delete{kind[:-1]}"):
                of_kind[unquote(urlsplit(path).path.split("/")[2])] += 1


def test_whatever_the_document_allows_or_forbids_is_answered_and_202_means_kafka(running: Running) -> None:
    """Requests of both kinds for every operation, made from the document alone, by a seed."""
    found, url, answers = running
    before = {
        name: asyncio.run(records(found, name))
        for name in ("notifications", "device_changes", "preferences", "profiles")
    }
    taken, began = Taken(), time.monotonic()
    schema = schemathesis.openapi.from_dict(until_status(f"{url}/openapi.json", 200).json())
    with requests.Session() as session:
        for result in schema.get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr] # the document is valid
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                send(operation, mode, Wire(session, url), answers, taken)
    print(f"{taken.requests} requests in {time.monotonic() - began:.0f} s: {dict(taken.statuses)}")
    assert taken.requests > 60 * CASES, "operations or kinds are missing"
    assert taken.notifications, "none was taken, so nothing was tested"
    after = {name: asyncio.run(records(found, name)) for name in before}
    assert after["notifications"] - before["notifications"] == taken.notifications
    assert after["device_changes"] - before["device_changes"] >= taken.of_users["devices"]
    for topic, kind in (("preferences", "preferences"), ("profiles", "profile")):
        found_on = after[topic] - before[topic]
        assert found_on >= taken.of_users[kind]
        assert set(found_on - taken.of_users[kind]) <= taken.erased, "only an erasure writes more than was asked for"
    until_status(f"{url}/health/ready", 200)


def send(operation: Any, mode: GenerationMode, wire: Wire, answers: Answers, taken: Taken) -> None:
    """Send so many requests of one kind to one operation."""
    operation_id = operation.definition.raw["operationId"]
    cases = 4 if operation_id in BROADCASTS else max(1, round(CASES * SLOW.get(operation_id, 1.0)))

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        said = case.call(base_url=wire.url, session=wire.session, timeout=60)
        headers = [(name, value) for name, values in said.headers.items() for value in values]
        headers = [
            (name, value) for name, value in headers if name.lower() not in ("content-encoding", "content-length")
        ]
        answer = httpx.Response(said.status_code, headers=headers, content=said.content)
        path = urlsplit(said.request.url).path
        taken.note(operation_id, answer, path)
        check(said.request.method, path, answer, answers)

    try:
        one()
    except hypothesis.errors.Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "what takes no parameter can't be asked wrongly; but rightly"


async def records(found: System, topic: str) -> Counter[str]:
    """What is on a topic: by the id of a notification, or by the user."""
    name = getattr(found.topics, topic)
    read = await read_all(found.settings.bootstrap or "", name)
    if topic != "notifications":
        return Counter(record.key.decode() for record in read)
    return Counter(CODEC.decode(record.value, ("Notification",)).record["notification_id"] for record in read)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_hostile_is_refused(running: Running, name: str) -> None:
    """With 4xx, or with the end of the connection; and nothing of it is on Kafka."""
    found, url, _ = running
    before = asyncio.run(records(found, "notifications"))
    sent = REFUSED[name]
    said = exchange(url, sent)
    assert said.statuses or not said.everything
    assert all(400 <= status < 500 for status in said.statuses[:1]), said.everything[:500]
    assert not [status for status in said.statuses if status >= 500 or status == 202], said.everything[:500]
    assert not LEAKS.search(said.everything), said.everything[:1_000]
    assert b"\nX-Injected" not in said.everything
    assert asyncio.run(records(found, "notifications")) == before
    until_status(f"{url}/health/live", 200)


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_odd_and_allowed_is_answered(running: Running, name: str) -> None:
    """As HTTP has it."""
    said = exchange(running[1], TAKEN[name])
    assert said.statuses and all(status < 300 for status in said.statuses), said.everything[:500]


def test_requests_on_one_connection_are_answered_in_their_order(running: Running) -> None:
    """Sent at once, and each in its turn; what looks like a request inside a body is a body."""
    found, url, _ = running
    inner = b"GET /slots/smuggled/t HTTP/1.1\r\nHost: x\r\n\r\n"
    wrong = b'{"notification_id": "' + inner.replace(b"\r\n", b" ") + b'"}'
    first = post(wrong).replace(b"Connection: close\r\n", b"")
    second = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert exchange(url, first + second).statuses == (400, 200)
    ids = [f"pipelined-{number}" for number in range(20)]
    body = [json.dumps({"notification_id": each, "user_id": each, "type": "order_ready"}).encode() for each in ids]
    sent = b"".join(post(each).replace(b"Connection: close\r\n", b"") for each in body)
    said = exchange(url, sent + second)
    assert said.statuses == (*[202] * len(ids), 200)
    assert [each for each in ids if asyncio.run(records(found, "notifications"))[each] != 1] == []
