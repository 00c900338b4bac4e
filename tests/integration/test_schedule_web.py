"""The schedule of two workers, from outside: seen, cancelled and moved through any of them and from the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from schemas.codec import Codec
from streams.publish.messages import Message
from tests.integration.system import PARTITIONS, SECONDS_MAX, System, event, now_ms, system, web_url
from tests.integration.test_web import assert_problem, until_status

ROOT = Path(__file__).parents[2]
KIND = "order_ready"
HOUR_MS = 3_600_000
USERS = [f"user-{number:06d}" for number in range(12)]
HOSTILE = "a/b:..?%FF ü"

Two = tuple[System, str, str]


def scheduled(user: str, notification_id: str, due_at: int, expires_at: int | None = None, kind: str = KIND) -> Message:
    """An event that is not due yet, as it is produced."""
    data = {"name": "Ada", "order": "7"}
    return event(user, kind, notification_id, send_at=due_at, expires_at=expires_at, data=data)


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """A system with two workers that both have partitions; with the workers' URLs."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("schedule")) as running:
        first, second = running.worker("one"), running.worker("two")
        urls = web_url(first), web_url(second)
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        yield running, *urls


def path(user: str, *rest: str) -> str:
    """The path of a notification, or of a slot."""
    return "/".join(["/schedule", *(quote(part, safe="").replace(".", "%2E") for part in (user, *rest))])


def call(method: str, url: str, body: Any = None) -> httpx.Response:
    """One request."""
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        return client.request(method, url, content=None if body is None else json.dumps(body))


def ringonce(two: Two, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the system's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**kept, **two[0].environment, "COLUMNS": "200"},
        timeout=SECONDS_MAX,
        check=False,
    )


def deferred(two: Two, *messages: Message) -> None:
    """Produce events and wait until each is in the schedule."""
    running, url, _ = two
    running.produce(messages)
    for message in messages:
        record = Codec().decode(message.value, ("Notification",)).record
        until_status(url + path(record["user_id"], record["type"], record["notification_id"]), 200)


def test_both_workers_show_the_same(two: Two) -> None:
    """A slot, one notification in full, and a stretch of time over both workers, in due order."""
    _, *urls = two
    due = {user: now_ms() + HOUR_MS + number * 1_000 for number, user in enumerate(USERS)}
    deferred(two, *(scheduled(user, "shown", due[user]) for user in reversed(USERS)))
    for user in USERS:
        one, other = (call("GET", url + path(user, KIND)) for url in urls)
        assert one.status_code == other.status_code == 200
        assert one.json() == other.json()
        (found,) = [each for each in one.json()["notifications"] if each["notification_id"] == "shown"]
        assert (found["due_at"], found["kind"]) == (due[user], "notification")
        one, other = (call("GET", url + path(user, KIND, "shown")) for url in urls)
        assert one.json() == other.json()
        assert one.json()["notification"]["data"] == {"name": "Ada", "order": "7"}
    stretch = f"from={due[USERS[2]]}&to={due[USERS[7]]}&type={KIND}"
    one, other = (call("GET", f"{url}/schedule?{stretch}") for url in urls)
    assert one.json() == other.json()
    assert [each["user_id"] for each in one.json()["notifications"]] == USERS[2:7]
    assert (one.json()["partitions"], one.json()["complete_until"]) == (list(range(PARTITIONS)), None)
    part = call("GET", f"{urls[0]}/schedule?{stretch}&limit=2").json()
    assert [each["user_id"] for each in part["notifications"]] == USERS[2:4]
    assert part["complete_until"] == due[USERS[4]]
    every = f"{urls[0]}/schedule?from={due[USERS[2]]}&to={due[USERS[7]]}&limit=3"
    assert [each["user_id"] for each in call("GET", every).json()["notifications"]] == USERS[2:5]
    assert call("GET", f"{urls[0]}/schedule?type=no_such&from={due[USERS[0]]}").json()["notifications"] == []


@pytest.mark.parametrize("user", ["user-000020", HOSTILE])
def test_a_cancel_is_answered_whoever_is_asked(two: Two, user: str) -> None:
    """First CANCELLED, then ALREADY_CANCELLED; then it is not pending, and its event has ended as CANCELLED."""
    running, *urls = two
    name = f"cancelled {uuid.uuid4().hex}"
    deferred(two, scheduled(user, name, now_ms() + HOUR_MS))
    body = {"requested_by": "Grace", "request_id": f"first {name}"}
    first, second = (call("POST", url + path(user, KIND, name, "cancel"), body) for url in urls)
    assert (first.status_code, second.status_code) == (200, 200)
    assert (first.json()["outcome"], second.json()["outcome"]) == ("CANCELLED", "ALREADY_CANCELLED")
    assert first.json()["request_id"] == f"first {name}"
    for url in urls:
        gone = call("GET", url + path(user, KIND, name))
        assert gone.status_code == 404
        assert_problem(404, dict(gone.headers), gone.content)
    statuses = running.statuses(lambda seen: "CANCELLED" in seen.states(name))
    assert statuses.states(name) == ["DEFERRED", "CANCELLED"]
    assert any("Grace" in each["reason"] for each in statuses.records if each["notification_id"] == name)


def test_what_is_moved_to_now_is_sent(two: Two) -> None:
    """Through the window like any other; a later cancel is told so."""
    running, url, other = two
    name = uuid.uuid4().hex
    running.wait_for_devices()
    deferred(two, scheduled("user-000021", name, now_ms() + HOUR_MS))
    moved = call("POST", url + path("user-000021", KIND, name, "move"), {"due_at": now_ms()})
    assert moved.json()["outcome"] == "MOVED"
    running.statuses(lambda seen: "ACCEPTED" in seen.states(name))
    late = call("POST", other + path("user-000021", KIND, name, "cancel"))
    assert (late.status_code, late.json()["outcome"]) == (200, "ALREADY_RELEASED")


