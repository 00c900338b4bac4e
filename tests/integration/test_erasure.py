"""A user is erased on a real Kafka with two workers: everything of his is gone, and no window is broken by it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.keys import partition_of
from streams.publish.erasure_document import REMOVED
from streams.publish.messages import Message
from tests.integration.kafka_records import read_all
from tests.integration.system import PARTITIONS, SECONDS_MAX, System, event, now_ms, system, web_url
from tests.integration.test_web import assert_problem, until_status

ROOT = Path(__file__).parents[2]
HIM, HER = "user-000003", "user-000004"
KINDS = [f"kind{number}" for number in range(8)]  # spread over the partitions
LATER_MS = 3_600_000
NOTHING = dict.fromkeys(REMOVED, 0)


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, list[str]]]:
    """A system with two workers, and their URLs."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("erasure")) as running:
        urls = [web_url(running.worker(name)) for name in ("one", "two")]
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        running.wait_for_devices()
        yield running, urls


def call(method: str, url: str, body: Any = None) -> httpx.Response:
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False, verify=False) as client:
        return client.request(method, url, content=None if body is None else json.dumps(body))


def later(user: str, kind: str) -> Message:
    """An event that is to be sent in an hour."""
    return event(user, kind, f"later-{user}-{kind}", send_at=now_ms() + LATER_MS, data={})


def until(url: str, expected: int) -> httpx.Response:
    """Ask until this status is answered."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while (answer := call("GET", url)).status_code != expected:
        assert time.monotonic() < give_up_at, answer.text
        time.sleep(0.05)
    return answer


def until_devices(url: str, count: int) -> None:
    """Ask until a user has so many devices."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while True:
        answer = call("GET", url)
        if answer.status_code == 200 and len(answer.json()["devices"]) == count:
            return
        assert time.monotonic() < give_up_at, answer.text
        time.sleep(0.05)


def test_a_user_is_erased_and_nobody_else(two: tuple[System, list[str]]) -> None:
    """Devices, wishes, profile, history and what is scheduled are gone; a push that he had holds its window."""
    running, (one, other) = two
    for user in (HIM, HER):
        assert call("PUT", f"{one}/users/{user}/preferences", {"opted_out_types": ["nothing"]}).status_code == 202
        assert call("PUT", f"{other}/users/{user}/profile", {"name": "Ada"}).status_code == 202
    running.produce([event(user, "sent", f"sent-{user}") for user in (HIM, HER)])
    running.produce([later(user, kind) for user in (HIM, HER) for kind in KINDS])
    waiting = {f"later-{user}-{kind}" for user in (HIM, HER) for kind in KINDS}
    running.statuses(
        lambda seen: (
            all("ACCEPTED" in seen.states(f"sent-{user}") for user in (HIM, HER))
            and all("DEFERRED" in seen.states(each) for each in waiting)
        )
    )
    until(f"{one}/users/{HIM}/profile", 200)
    until(f"{one}/schedule/{HIM}/{KINDS[0]}/later-{HIM}-{KINDS[0]}", 200)

    answer = call("DELETE", f"{other}/users/{HIM}", {"requested_by": "ops"})

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["complete"] is True
    assert found["removed"] == {
        "devices": 1,
        "preferences": 1,
        "profiles": 1,
        "notifications": 1,
        "pending": len(KINDS),
        "retries": 0,
        "slots": 0,
    }
    assert found["kept"] == {"under_way": 0, "cap_places": 0, "slots": 1}
    assert now_ms() < found["slots_kept_until"]
    (holder,) = call("GET", f"{one}/slots/{HIM}/sent").json()["holders"]
    assert found["slots_kept_until"] == holder["blocked_until"]
    assert found["topics_keep_seconds"][running.topics.statuses] == 7 * 24 * 3600
    seen = running.statuses(lambda seen: all("CANCELLED" in seen.states(f"later-{HIM}-{kind}") for kind in KINDS))
    first = [each for each in seen.records if each["notification_id"] == f"later-{HIM}-{KINDS[0]}"]
    said = next(each for each in first if each["state"] == "CANCELLED")
    assert "the user was erased" in said["reason"]
    for kind in ("preferences", "profile"):
        until(f"{one}/users/{HIM}/{kind}", 404)
        until(f"{other}/users/{HER}/{kind}", 200)
    assert call("GET", f"{one}/users/{HIM}/devices").json()["devices"] == []
    assert len(call("GET", f"{one}/users/{HER}/devices").json()["devices"]) == 1
    assert call("GET", f"{one}/schedule/{HER}/{KINDS[0]}/later-{HER}-{KINDS[0]}").status_code == 200

    running.produce([event(HIM, "sent", "again")])
    running.statuses(lambda seen: "SUPPRESSED" in seen.states("again"))


def test_what_is_compacted_ends_in_tombstones(two: tuple[System, list[str]]) -> None:
    """Whoever reads these topics to their end knows nothing of the user any more. Asked again, nothing is left."""
    running, (one, _) = two
    assert call("DELETE", f"{one}/users/{HIM}").json()["removed"] == NOTHING
    topics = running.topics

    async def last() -> list[bytes | None]:
        found = []
        for topic in (topics.devices, topics.preferences, topics.profiles):
            records = await read_all(running.settings.bootstrap or "", topic)
            found.append([record.value for record in records if record.key == HIM.encode()][-1])
        return found

    assert asyncio.run(last()) == [None, None, None]


def test_the_shell_says_what_was_removed(two: tuple[System, list[str]]) -> None:
    """`ringonce forget` prints the document, for somebody whom nobody knows too."""
    running, _ = two
    environment = {**os.environ, **running.environment, "RINGONCE_DATA_DIR": str(running.directory / "shell")}
    done = subprocess.run(
        [sys.executable, "-m", "streams", "forget", "nobody"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["slots_kept_until"] is None
    assert (found["complete"], found["removed"], found["not_answered"]) == (True, NOTHING, [])


def test_who_does_not_answer_in_time_is_named(kafka: str, prefix: str, tmp_path: Path) -> None:
    """Without any worker the command is on Kafka, the shell names whom it waited for, and a worker does it later."""
    with system(kafka, prefix, tmp_path) as running:
        environment = {**os.environ, **running.environment}
        done = subprocess.run(
            [sys.executable, "-m", "streams", "forget", HIM, "--seconds", "1"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        found = json.loads(done.stdout)
        places = {(each["stage"], each["partition"]) for each in found["not_answered"]}
        everywhere = {(stage, number) for stage in ("suppress", "schedule") for number in range(PARTITIONS)}
        assert places == everywhere | {("deliver", partition_of(HIM.encode(), PARTITIONS))}
        assert (found["complete"], found["removed"], found["partitions"]) == (False, NOTHING, [])
        assert f"{len(places)} partitions have not answered within 1 s" in " ".join(done.stderr.split())
        url = web_url(running.worker("one"))
        until_devices(f"{url}/users/{HIM}/devices", 0)


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("%FF", None, "UTF-8"),
        ("x" * 257, None, "user_id"),
        ("u", {"force": True}, "force"),
        ("u", {"requested_by": 7}, "requested_by"),
        ("u", {"request_id": "r" * 200}, "request_id"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(
    two: tuple[System, list[str]], path: str, body: Any, word: str
) -> None:
    """400, a problem document that names it, and nothing on Kafka."""
    answer = call("DELETE", f"{two[1][0]}/users/{path}", body)
    assert_problem(answer.status_code, dict(answer.headers), answer.content)
    assert answer.status_code == 400
    assert word in answer.json()["detail"]
