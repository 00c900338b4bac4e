"""Stories of two workers: each answers for the other's keys, and what they tell is what is on the topic."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from schemas.codec import Codec
from schemas.keys import slot_key
from streams.publish.messages import Message
from tests.integration.kafka_records import producing, read_all
from tests.integration.system import PARTITIONS, SECONDS_MAX, USERS, System, event, now_ms, system, web_url
from tests.integration.test_web import assert_problem, get, until_status

LOOK_SECONDS = 0.05
LATER_MS = 3_600_000
FCM_USER, WEBHOOK_USER = "user-000001", "user-000003"
KINDS = ("order_ready", "news", "digest", "offer", "reminder")


def types_file(directory: Path) -> Path:
    """Types of which each ends in a way of its own."""
    now = datetime.now(UTC)
    quiet = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    text = ['[defaults]\ntitle = "It is {{ type }}"\nbody = "{{ type }}"\nwait_seconds_max = 0']
    text += [f"[types.{kind}]" for kind in (*KINDS, "unsure", "opted")]
    text.append(f'[types.quiet]\nquiet_hours = ["{quiet}"]')
    text.append('[types.broken]\ntitle = "{{ missing.name }}"')
    text.append("[types.twice]\nlimit = 2")
    path = directory / "types.toml"
    path.write_text("\n".join(["allow_unknown = false", *text]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, list[str]]]:
    """A system with two workers that both have partitions, and their URLs."""
    directory = tmp_path_factory.mktemp("stories")
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", directory) as running:
        running.environment["RINGONCE_TYPES_FILE"] = str(types_file(directory))
        urls = [web_url(running.worker(name)) for name in ("one", "two")]
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        running.wait_for_devices()
        yield running, urls


def story_url(url: str, user: str, kind: str, notification_id: str) -> str:
    """Where a notification tells its story."""
    parts = (quote(part, safe="").replace(".", "%2E") for part in (user, kind, notification_id))
    return f"{url}/notifications/{'/'.join(parts)}"


def ask(url: str, path: str, **query: Any) -> Any:
    """Return what is answered with 200; partitions that move are waited for."""
    return until_status(f"{url}{path}" + (f"?{urlencode(query)}" if query else ""), 200).json()


def until(url: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for a document until it says this. Raises AssertionError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while True:
        answer = get(url)
        found = answer.json()
        if answer.status_code == 200 and all(found.get(name) == value for name, value in wanted.items()):
            return dict(found)
        assert time.monotonic() < give_up_at, answer.text
        time.sleep(LOOK_SECONDS)


def until_now(url: str, code: str, **query: str) -> None:
    """Ask until this is what would happen to one sent now. Raises AssertionError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while (found := ask(url, "/explain", **query))["now"]["code"] != code:
        assert time.monotonic() < give_up_at, found
        time.sleep(LOOK_SECONDS)


@contextmanager
def fault(running: System, provider: str, name: str, **numbers: Any) -> Iterator[None]:
    """Let a provider fail as long as the block lasts."""

    def post(body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{running.simulators['control_url']}/faults", json.dumps(body).encode(), method="POST"
        )
        urllib.request.urlopen(request, timeout=30).close()

    post({"provider": provider, "fault": name, **numbers})
    try:
        yield
    finally:
        post({"provider": provider, "clear": True})


def scheduled(user: str, kind: str, notification_id: str, **fields: Any) -> Message:
    """An event with fields of its own."""
    return event(user, kind, notification_id, **{"data": {}, **fields})