def test_nothing_known_is_a_clear_answer(two: Two) -> None:
    """Neither an error nor a lie: what is not known is said to be so."""
    _, url, _ = two
    cancelled = call("POST", url + path("nobody", KIND, "nothing", "cancel")).json()
    assert cancelled["outcome"] == "UNKNOWN_ID" and cancelled["holds_until"] > now_ms()
    moved = call("POST", url + path("nobody", KIND, "nothing else", "move"), {"due_at": "2040-01-01T00:00:00Z"}).json()
    assert (moved["outcome"], moved["holds_until"]) == ("UNKNOWN_ID", None)


@pytest.mark.parametrize(
    ("method", "asked", "body", "status"),
    [
        ("POST", "/schedule/u/t/n/move", None, 400),
        ("POST", "/schedule/u/t/n/move", {"due_at": "tomorrow"}, 400),
        ("POST", "/schedule/u/t/n/move", {"due_at": True}, 400),
        ("POST", "/schedule/u/t/n/move", {"due_at": 1, "why": "so"}, 400),
        ("POST", "/schedule/u/t/n/cancel", {"due_at": 1}, 400),
        ("POST", "/schedule/u/t/n/cancel", ["n"], 400),
        ("POST", "/schedule/u/t/n/cancel", {"requested_by": 7}, 400),
        ("POST", "/schedule/u/t/n/cancel", {"request_id": "x" * 129}, 400),
        ("POST", "/schedule/u/t:x/n/cancel", None, 400),
        ("POST", f"/schedule/u/t/{'n' * 129}/cancel", None, 400),
        ("POST", "/schedule/u/t/%FF/cancel", None, 400),
        ("GET", "/schedule/u/t/n/cancel", None, 405),
        ("DELETE", "/schedule/u/t/n", None, 405),
        ("GET", "/schedule?limit=0", None, 400),
        ("GET", "/schedule?limit=1001", None, 400),
        ("GET", "/schedule?limit=many", None, 400),
        ("GET", "/schedule?from=yesterday", None, 400),
        ("GET", "/schedule?type=a:b", None, 400),
        ("GET", "/schedule?user=u", None, 400),
        ("GET", "/schedule/u/t/n", None, 404),
    ],
)
def test_a_mistake_in_a_request_is_named(two: Two, method: str, asked: str, body: Any, status: int) -> None:
    """By both workers, as a problem document."""
    for url in two[1:]:
        answer = call(method, url + asked, body)
        assert answer.status_code == status
        assert_problem(status, dict(answer.headers), answer.content)


def test_the_metrics_show_the_ledger(two: Two) -> None:
    """Between them the workers show each partition once, and no difference."""
    lines = [line for url in two[1:] for line in call("GET", f"{url}/metrics").text.splitlines()]
    pending = [line for line in lines if line.startswith("ringonce_schedule_pending{") and "notification" in line]
    assert len(pending) == PARTITIONS
    differences = [line for line in lines if line.startswith("ringonce_schedule_ledger_difference{")]
    assert len(differences) == 2 * PARTITIONS
    assert all(line.endswith(" 0.0") for line in differences)


def test_from_the_shell(two: Two) -> None:
    """List, show, move, cancel; the exit code tells whether it was done."""
    _, url, _ = two
    user, name, due_at = "user-000022", uuid.uuid4().hex, now_ms() + HOUR_MS
    deferred(two, scheduled(user, name, due_at))
    listed = ringonce(two, "schedule", "list", "--url", url, "--from", str(due_at), "--to", str(due_at + 1))
    assert listed.returncode == 0 and name in listed.stdout, listed.stderr
    mine = ringonce(two, "schedule", "list", "--url", url, "--user", user, "--json")
    assert mine.returncode == 0, mine.stderr
    assert [each["notification_id"] for each in json.loads(mine.stdout)["notifications"]] == [name], mine.stderr
    shown = ringonce(two, "schedule", "show", user, KIND, name, "--url", url)
    assert json.loads(shown.stdout)["due_at"] == due_at, shown.stderr
    moved = ringonce(two, "schedule", "move", user, KIND, name, "--in", "2h", "--by", "ops")
    assert (moved.returncode, moved.stdout.split(":")[0]) == (0, "MOVED"), moved.stderr
    done = ringonce(two, "schedule", "cancel", user, KIND, name)
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "CANCELLED"), done.stderr
    again = ringonce(two, "schedule", "cancel", user, KIND, name)
    assert (again.returncode, again.stdout.split(":")[0]) == (1, "ALREADY_CANCELLED"), again.stderr
    gone = ringonce(two, "schedule", "show", user, KIND, name, "--url", url)
    assert gone.returncode == 1 and "is not pending" in gone.stderr
    wrong = ringonce(two, "schedule", "move", user, KIND, name)
    assert wrong.returncode == 2 and "--to or --in" in wrong.stderr
    nobody = ringonce(two, "schedule", "list", "--url", "http://127.0.0.1:9")
    assert nobody.returncode == 1 and "no worker answers" in nobody.stderr


def test_without_a_worker_the_command_says_so(kafka: str, prefix: str) -> None:
    """It stays on Kafka, and the exit code is that of what was not done."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
    environment = {
        **kept,
        "RINGONCE_BOOTSTRAP": kafka,
        "RINGONCE_TOPIC_PREFIX": prefix,
        "RINGONCE_APP_ID": f"{prefix}app",
        "RINGONCE_PARTITIONS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "streams", "schedule", "cancel", "u", "t", "n", "--seconds", "0.5"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 1
    assert "no worker has answered" in done.stderr and "Traceback" not in done.stderr
