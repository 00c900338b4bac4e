"""The web views of two workers: the same answers, problem documents, and no wrong 404 while partitions move."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.integration.system import (
    PARTITIONS,
    SECONDS_MAX,
    USERS,
    System,
    end_by_force,
    event,
    system,
    web_url,
)

KIND = "order_ready"
HELD_USERS = [f"user-{number:06d}" for number in range(USERS)]
LOOK_SECONDS = 0.05


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, str, str]]:
    """A system with two workers that both have partitions, and a held slot for each user; with the workers' URLs."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("web")) as running:
        first, second = running.worker("one"), running.worker("two")
        urls = web_url(first), web_url(second)
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        running.wait_for_devices()
        running.ended(running.produce(event(user, KIND, f"id-{user}") for user in HELD_USERS))
        yield running, *urls


def get(url: str) -> httpx.Response:
    """One request that follows nothing and normalizes nothing."""
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False, verify=False) as client:
        return client.get(url)


def until_status(url: str, status: int) -> httpx.Response:
    """Ask until the answer has this status. Raises TimeoutError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    last = "none"
    while time.monotonic() < give_up_at:
        try:
            answer = get(url)
        except httpx.TransportError as error:  # it starts anew
            last = repr(error)
        else:
            if answer.status_code == status:
                return answer
            last = answer.text
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"{url}: no {status} within {SECONDS_MAX:.0f} s, the last answer was {last}")


def until_accepted(url: str) -> None:
    """Ask until the verdict on the holder of a slot is in, which may wait for company. Raises TimeoutError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while until_status(url, 200).json()["holders"][0]["phase"] != "ACCEPTED":
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{url}: no verdict within {SECONDS_MAX:.0f} s")
        time.sleep(LOOK_SECONDS)


