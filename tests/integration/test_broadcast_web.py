"""Broadcasts through two workers, from outside: started, followed, paused, cancelled; over HTTP and from the shell."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.codec import Codec
from schemas.records import FINAL_STATES
from streams.demo.workload import user_id
from streams.publish.messages import Message
from tests.integration.kafka_records import until_read
from tests.integration.system import PARTITIONS, SECONDS_MAX, USERS, Statuses, System, system, web_url
from tests.integration.test_schedule_web import call, ringonce
from tests.integration.test_web import assert_problem, until_status

LOOK_SECONDS = 0.1
HOSTILE = "a/b:..?%FF ü"
Two = tuple[System, str, str]


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """A system with two workers that both have partitions and know all devices; with the workers' URLs."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("broadcast")) as running:
        first, second = running.worker("one"), running.worker("two")
        urls = web_url(first), web_url(second)
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        running.wait_for_devices()
        yield running, *urls


def path(broadcast_id: str, *rest: str) -> str:
    """The path of a broadcast."""
    quoted = "".join(f"%{byte:02X}" for byte in broadcast_id.encode())
    return "/".join(["/broadcasts", quoted, *rest])


def until(url: str, broadcast_id: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask where it stands until this is so. Raises TimeoutError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while time.monotonic() < give_up_at:
        answer = call("GET", url + path(broadcast_id))
        if answer.status_code == 200 and is_so(answer.json()):
            found: dict[str, Any] = answer.json()
            return found
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"{broadcast_id}: the last answer was {answer.text}")


def started(url: str, **values: Any) -> str:
    """Start one over HTTP, and return its id."""
    name = values.setdefault("broadcast_id", uuid.uuid4().hex)
    answer = call("POST", f"{url}/broadcasts", {"type": f"t{uuid.uuid4().hex[:8]}", "audience": "all", **values})
    assert answer.status_code == 202, answer.text
    assert answer.json()["broadcast_id"] == name
    return str(name)


@pytest.mark.parametrize("name", [None, HOSTILE])
def test_everybody_is_told_once_whoever_is_asked(two: Two, name: str | None) -> None:
    """Each copy is an ordinary event: admitted and accepted; both workers show the same, by partition too."""
    running, *urls = two
    name = started(urls[0], broadcast_id=name or uuid.uuid4().hex, title="To all")
    done = until(urls[1], name, lambda each: each["state"] == "DONE")
    assert (done["users"], done["seen"], done["matched"], done["emitted"]) == (USERS,) * 4
    assert (done["title"], done["audience"]) == ("To all", "ALL")
    assert sum(each["emitted"] for each in done["partitions"].values()) == USERS
    assert sorted(map(int, done["partitions"])) == list(range(PARTITIONS))
    assert call("GET", urls[0] + path(name)).json() == done
    listed = call("GET", f"{urls[0]}/broadcasts").json()["broadcasts"]
    assert [each["emitted"] for each in listed if each["broadcast_id"] == name] == [USERS]
    seen = running.statuses(lambda seen: seen.states(name).count("ACCEPTED") == USERS)
    assert seen.states(name).count("ADMITTED") == USERS
    again = call("POST", f"{urls[1]}/broadcasts", {"broadcast_id": name, "type": done["type"], "audience": "all"})
    assert again.status_code == 409


def test_copies_obey_what_every_event_obeys(two: Two) -> None:
    """Of two broadcasts of one type the window lets one through; who has opted out is not told."""
    running, url, other = two
    kind, unwilling = f"t{uuid.uuid4().hex[:8]}", user_id(3)
    wishes = Codec().encode("Preferences", {"user_id": unwilling, "opted_out_types": [kind]})
    asyncio.run(running.produce_to(running.topics.preferences, [Message(unwilling.encode(), wishes)]))
    asyncio.run(until_read(running.settings.bootstrap or "", running.settings.app_id, [running.topics.preferences]))
    first = started(url, type=kind)
    running.statuses(lambda seen: seen.states(first).count("ACCEPTED") == USERS - 1)
    second = started(other, type=kind)
    seen = running.statuses(lambda seen: all_ended(seen, first) and all_ended(seen, second))
    assert seen.states(first).count("OPTED_OUT") == 1
    # Until the verdict frees the slot of the one who has opted out, it suppresses the second copy too.
    assert seen.states(second).count("SUPPRESSED") in (USERS - 1, USERS)


def all_ended(seen: Statuses, name: str) -> bool:
    """Whether each copy has come to its end."""
    return sum(seen.states(name).count(state) for state in FINAL_STATES) == USERS


