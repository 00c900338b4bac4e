"""`/users/{user_id}/profile` on two real workers, with a user service over HTTPS beside it: any worker answers."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from connectors.simulators.tls import Authority, make_authority
from schemas.keys import partition_of
from streams.publish.messages import Message
from tests.integration.system import PARTITIONS, SECONDS_MAX, System, event, system, web_url
from tests.integration.test_web import assert_problem, until_status
from tests.user_service_stand_in import UserServiceStandIn

LOOK_SECONDS = 0.05
USERS = [f"user-{number:06d}" for number in range(8)]  # of all partitions of both workers
Two = tuple[System, list[str], UserServiceStandIn]


@contextmanager
def in_a_thread(stand_in: UserServiceStandIn) -> Iterator[None]:
    """Let it listen on a loop of its own, beside a test that waits for processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(stand_in.start(), loop).result(SECONDS_MAX)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stand_in.stop(), loop).result(SECONDS_MAX)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS_MAX)
        loop.close()


def server_context(authority: Authority) -> ssl.SSLContext:
    """TLS as the user service speaks it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.cert_file, authority.key_file)
    return context


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """A system with two workers, their URLs, and the user service that both ask."""
    directory = tmp_path_factory.mktemp("profiles")
    authority = make_authority(directory / "authority")
    (directory / "token").write_text("hunter2")
    stand_in = UserServiceStandIn({USERS[7]: {"name": "Sam"}}, tls=server_context(authority))
    with in_a_thread(stand_in), system(kafka, f"t{uuid.uuid4().hex[:10]}-", directory) as found:
        types_file = directory / "types.toml"
        types_file.write_text("[types.greet]\ntitle = \"Hi {{ name }}\"\nprofile = 'required'\n")
        found.environment |= {
            "RINGONCE_TYPES_FILE": str(types_file),
            "RINGONCE_USER_SERVICE_URL": stand_in.url,
            "RINGONCE_USER_SERVICE_TOKEN_FILE": str(directory / "token"),
            "RINGONCE_USER_SERVICE_CA_FILE": str(authority.ca_file),
        }
        urls = [web_url(worker) for worker in [found.worker(name) for name in ("one", "two")]]
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        found.wait_for_devices()
        yield found, urls, stand_in


def ask(method: str, url: str, user: str, body: Any = None) -> httpx.Response:
    """One request; `body` as it is, or as JSON."""
    content = body if isinstance(body, bytes | None) else json.dumps(body)
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        return client.request(method, f"{url}/users/{quote(user, safe='')}/profile", content=content)


def until_shown(url: str, user: str, status: int) -> httpx.Response:
    """Ask until deliver has read what was said. Raises TimeoutError."""
    return until_status(f"{url}/users/{quote(user, safe='')}/profile", status)


def test_a_profile_is_taken_by_any_worker_and_shown_by_both(two: Two) -> None:
    """All of it is replaced each time; one worker has the user's partition, the other one asks it."""
    _, urls, _ = two
    profile = {"name": "Ada", "locale": "de-AT", "time_zone": "Europe/Vienna", "fields": {"city": "Wien"}}
    for number, user in enumerate(USERS[:7]):
        answer = ask("PUT", urls[number % 2], user, {**profile, "updated_at": "2027-01-15T09:00:00+01:00"})
        assert (answer.status_code, answer.json()) == (202, {"user_id": user, "profile_url": f"/users/{user}/profile"})
    assert len({partition_of(user.encode(), PARTITIONS) for user in USERS[:7]}) > PARTITIONS // 2
    for user in USERS[:7]:
        shown = [until_shown(url, user, 200).json() for url in urls]
        assert shown[0] == shown[1] == {"user_id": user, **profile, "updated_at": 1_800_000_000_000}
    assert ask("PUT", urls[0], USERS[0], {"user_id": USERS[0], "name": "Bob"}).status_code == 202
    deadline = time.monotonic() + SECONDS_MAX
    while (last := ask("GET", urls[1], USERS[0]).json())["name"] != "Bob" and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    assert (last["name"], last["locale"], last["fields"]) == ("Bob", None, {})
    assert last["updated_at"] > 1_700_000_000_000