def told(running: System) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """What the topic says of each (user, type, id): the oracle."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in asyncio.run(read_all(str(running.settings.bootstrap), running.topics.statuses)):
        status = Codec().decode(record.value, ("Status",)).record
        place = {"partition": record.partition, "offset": record.offset}
        found.setdefault((status["user_id"], status["type"], status["notification_id"]), []).append(status | place)
    return found


def assert_as_told(document: Mapping[str, Any], statuses: list[dict[str, Any]]) -> None:
    """The story has each status of the topic at its place, and nothing else."""
    shown = [(each["partition"], each["offset"], each["state"], each["reason"]) for each in document["statuses"]]
    assert shown == [(each["partition"], each["offset"], each["state"], each["reason"]) for each in statuses]


def test_both_workers_tell_the_whole_story_of_every_notification(two: tuple[System, list[str]]) -> None:
    """Sent, suppressed and duplicate: whoever is asked tells what the topic has, at its place."""
    running, urls = two
    users = [f"user-{number:06d}" for number in range(USERS)]
    for part in ("a", "b", "a"):
        running.produce(event(user, kind, f"{part}-{user}-{kind}") for user in users[:20] for kind in KINDS)
    running.ended(20 * len(KINDS) * 3)
    oracle = told(running)
    for (user, kind, notification_id), statuses in oracle.items():
        wanted = {"code": "SENT"} if notification_id.startswith("a-") else {"code": "SUPPRESSED_BY_SLOT"}
        for url in urls:
            document = until(story_url(url, user, kind, notification_id), wanted)
            assert_as_told(document, statuses)
            assert document["statuses"][0]["event"] == document["event"]
        if notification_id.startswith("a-"):
            assert document["duplicates"] == 1
            assert document["slot"]["holders"][0]["suppressed_since"] == 1
            assert [each["outcome"] for each in document["answers"]] == ["ACCEPTED"] * len(document["answers"])
            assert document["answers"]
        else:
            assert document["by_notification_id"] == f"a-{user}-{kind}"


def test_a_users_recent_ones_come_from_all_partitions_page_by_page(two: tuple[System, list[str]]) -> None:
    """Both workers show the same, the newest first, and pages of any size put together are the whole."""
    running, urls = two
    user = "user-000007"
    oracle = told(running)
    wanted = sorted(
        (status["at"], status["partition"], status["offset"])
        for (whose, _, _), statuses in oracle.items()
        for status in statuses
        if whose == user and status["stage"] == "suppress"
    )
    assert len(wanted) == 3 * len(KINDS)
    for url in urls:
        whole = ask(url, f"/users/{user}/notifications", limit=100, fresh="true")
        shown = [tuple(map(int, each["cursor"].split("."))) for each in whole["notifications"]]
        assert sorted(shown) == wanted
        assert [at for at, _, _ in shown] == sorted((at for at, _, _ in wanted), reverse=True)
        assert whole["before"] is None
        pages: list[dict[str, Any]] = []
        before: dict[str, str] = {}
        while True:
            page = ask(url, f"/users/{user}/notifications", limit=4, **before)
            pages += page["notifications"]
            if page["before"] is None:
                break
            before = {"before": page["before"]}
        assert [each["cursor"] for each in pages] == [each["cursor"] for each in whole["notifications"]]


def test_what_was_taken_is_never_said_not_to_be_there(two: tuple[System, list[str]]) -> None:
    """Right after the 202 the status URL says 200 or 503, whoever is asked; what nobody sent is a 404."""
    _, urls = two

    async def run() -> list[int]:
        seen: list[int] = []
        async with httpx.AsyncClient(timeout=SECONDS_MAX, trust_env=False) as client:
            for number in range(60):
                body = {"notification_id": f"p.{number}", "user_id": f"post.{number}", "type": KINDS[number % 5]}
                taken = await client.post(f"{urls[number % 2]}/notifications", json=body)
                assert taken.status_code == 202, taken.text
                for url in urls:
                    answer = await client.get(f"{url}{taken.json()['status_url']}")
                    seen.append(answer.status_code)
                    recent = await client.get(f"{url}/users/post%2E{number}/notifications")
                    assert recent.status_code == 503 or recent.json()["notifications"], recent.text
        return seen

    seen = asyncio.run(run())
    assert set(seen) <= {200, 503}
    assert seen.count(200) > len(seen) / 2
    for url in urls:
        answer = until_status(story_url(url, "post.1", KINDS[0], "nobody-sent-it"), 404)
        assert_problem(404, dict(answer.headers), answer.content)
        assert ask(url, "/users/nobody/notifications")["notifications"] == []


def test_each_way_of_ending_is_explained(two: tuple[System, list[str]]) -> None:
    """Every end has its code, one sentence, and what it hangs on; both workers explain it alike."""
    running, urls = two
    user = "user-000030"
    running.produce([event(user, "order_ready", "sent"), event(user, "order_ready", "second")])
    running.produce([event(user, "order_ready", "sent")])
    running.produce([scheduled(user, "news", "late", send_at=now_ms() + LATER_MS)])
    running.produce([scheduled(user, "news", "cancelled", send_at=now_ms() + LATER_MS)])
    running.produce([scheduled(user, "news", "expired", expires_at=now_ms() - 1000)])
    running.produce([event("nobody", "order_ready", "unheard")])
    running.produce(
        [event(user, "quiet", "held"), event(user, "broken", "unrendered"), event(user, "none", "typeless")]
    )
    with fault(running, "fcm", "unavailable", retry_after_seconds=None):
        running.produce([event(FCM_USER, "unsure", "unsure")])
        until(story_url(urls[0], FCM_USER, "unsure", "unsure"), {"code": "UNKNOWN"})
    until(story_url(urls[0], user, "news", "cancelled"), {"code": "SCHEDULED"})
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        done = client.post(f"{urls[0]}/schedule/{user}/news/cancelled/cancel", json={"requested_by": "a test"})
        assert done.json()["outcome"] == "CANCELLED", done.text
        wishes = client.put(f"{urls[0]}/users/{WEBHOOK_USER}/preferences", json={"opted_out_types": ["opted"]})
        assert wishes.status_code == 202, wishes.text
        until(f"{urls[0]}/users/{WEBHOOK_USER}/outlook/opted", {"code": "OPTED_OUT"})
    running.produce([event(WEBHOOK_USER, "opted", "unwanted")])
    ends = {
        (user, "order_ready", "sent"): ("SENT", "was sent"),
        (user, "order_ready", "second"): ("SUPPRESSED_BY_SLOT", "sent blocked its slot until"),
        (user, "news", "late"): ("SCHEDULED", "is scheduled for"),
        (user, "news", "cancelled"): ("CANCELLED", "cancelled by a test"),
        (user, "news", "expired"): ("EXPIRED", "was not sent, and expired"),
        ("nobody", "order_ready", "unheard"): ("NO_DEVICE", "the user has no device"),
        (user, "quiet", "held"): ("HELD_BY_QUIET_HOURS", "quiet hours until"),
        (user, "broken", "unrendered"): ("DEAD", "RENDER_FAILED"),
        (user, "none", "typeless"): ("DEAD", "UNKNOWN_TYPE"),
        (FCM_USER, "unsure", "unsure"): ("UNKNOWN", "may have been sent"),
        (WEBHOOK_USER, "opted", "unwanted"): ("OPTED_OUT", "opted out of this type"),
    }
    for (whose, kind, notification_id), (code, words) in ends.items():
        explained = []
        for url in urls:
            document = until(story_url(url, whose, kind, notification_id), {"code": code})
            assert words in document["sentence"], document
            found = ask(url, "/explain", user=whose, type=kind, id=notification_id)
            assert found["notification"]["code"] == code
            assert document["sentence"].removesuffix(".") in found["sentence"]
            explained.append({name: found[name] for name in ("notification", "user_id", "type")})
        assert explained[0] == explained[1]
    letters = get(f"{urls[0]}/dead-letters?id=typeless").json()["dead_letters"]
    letter = until(story_url(urls[0], user, "none", "typeless"), {})["dead_letter"]
    assert (letter["partition"], letter["code"]) == (int(letters[0]["place"].split("@")[0]), "UNKNOWN_TYPE")


def test_the_last_one_and_what_would_happen_now_are_explained(two: tuple[System, list[str]]) -> None:
    """Without an id it is the last event of the slot that counts; the next one meets the slot, then its user."""
    _, urls = two
    user = "user-000030"
    for url in urls:
        again = ask(url, "/explain", user=user, type="order_ready")
        assert again["notification"]["code"] == "DUPLICATE"
        assert again["notification"]["duplicate_of"] is not None
        assert (again["slot"]["code"], again["now"]["code"]) == ("BLOCKED", "SUPPRESSED_BY_SLOT")
        assert again["slot"]["by_notification_id"] == "sent"
        assert again["slot"]["until"] == again["now"]["until"] == again["slot"]["holders"][0]["blocked_until"]
        until_now(url, "HELD_BY_QUIET_HOURS", user=user, type="quiet")  # once the deferral has freed the slot
        assert ask(url, "/explain", user=user, type="none")["now"]["code"] == "UNKNOWN_TYPE"
        until_now(url, "OPTED_OUT", user=WEBHOOK_USER, type="opted")  # and the verdict this one
        free = ask(url, "/explain", user=user, type="reminder")
        assert (free["notification"], free["slot"]["code"], free["now"]["code"]) == (None, "FREE", "SENT")
        assert ask(url, "/explain", user="nobody", type="reminder")["now"]["code"] == "NO_DEVICE"
        assert get(f"{url}/explain?user={user}&type=reminder&id=never").status_code == 404


def test_an_event_that_cannot_be_read_is_explained_by_its_place(two: tuple[System, list[str]]) -> None:
    """Bytes that are no notification are on the dead letters, and their place on `notifications` says so."""
    running, urls = two
    user = "user-000031"
    poison = [(slot_key(user, "news"), b"no avro"), (b"no slot", b"\xc3\x01nonsense"), (None, b"x")]
    readable = event(user, "news", "fine")

    async def produce() -> None:
        async with producing(str(running.settings.bootstrap)) as producer:
            for key, value in [*poison, (readable.key, readable.value)]:
                await producer.send_and_wait(running.topics.notifications, value, key)

    asyncio.run(produce())
    records = asyncio.run(read_all(str(running.settings.bootstrap), running.topics.notifications))
    placed = [record for record in records if record.value in [value for _, value in poison]]
    assert len(placed) == 3
    for record in placed:
        for url in urls:
            found = ask(url, "/explain", partition=record.partition, offset=record.offset)
            assert found["notification"]["code"] == "DEAD", found
            place = found["notification"]["event"]
            assert (place["partition"], place["offset"]) == (record.partition, record.offset)
            assert found["type"] == ("news" if record.key == slot_key(user, "news") else None)
    fine = next(record for record in records if record.value == readable.value)
    for url in urls:
        found = ask(url, "/explain", partition=fine.partition, offset=fine.offset)
        assert found["notification"]["notification_id"] == "fine"
        assert get(f"{url}/explain?partition=0&offset=999999").status_code == 404
        assert get(f"{url}/explain?partition={PARTITIONS}&offset=0").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "",
        "user=u",
        "type=t",
        "user=u&type=t&x=1",
        "user=u&user=v&type=t",
        "user=%FF&type=t",
        "partition=1",
        "user=&type=t",
        "partition=-1&offset=0",
        "partition=1&offset=1&user=u",
        "user=u&type=t&id=",
        "user=u&type=a:b",
    ],
)
def test_a_question_that_cannot_be_is_refused_with_its_field(two: tuple[System, list[str]], query: str) -> None:
    """400, and the sentence says which parameter, and what it must be."""
    for url in two[1]:
        answer = get(f"{url}/explain?{query}")
        assert answer.status_code == 400, answer.text
        assert_problem(400, dict(answer.headers), answer.content)


def test_the_command_asks_any_worker(two: tuple[System, list[str]]) -> None:
    """In sentences, or as the same document; an id that nobody knows ends it with 1."""
    _, urls = two

    def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "streams", "explain", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)

    for url in urls:
        said = explain("user-000030", "order_ready", "--id", "second", "--url", url)
        assert said.returncode == 0, said.stderr
        assert "second was not sent: sent blocked its slot until" in said.stdout
        found = json.loads(explain("user-000030", "order_ready", "--id", "second", "--url", url, "--json").stdout)
        assert found["notification"]["code"] == "SUPPRESSED_BY_SLOT"
        place = found["notification"]["event"]
        by_place = explain("--event", f"{place['partition']}@{place['offset']}", "--url", url)
        assert by_place.stdout.splitlines()[0] == said.stdout.splitlines()[0]
        missing = explain("user-000030", "order_ready", "--id", "nobody-knows", "--url", url)
        assert (missing.returncode, missing.stdout) == (1, "")
        assert "nothing was decided on" in missing.stderr