def test_paused_resumed_cancelled(two: Two) -> None:
    """Each answer comes from all partitions, and says how many were told: as many as are on record."""
    running, url, other = two
    name = started(url, per_second=3)  # slower than any machine is with the calls that follow
    until(other, name, lambda each: each["emitted"] > 0)
    paused = call("POST", other + path(name, "pause"), {"requested_by": "Grace"})
    assert (paused.status_code, paused.json()["state"]) == (200, "PAUSED")
    shown = until(url, name, lambda each: each["state"] == "PAUSED")
    assert shown["emitted"] == paused.json()["emitted"]
    assert "Grace" in shown["reason"]
    resumed = call("POST", url + path(name, "resume"))
    assert resumed.json()["state"] == "RUNNING"
    cancelled = call("POST", other + path(name, "cancel"))
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "CANCELLED")
    told = cancelled.json()["emitted"]
    assert 0 < told < USERS
    seen = running.statuses(lambda seen: seen.states(name).count("ADMITTED") >= told)
    assert seen.states(name).count("ADMITTED") == told
    late = call("POST", url + path(name, "pause"))
    assert (late.status_code, late.json()["state"], late.json()["emitted"]) == (200, "CANCELLED", told)
    unknown = call("POST", url + path("nothing", "cancel"))
    assert unknown.status_code == 404


def test_progress_and_an_estimate(two: Two) -> None:
    """While it runs: how many there are, how fast it goes, how long it still takes."""
    _, url, _ = two
    name = started(url, per_second=10)
    found = until(url, name, lambda each: bool(each.get("told_per_second")) and each.get("seconds_left") is not None)
    assert found["users"] == USERS
    assert 0 < found["seconds_left"] < 3_600
    assert call("POST", url + path(name, "cancel")).status_code == 200


def test_a_list_over_http(two: Two) -> None:
    """Sent as it is read, in any pieces; each of its users is told once, of whichever worker; a late one is refused."""
    running, url, other = two
    name = uuid.uuid4().hex
    lines = [f"listed-{number}" for number in range(2_500)] + [json.dumps("with\nbreak"), "", "listed-7"]

    def pieces() -> Iterator[bytes]:
        body = "\n".join(lines).encode()
        for start in range(0, len(body), 997):
            yield body[start : start + 997]

    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        answer = client.post(url + path(name, "users"), content=pieces())
    assert (answer.status_code, answer.json()["users"]) == (202, 2_502), answer.text
    until(other, name, lambda each: each["state"] == "LOADING" and each["users"] == 2_501)
    started(other, broadcast_id=name, audience="list", per_second=1_000_000)
    done = until(url, name, lambda each: each["state"] == "DONE")
    assert (done["users"], done["emitted"]) == (2_501, 2_501)
    seen = running.statuses(lambda seen: seen.states(name).count("NO_DEVICE") == 2_501)
    assert {each["user_id"] for each in seen.records if each["notification_id"] == name} >= {"with\nbreak", "listed-9"}
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        late = client.post(url + path(name, "users"), content=b"late")
        wrong = client.post(url + path("other", "users"), content=b"good\n" + b"x" * 257)
    assert late.status_code == 409
    assert wrong.status_code == 400 and "line 2" in wrong.text


def test_a_short_list_comes_with_its_start(two: Two) -> None:
    """Two users of sixty."""
    _, url, other = two
    name = started(url, audience="list", users=[user_id(1), user_id(2), user_id(1)])
    assert until(other, name, lambda each: each["state"] == "DONE")["emitted"] == 2