def test_a_profile_is_erased(two: Two) -> None:
    """By a worker that may not have its partition; erasing what is not there is no mistake."""
    _, urls, _ = two
    user = "to be / erased, Zoë.."
    assert ask("PUT", urls[0], user, {"name": "Zoë"}).status_code == 202
    assert until_shown(urls[1], user, 200).json()["name"] == "Zoë"
    assert ask("DELETE", urls[1], user).status_code == 202
    for url in urls:
        assert_problem(404, dict(until_shown(url, user, 404).headers), until_shown(url, user, 404).content)
    assert ask("DELETE", urls[0], user).status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 60_000, 400, "not JSON"),
        ([], 400, "must be a JSON object"),
        ({"nmae": "Ada"}, 400, "nmae: no such field"),
        ({"name": 7}, 400, "name: must be a text, is 7"),
        ({"fields": {"age": 7}}, 400, "fields.age: must be a text, is 7"),
        ({"time_zone": "Mars"}, 400, "time_zone: there is no time zone 'Mars'"),
        ({"locale": "?"}, 400, "locale: '?' is no language tag"),
        ({"name": "\ud800"}, 400, "name"),
        ({"user_id": "somebody else"}, 400, "user_id: must be that of the path"),
        ({"erase": True}, 400, "erase: no such field"),
        ({"fields": {"x": "y" * 20_000}}, 400, "at most 16,384"),
        (b" " * 70_000, 413, "65,536"),
    ],
)
def test_what_cannot_be_is_a_problem_that_names_the_field(two: Two, body: Any, status: int, words: str) -> None:
    """And nothing of it is on Kafka."""
    answer = ask("PUT", two[1][0], "problematic", body)
    assert answer.status_code == status
    assert_problem(status, dict(answer.headers), answer.content)
    assert words in answer.json()["detail"]
    assert ask("GET", two[1][0], "problematic").status_code == 404


@pytest.mark.parametrize("user", ["x" * 257, "%FF", "%2525FF"])
def test_a_user_is_read_byte_for_byte(two: Two, user: str) -> None:
    """What no user can be called is refused, and a percent sign is none of ours."""
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        answer = client.get(f"{two[1][0]}/users/{user}/profile")
    assert answer.status_code == (404 if user == "%2525FF" else 400)
    assert_problem(answer.status_code, dict(answer.headers), answer.content)


def greeting(user: str) -> Message:
    """An event that says nothing of its user."""
    return event(user, "greet", f"of {user}", data={})


def test_profiles_from_a_file_and_from_the_user_service_reach_the_texts(two: Two) -> None:
    """`ringonce publish --profiles-file`, HTTP and the user service fill the same template; who has none is dead."""
    found, urls, stand_in = two
    line = json.dumps({"user_id": "user-000020", "name": "Piped"})
    done = subprocess.run(
        [sys.executable, "-m", "streams", "publish", "--profiles-file", "-"],
        input=f'{line}\n{{"user_id": "u", "city": "x"}}\n',
        capture_output=True,
        text=True,
        env={**os.environ, **found.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "line 2: city: no such field" in done.stderr
    assert until_shown(urls[0], "user-000020", 200).json()["name"] == "Piped"
    users = [*USERS[1:3], USERS[7], "user-000020", "user-000030"]
    found.produce(greeting(user) for user in users)
    seen = found.ended(len(users))
    assert [seen.states(f"of {user}")[-1] for user in users] == [*["ACCEPTED"] * 4, "DEAD"]
    assert stand_in.asked == {USERS[7]: 1, "user-000030": 1}
    assert {headers["Authorization"] for headers in stand_in.headers} == {"Bearer hunter2"}
    metrics = [httpx.get(f"{url}/metrics", trust_env=False).text for url in urls]
    counted = [line for text in metrics for line in text.splitlines() if line.startswith("ringonce_profile_lookups_t")]
    assert sum(float(line.rpartition(" ")[2]) for line in counted if '"found"' in line) == 1
    logs = "".join(worker.log_file.read_text() for worker in found.processes[1:])
    assert "hunter2" not in logs and "/v1/users" not in logs