def raw(url: str, path: bytes, method: bytes = b"GET") -> tuple[int, dict[str, str], bytes]:
    """Send a request line with exactly these bytes; return status, headers in lower case, and body."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection((host or "", port or 0), timeout=SECONDS_MAX) as connection:
        connection.sendall(method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


def assert_problem(status: int, headers: dict[str, str], body: bytes) -> None:
    """It is a problem document that tells the status of the answer."""
    assert headers["content-type"].split(";")[0] == "application/problem+json"
    document = json.loads(body)
    assert document["status"] == status
    assert document["title"] and document["detail"]
    assert (status == 503) == ("retry-after" in headers)


def test_both_workers_have_partitions(two: tuple[System, str, str]) -> None:
    """Each partition of each stage is worked on by exactly one of the two, and each has some."""
    _, *urls = two
    for stage in ("suppress", "schedule", "deliver"):
        found = [get(f"{url}/health/ready").json()["partitions"][stage] for url in urls]
        assert sorted(found[0] + found[1]) == list(range(PARTITIONS))
        assert all(found)


def test_a_slot_is_answered_the_same_by_both(two: tuple[System, str, str]) -> None:
    """Whoever is asked shows the same holder; one of the two has forwarded."""
    _, *urls = two
    for user in HELD_USERS:
        until_accepted(f"{urls[0]}/slots/{user}/{KIND}")
        one, other = (get(f"{url}/slots/{user}/{KIND}") for url in urls)
        assert one.status_code == other.status_code == 200, (one.text, other.text)
        assert one.json() == other.json()
        (holder,) = one.json()["holders"]
        assert (holder["notification_id"], holder["phase"]) == (f"id-{user}", "ACCEPTED")
        assert one.headers["content-type"] == other.headers["content-type"] == "application/json; charset=utf-8"


def test_a_free_slot_is_a_404_from_both(two: tuple[System, str, str]) -> None:
    """A problem document with the same words, forwarded or not."""
    _, *urls = two
    for number in range(8):
        one, other = (get(f"{url}/slots/nobody-{number}/{KIND}") for url in urls)
        assert one.status_code == other.status_code == 404
        assert_problem(404, dict(one.headers), one.content)
        assert (one.headers["content-type"], one.content) == (other.headers["content-type"], other.content)


HOSTILE_USERS = [
    "a/b",
    "a:b:c",
    ":",
    "..",
    ".",
    "a\0b",
    "%FF",
    "%2F",
    "a b?c#d",
    "ü",
    "\U0001d54f" * 64,
    "\r\nX-Y: z",
    "{}",
    "\ufeff",
]


@pytest.mark.parametrize("user", HOSTILE_USERS, ids=ascii)
def test_any_user_id_can_be_asked_for(two: tuple[System, str, str], user: str) -> None:
    """A user id that is legal in Kafka is legal here: both workers know nothing of its slot, and then its story."""
    running, *urls = two
    quoted = quote(user, safe="").replace(".", "%2E")
    path = f"/slots/{quoted}/{KIND}".encode()
    for url in urls:
        status, headers, body = raw(url, path)
        assert_problem(status, headers, body)
        assert status == 404
    notification_id = uuid.uuid4().hex
    running.produce([event(user, "no_ones", notification_id)])
    running.statuses(lambda seen: "ADMITTED" in seen.states(notification_id))
    story = f"/notifications/{quoted}/no_ones/{notification_id}".encode()
    for url in urls:
        status, headers, body = raw(url, story)
        assert status == 200, body
        assert json.loads(body)["user_id"] == user


HOSTILE_PATHS = [
    (b"/slots/%FF/order_ready", 400),
    (b"/slots/%C3/order_ready", 400),
    (b"/slots/\xff\xfe/order_ready", 400),
    (b"/slots/%ED%A0%80/order_ready", 400),
    (b"/slots/u/order%2Fready", 400),
    (b"/slots/u/order:ready", 400),
    (b"/slots/u/order%00ready", 400),
    (b"/slots/u/%C3%BC", 400),
    (b"/slots/u/" + b"t" * 65, 400),
    (b"/slots/" + b"u" * 257 + b"/t", 400),
    (b"/slots/" + b"%C3%BC" * 129 + b"/t", 400),
    (b"/slots/" + b"u" * 100_000 + b"/t", 431),
    (b"/slots/u/%", 400),
    (b"/slots/u/%zz", 400),
    (b"/slots//t", 404),
    (b"/slots/u/", 404),
    (b"/slots/u", 404),
    (b"/slots/u/t/x", 404),
    (b"/slots/../table", 404),
    (b"/", 404),
    (b"//", 404),
    (b"/\xff", 400),
    (b"/%00", 404),
    (b"/table", 404),
    (b"/table/", 404),
    (b"/table/slots/u:t/", 404),
    (b"/router", 404),
    (b"/router/slots/u:t/", 404),
    (b"/graph", 404),
    (b"/stats/", 404),
    (b"/metrics/", 404),
]


@pytest.mark.parametrize(("path", "status"), HOSTILE_PATHS, ids=lambda value: ascii(value)[:40])
def test_a_hostile_path_is_the_callers_mistake(two: tuple[System, str, str], path: bytes, status: int) -> None:
    """Whatever comes as a path is answered with a 4xx, by both workers, and Faust's own views are not there."""
    _, *urls = two
    for url in urls:
        found, headers, body = raw(url, path)
        assert found == status, body
        if path.isascii() and len(path) < 8_000:  # else the parser refuses the line before any view sees it
            assert_problem(status, headers, body)


def test_another_method_is_refused(two: tuple[System, str, str]) -> None:
    """There is nothing to write here; the answer names what is allowed."""
    _, url, _ = two
    for method in (b"POST", b"PUT", b"DELETE", b"PATCH", b"TRACE"):
        status, headers, body = raw(url, b"/slots/u/t", method)
        assert_problem(status, headers, body)
        assert status == 405
        assert "get" in headers["allow"]
    assert raw(url, b"/slots/nobody/t", b"HEAD")[::2] == (404, b"")
    status, headers, body = raw(url, b"/slots/u/t", b"OPTIONS")
    assert (status, headers["allow"], body) == (204, "get, head, options", b"")


def test_a_forwarded_request_is_not_forwarded_again(two: tuple[System, str, str]) -> None:
    """When two workers take each other for the owner, the caller is told to come again, and no circle begins."""
    _, *urls = two
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        for user in HELD_USERS[:8]:
            answers = [client.get(f"{url}/slots/{user}/{KIND}", headers={"ringonce-forwarded": "1"}) for url in urls]
            assert sorted(answer.status_code for answer in answers) == [200, 503]
            refused = next(answer for answer in answers if answer.status_code == 503)
            assert_problem(503, dict(refused.headers), refused.content)