@pytest.mark.parametrize(
    ("asked", "body", "status", "said"),
    [
        ("/broadcasts", {"type": "t", "audience": "all"}, 400, "broadcast_id"),
        ("/broadcasts", {"broadcast_id": "b", "audience": "all"}, 400, "type"),
        ("/broadcasts", {"broadcast_id": "b", "type": "t"}, 400, "audience"),
        ("/broadcasts", {"broadcast_id": "b", "type": "t", "audience": "some"}, 400, "audience"),
        ("/broadcasts", {"broadcast_id": "b", "type": "t", "audience": "filter"}, 400, "filter"),
        (
            "/broadcasts",
            {"broadcast_id": "b", "type": "t", "audience": "filter", "filter": "language = de"},
            400,
            "character 12",
        ),
        ("/broadcasts", {"broadcast_id": "b", "type": "t", "audience": "all", "users": ["u"]}, 400, "users"),
        ("/broadcasts", {"broadcast_id": "b", "type": "t", "audience": "list", "users": [""]}, 400, "users"),
        ("/broadcasts", {"broadcast_id": "b", "type": "t", "audience": "all", "per_second": 0}, 400, "per_second"),
        ("/broadcasts", {"broadcast_id": "b", "type": "t", "audience": "all", "why": 1}, 400, "why"),
        ("/broadcasts", {"broadcast_id": "b", "type": "a:b", "audience": "all"}, 400, "type"),
        ("/broadcasts", {"broadcast_id": "b", "type": "t", "audience": "all", "expires_at": 1}, 400, "expires_at"),
        ("/broadcasts", {"broadcast_id": "x" * 129, "type": "t", "audience": "all"}, 400, "broadcast_id"),
        ("/broadcasts", ["b"], 400, "JSON object"),
        ("/broadcasts/b/pause", {"request_id": "x" * 129}, 400, "request_id"),
        ("/broadcasts/%FF/pause", None, 400, "UTF-8"),
        ("/broadcasts/b/stop", None, 404, "Not Found"),
    ],
)
def test_a_mistake_in_a_request_is_named(two: Two, asked: str, body: Any, status: int, said: str) -> None:
    """As a problem document, and nothing is begun."""
    answer = call("POST", two[1] + asked, body)
    assert answer.status_code == status, answer.text
    assert_problem(status, dict(answer.headers), answer.content)
    assert said in answer.text


def test_what_is_not_known_is_a_404(two: Two) -> None:
    """From both, as a problem document."""
    for url in two[1:]:
        answer = call("GET", url + path("nothing"))
        assert answer.status_code == 404
        assert_problem(404, dict(answer.headers), answer.content)
        assert call("GET", f"{url}/broadcasts?limit=0").status_code == 400


def test_the_metrics_show_the_ledger(two: Two) -> None:
    """Between them the workers show each partition once, and no difference."""
    until(two[1], started(two[1]), lambda each: each["state"] == "DONE")
    lines = [line for url in two[1:] for line in call("GET", f"{url}/metrics").text.splitlines()]
    differences = [line for line in lines if line.startswith("ringonce_broadcast_ledger_difference{")]
    assert len(differences) == PARTITIONS
    assert all(line.endswith(" 0.0") for line in differences)
    told = [line for line in lines if line.startswith("ringonce_broadcast_users_total{") and "emitted" in line]
    assert sum(float(line.rpartition(" ")[2]) for line in told) >= USERS


def test_from_the_shell(two: Two, tmp_path: Path) -> None:
    """Dry run, start, show, list, pause, cancel; the exit code tells whether it was done."""
    _, url, _ = two
    kind = f"--type=t{uuid.uuid4().hex[:8]}"
    dry = ringonce(two, "broadcast", "start", kind, "--filter", "bucket < 50", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    count = int(dry.stdout.split()[0])
    assert 0 < count < USERS and f"of {USERS} users would be told" in dry.stdout
    begun = ringonce(two, "broadcast", "start", kind, "--filter", "bucket < 50", "--id", f"shell-{kind}")
    assert (begun.returncode, begun.stdout.strip()) == (0, f"shell-{kind}"), begun.stderr
    shown = ringonce(two, "broadcast", "show", f"shell-{kind}", "--follow", "--url", url)
    assert shown.returncode == 0 and shown.stdout.startswith("DONE: "), shown.stderr
    assert f"{count} told" in shown.stdout
    assert f"shell-{kind}" in ringonce(two, "broadcast", "list", "--url", url).stdout
    users = tmp_path / "users.txt"
    users.write_text("\n".join(user_id(number) for number in range(40)), encoding="utf-8")
    slow = f"slow-{kind}"
    ringonce(two, "broadcast", "start", kind, "--users-file", str(users), "--id", slow, "--per-second", "1")
    paused = ringonce(two, "broadcast", "pause", slow, "--by", "ops")
    assert (paused.returncode, paused.stdout.split(":")[0]) == (0, "PAUSED"), paused.stderr
    done = ringonce(two, "broadcast", "cancel", slow)
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "CANCELLED"), done.stderr
    assert "not recalled" in done.stdout


def test_without_a_worker_a_command_says_so(kafka: str, prefix: str) -> None:
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
        [sys.executable, "-m", "streams", "broadcast", "cancel", "b", "--seconds", "0.5"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 1
    assert "2 of 2 partitions have not answered" in done.stderr and "Traceback" not in done.stderr