async def watch(urls: list[str], users: list[str], change: asyncio.Event) -> list[tuple[str, int]]:
    """Ask all workers for held slots until the change is over; return (user, status) of every answer."""
    answers: list[tuple[str, int]] = []
    async with httpx.AsyncClient(timeout=SECONDS_MAX, trust_env=False) as client:
        while not change.is_set():
            for user in users:
                for url in urls:
                    try:
                        answer = await client.get(f"{url}/slots/{user}/{KIND}")
                    except httpx.TransportError:  # it has not started, or it has gone
                        continue
                    answers.append((user, answer.status_code))
                    if answer.status_code == 503:
                        assert_problem(503, dict(answer.headers), answer.content)
            await asyncio.sleep(LOOK_SECONDS)
    return answers


async def ready_again(url: str) -> None:
    """Wait until a worker says that it is ready."""
    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.to_thread(until_status, f"{url}/health/ready", 200)


def test_no_wrong_404_while_partitions_move(two: tuple[System, str, str]) -> None:
    """A held slot is shown or 503 while a worker joins, leaves, is killed; readiness falls and comes back."""
    running, *urls = two
    ready: list[int] = []

    async def observe(over: asyncio.Event) -> None:
        while not over.is_set():
            ready.append((await asyncio.to_thread(get, f"{urls[0]}/health/ready")).status_code)
            await asyncio.sleep(LOOK_SECONDS)

    async def scenario() -> list[tuple[str, int]]:
        over = asyncio.Event()
        watching = asyncio.create_task(watch(urls, HELD_USERS[:12], over))
        observing = asyncio.create_task(observe(over))
        try:
            joined = await asyncio.to_thread(running.worker, "three")
            await asyncio.gather(*(ready_again(url) for url in [*urls, web_url(joined)]))
            await asyncio.to_thread(joined.stop)
            await asyncio.gather(*(ready_again(url) for url in urls))
            killed = await asyncio.to_thread(running.worker, "four")
            await asyncio.gather(*(ready_again(url) for url in urls))
            await asyncio.to_thread(end_by_force, killed)
            await asyncio.to_thread(until_taken_over, urls)
        finally:
            over.set()
            answers, _ = await asyncio.gather(watching, observing)
        return answers

    answers = asyncio.run(scenario())
    assert {status for _, status in answers} == {200, 503}
    assert {200, 503} == set(ready)
    assert ready[-1] == 200


def until_taken_over(urls: list[str]) -> None:
    """Wait until every held slot is shown by every worker again."""
    for url in urls:
        for user in HELD_USERS:
            until_status(f"{url}/slots/{user}/{KIND}", 200)


def test_a_worker_that_was_frozen_does_not_speak_of_the_past(two: tuple[System, str, str]) -> None:
    """A worker that was stopped for longer than its session, and lost its partitions meanwhile, gives no wrong 404."""
    running, *urls = two
    frozen = next(process for process in running.processes if process.name == "one")
    owned = set(get(f"{urls[0]}/health/ready").json()["partitions"]["suppress"])
    frozen.popen.send_signal(signal.SIGSTOP)
    try:
        wait_until_owner_of_all(urls[1], owned)
        running.produce(event(user, "late_news", f"later-{user}") for user in HELD_USERS)
        running.statuses(lambda seen: all("ACCEPTED" in seen.states(f"later-{user}") for user in HELD_USERS))
    finally:
        frozen.popen.send_signal(signal.SIGCONT)
    assert statuses_of(f"{urls[0]}/slots/{user}/late_news" for user in HELD_USERS) <= {200, 503}
    until_status(f"{urls[0]}/health/ready", 200)
    until_taken_over(urls)


def statuses_of(paths: Iterable[str]) -> set[int]:
    """Return the statuses of the answers; a worker that starts anew gives none."""
    found: set[int] = set()
    for path in paths:
        with contextlib.suppress(httpx.TransportError):
            found.add(get(path).status_code)
    return found


def wait_until_owner_of_all(url: str, partitions: set[int]) -> None:
    """Wait until a worker has taken these partitions over."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while time.monotonic() < give_up_at:
        answer = get(f"{url}/health/ready")
        if answer.status_code == 200 and partitions <= set(answer.json()["partitions"]["suppress"]):
            return
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"{partitions} were not taken over within {SECONDS_MAX:.0f} s")
