"""Devices and preferences of two workers, from outside: registered, refreshed, found gone, removed, by any of them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import Codec
from streams.kafka_consumer import stop_consumer
from streams.settings import kafka_client_options
from tests.integration.kafka_records import read_all
from tests.integration.system import (
    PARTITIONS,
    SECONDS_MAX,
    USERS,
    System,
    end_by_force,
    event,
    now_ms,
    system,
    web_url,
)
from tests.integration.test_web import assert_problem, raw, until_status

ROOT = Path(__file__).parents[2]
KIND = "order_ready"
LOOK_SECONDS = 0.05
HOUR_MS = 3_600_000
HOSTILE = "a/b:..?%FF ü"
EARLY = [f"user-{number:06d}" for number in range(USERS)]

Two = tuple[System, str, str]


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """A system with two workers, and their URLs. Before the first of them starts, there is an event for each user."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("devices")) as running:
        running.produce(event(user, KIND, f"early-{user}") for user in EARLY)
        urls = [web_url(running.worker(name)) for name in ("one", "two")]
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        yield running, urls[0], urls[1]


def path(user: str, *rest: str) -> str:
    """A path below a user."""
    return "/".join(["/users", *(quote(part, safe="").replace(".", "%2E") for part in (user, *rest))])


def call(method: str, url: str, body: Any = None) -> httpx.Response:
    """One request."""
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False, verify=False) as client:
        content = body if isinstance(body, bytes | None) else json.dumps(body)
        return client.request(method, url, content=content)


def control(two: Two, route: str, **arguments: Any) -> Any:
    """Ask the simulators for something."""
    return call("POST", f"{two[0].simulators['control_url']}/{route}", arguments).json()


def put(url: str, user: str, device_id: str, **body: Any) -> dict[str, Any]:
    """Register a device; what was answered with 202."""
    answer = call("PUT", url + path(user, "devices", device_id), body)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def until_devices(url: str, user: str, ready: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Ask for the devices of a user until they are so. Raises TimeoutError."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while True:
        answer = call("GET", url + path(user, "devices") + "?addresses=full")
        assert answer.status_code in (200, 503), answer.text
        found: list[dict[str, Any]] = answer.json().get("devices", [])
        if answer.status_code == 200 and ready(found):
            return found
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"the devices of {user} are {found}")
        time.sleep(LOOK_SECONDS)


def until_one(url: str, user: str, **fields: Any) -> None:
    """Wait until the user has one device, with these fields."""
    until_devices(url, user, lambda found: len(found) == 1 and fields.items() <= found[0].items())


def ended(two: Two, user: str, kind: str = KIND) -> list[dict[str, Any]]:
    """Send a notification to the user; return its statuses once it has ended."""
    notification_id = uuid.uuid4().hex
    two[0].produce([event(user, kind, notification_id)])
    final = {"ACCEPTED", "DEAD", "NO_DEVICE", "OPTED_OUT", "UNKNOWN", "SUPPRESSED"}
    seen = two[0].statuses(lambda statuses: bool(final & set(statuses.states(notification_id))))
    return [status for status in seen.records if status["notification_id"] == notification_id]


async def _ends(two: Two, *topics: str) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(**kafka_client_options(two[0].settings))
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        return dict(await consumer.end_offsets(places))
    finally:
        await stop_consumer(consumer)


def test_who_starts_reads_the_devices_before_the_notifications(two: Two) -> None:
    """Both were there before the first worker: none of them ends as if its user had no device."""
    early = {f"early-{user}" for user in EARLY}

    def all_ended(seen: Any) -> bool:
        return len(seen.final()) >= len(early)

    seen = two[0].statuses(all_ended)
    states = {each["notification_id"]: each["state"] for each in seen.records if each["notification_id"] in early}
    assert set(states.values()) == {"ACCEPTED"}


def test_a_device_that_is_registered_gets_its_pushes_and_both_workers_show_it(two: Two) -> None:
    """Whoever is asked to register it, and whoever owns the user's partition."""
    _, *urls = two
    addresses = control(two, "devices", count=8)["apns"]
    users = [f"phone-of-{number}" for number in range(7)] + [HOSTILE]
    for number, (user, address) in enumerate(zip(users, addresses, strict=True)):
        asked = put(urls[number % 2], user, "phone", provider="apns", address=address, requested_by="test")
        assert (asked["user_id"], asked["device_id"]) == (user, "phone")
    for user, address in zip(users, addresses, strict=True):
        until_one(urls[0], user, device_id="phone", provider="apns", address=address)
        one, other = (call("GET", url + path(user, "devices")) for url in urls)
        assert one.json() == other.json()
        (shown,) = one.json()["devices"]
        assert shown["address"] == f"{address[:4]}…{address[-4:]}"
        assert one.headers["content-type"] == other.headers["content-type"]
    statuses = ended(two, HOSTILE)
    assert statuses[-1]["state"] == "ACCEPTED"
    (attempted,) = [status for status in statuses if status["state"] == "ATTEMPTED"]
    assert (attempted["provider"], attempted["device_id"], attempted["attempt"]) == ("apns", "phone", 1)


def test_a_user_whom_nobody_knows_has_no_device(two: Two) -> None:
    """That is no mistake of the caller, and not said by who does not know it."""
    _, *urls = two
    for number in range(6):
        one, other = (call("GET", url + path(f"nobody-{number}", "devices")) for url in urls)
        assert (one.status_code, one.json()["devices"]) == (200, [])
        assert one.json() == other.json()
        forwarded = []
        for url in urls:
            with httpx.Client(timeout=SECONDS_MAX, trust_env=False, verify=False) as client:
                answer = client.get(url + path(f"nobody-{number}", "devices"), headers={"ringonce-forwarded": "1"})
            forwarded.append(answer.status_code)
        assert sorted(forwarded) == [200, 503]


def test_an_address_is_refreshed_by_what_is_newer_only(two: Two) -> None:
    """The same device under another address, the same address under another device: one device, the newest word."""
    _, url, other = two
    first, second = control(two, "devices", count=2)["fcm"]
    put(url, "refreshed", "phone", provider="fcm", address=first, registered_at=now_ms() - HOUR_MS)
    until_one(url, "refreshed", address=first)
    put(other, "refreshed", "phone", provider="fcm", address=second)
    until_one(url, "refreshed", address=second)
    put(url, "refreshed", "phone", provider="fcm", address=first, registered_at=now_ms() - HOUR_MS)  # a late one
    put(url, "refreshed", "new-phone", provider="fcm", address=second)
    until_one(other, "refreshed", device_id="new-phone", address=second)
    answer = call("DELETE", url + path("refreshed", "devices", "new-phone"), {"requested_by": "the user"})
    assert answer.status_code == 202
    until_devices(url, "refreshed", lambda found: found == [])
    assert ended(two, "refreshed")[-1]["state"] == "NO_DEVICE"
    last = [each for each in asyncio.run(_devices_records(two)) if each.key == b"refreshed"][-1]
    assert Codec().decode(last.value, ("Devices",)).record["devices"] == []
    headers = dict(last.headers)
    assert headers["ringonce-by"].startswith(two[0].settings.app_id.encode())
    assert b"removed: new-phone, request " in headers["ringonce-cause"] and b"of the user" in headers["ringonce-cause"]


async def _devices_records(two: Two) -> list[Any]:
    return list(await read_all(two[0].settings.bootstrap or "", two[0].topics.devices))


@pytest.mark.parametrize(("gone_ms_ago", "stays"), [(0, False), (2 * HOUR_MS, True)])
def test_an_address_that_is_gone_is_removed_unless_it_was_registered_since(
    two: Two, gone_ms_ago: int, stays: bool
) -> None:
    """APNs says 410 and since when; the other device has its push all the same, and the status tells of both."""
    _, url, _ = two
    user = f"gone-{gone_ms_ago}"
    addresses = control(two, "devices", count=1)
    address, token = addresses["apns"][0], addresses["fcm"][0]
    put(url, user, "phone", provider="apns", address=address, registered_at=now_ms() - HOUR_MS)
    put(url, user, "tablet", provider="fcm", address=token)
    until_devices(url, user, lambda found: len(found) == 2)
    time.sleep(0.002)  # the simulator's clock is in milliseconds, and gone is gone after it was registered
    control(two, "unregister", provider="apns", address=address, at_ms=now_ms() - gone_ms_ago)
    statuses = ended(two, user)
    said = {each["device_id"]: each["reason"] for each in statuses if each["state"] == "ATTEMPTED"}
    what = "its address was registered again since" if stays else "its address is removed"
    assert said["phone"] == f"NOT_SENT: Unregistered; {what}"
    assert said["tablet"].startswith("ACCEPTED")
    assert statuses[-1]["state"] == "ACCEPTED"
    assert "(1 of 2 devices accepted it)" in statuses[-1]["reason"]
    expected = ["phone", "tablet"] if stays else ["tablet"]
    until_devices(url, user, lambda found: [each["device_id"] for each in found] == expected)
    written = [each for each in asyncio.run(_devices_records(two)) if each.key == user.encode()]
    assert sum(b"gone: phone" in dict(each.headers)["ringonce-cause"] for each in written) == (not stays)


def test_preferences_are_written_shown_and_removed(two: Two) -> None:
    """What PUT takes is what GET shows, at any worker; what a user has just said counts."""
    _, *urls = two
    user = EARLY[0]
    assert call("GET", urls[0] + path(user, "preferences")).status_code == 404
    wishes = {
        "time_zone": "Europe/Vienna",
        "opted_out_types": [KIND, "news"],
        "quiet_hours": ["22:00-07:00", "sat,sun 07:00-09:30"],
        "quiet_hours_by_type": {"alarm": []},
        "mute_until": 5,
    }
    assert call("PUT", urls[0] + path(user, "preferences"), wishes).status_code == 202
    shown = until_status(urls[1] + path(user, "preferences"), 200).json()
    assert wishes.items() <= shown.items()
    assert call("GET", urls[0] + path(user, "preferences")).json() == shown
    assert ended(two, user, "news")[-1]["state"] == "OPTED_OUT"
    assert call("PUT", urls[1] + path(user, "preferences"), shown).status_code == 202
    assert call("DELETE", urls[1] + path(user, "preferences")).status_code == 202
    until_status(urls[0] + path(user, "preferences"), 404)


PRIVATE = {"provider": "webpush", "p256dh": "B" + "A" * 86, "auth": "A" * 22}
WRONG = [
    ({"provider": "apns"}, "address: must be given"),
    ({"address": "0" * 64}, "provider: must be given"),
    ({"provider": "pigeon", "address": "0" * 64}, "provider: must be"),
    ({"provider": "apns", "address": "not hex"}, "address: must be an APNs device token"),
    ({"provider": "fcm", "address": "a b"}, "address: must be an FCM registration token"),
    ({**PRIVATE, "address": "http://push.example/x"}, "address: must be the endpoint"),
    ({**PRIVATE, "address": "https://push.example/x"}, "p256dh: must be a point"),
    ({"provider": "apns", "address": "0" * 64, "registered_at": "yesterday"}, "registered_at: must be ISO 8601"),
    ({"provider": "apns", "address": "0" * 64, "device_id": "other"}, "device_id: must be that of the path"),
    ({"provider": "apns", "address": "0" * 64, "colour": "red"}, "colour: no such field"),
    ({"provider": "apns", "address": "0" * 64, "requested_by": "x" * 129}, "requested_by: has 129 bytes"),
    ([], "the body must be a JSON object"),
    (b"{", "the body is not JSON"),
    (b'{"provider": "\\ud800"}', "provider: has half a surrogate pair"),
]


@pytest.mark.parametrize(("body", "words"), WRONG, ids=lambda value: ascii(value)[:30])
def test_a_device_that_cannot_be_is_refused_with_the_name_of_the_field(two: Two, body: Any, words: str) -> None:
    """At the door, before Kafka has it."""
    answer = call("PUT", two[1] + path("refused", "devices", "d"), body)
    assert answer.status_code == 400, answer.text
    assert_problem(400, dict(answer.headers), answer.content)
    assert words in answer.json()["detail"]


def _hostile(chance: random.Random) -> tuple[str, bytes]:
    """A path and a body that cannot be taken together."""
    good = {"provider": "apns", "address": "0" * 64, "p256dh": None, "auth": None, "registered_at": 5}
    odd: list[Any] = [None, True, -1, 1e300, "", "x" * 5_000, [], {}, [[[]]], {"a": {}}, "\0", "﷽", 2**70, "9" * 5_000]
    wrong = [each for each in odd if each is not None]
    user, device_id = "flood", "d"
    kind = chance.randrange(6)
    if kind == 0:  # a field of the wrong kind
        name = chance.choice(["provider", "address", "registered_at", "requested_by", "request_id", "device_id"])
        value = chance.choice(["x" * 5_000, [], {}, True, 1.5, [[[]]], {"a": {}}])
        body = json.dumps({**good, name: value}).encode()
    elif kind == 1:  # a field too many
        body = json.dumps({**good, f"field{chance.randrange(9)}": chance.choice(odd)}).encode()
    elif kind == 2:  # cut off
        whole = json.dumps(good).encode()
        body = whole[: chance.randrange(1, len(whole))]
    elif kind == 3:  # bytes
        body = b"\xff" + chance.randbytes(chance.randrange(200))
    elif kind == 4:  # a path that is none
        body = json.dumps(good).encode()
        user = chance.choice(["%FF", "%C3", "%ED%A0%80", "u" * 300])
    else:  # an id that cannot be
        body = json.dumps(good).encode()
        device_id = chance.choice(["%00", "d" * 129, "%C2%85", "%FF", "%E2%80%A8", "%0A"])
    if chance.random() < 0.3:
        values = {chance.choice(["quiet_hours", "time_zone", "opted_out", "mute_until"]): chance.choice(wrong[4:])}
        values["nonsense"] = 1
        return f"/users/{user}/preferences", json.dumps(values).encode()
    return f"/users/{user}/devices/{device_id}", body


def test_a_flood_of_nonsense_is_refused_and_nothing_of_it_is_on_kafka(two: Two) -> None:
    """Each is a 4xx with a problem document that names what is wrong; none is a mistake of ours."""
    chance, urls = random.Random(7), two[1:]
    topics = (two[0].topics.device_changes, two[0].topics.preferences)
    before = asyncio.run(_ends(two, *topics))
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False, verify=False) as client:
        for number in range(400):
            where, body = _hostile(chance)
            answer = client.put(urls[number % 2] + where, content=body)
            assert 400 <= answer.status_code < 500, (where, body[:200], answer.text)
            assert_problem(answer.status_code, dict(answer.headers), answer.content)
    large = call("PUT", two[1] + path("flood", "devices", "d"), b" " * 20_000)
    assert (large.status_code, large.json()["status"]) == (413, 413)
    assert raw(two[1], b"/users/u/devices/d", b"POST")[0] == 405
    assert call("GET", two[1] + path("u", "devices") + "?all=1").status_code == 400
    assert asyncio.run(_ends(two, *topics)) == before


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


def test_the_shell_registers_lists_and_removes(two: Two) -> None:
    """The same as over HTTP; what is wrong ends with exit code 2 before anything is written."""
    _, url, _ = two
    address = control(two, "devices", count=1)["apns"][0]
    options = ("--provider", "apns", "--address", address)
    done = ringonce(two, "devices", "register", "shell", "phone", *options, "--by", "ops")
    assert done.returncode == 0, done.stderr
    until_one(url, "shell", device_id="phone", address=address)
    with ThreadPoolExecutor() as pool:  # each takes seconds to start
        listing = pool.submit(ringonce, two, "devices", "list", "shell", "--url", url)
        refusing = pool.submit(ringonce, two, "devices", "register", "a", "b", "--provider", "apns", "--address", "zz")
        listed, refused = listing.result(), refusing.result()
    assert "phone" in listed.stdout and f"{address[:4]}…" in listed.stdout and address not in listed.stdout
    assert (refused.returncode, "address: must be an APNs device token" in refused.stderr) == (2, True)
    assert ringonce(two, "devices", "remove", "shell", "phone").returncode == 0
    until_devices(url, "shell", lambda found: found == [])


def test_what_is_confirmed_holds_and_nobody_has_no_device_while_partitions_move(two: Two) -> None:
    """A worker joins and is killed. Devices are shown, or it is 503, and never an empty list; each change that was
    confirmed meanwhile is in the table and in the topic."""
    running, *urls = two
    users = EARLY[:8]
    confirmed: dict[str, set[str]] = {}

    async def watch(client: httpx.AsyncClient, over: asyncio.Event) -> set[tuple[int, int]]:
        found: set[tuple[int, int]] = set()
        while not over.is_set():
            for user in users:
                for url in urls:
                    answer = await client.get(url + path(user, "devices"))
                    found.add((answer.status_code, len(answer.json().get("devices", []))))
            await asyncio.sleep(LOOK_SECONDS)
        return found

    async def change(client: httpx.AsyncClient, over: asyncio.Event) -> None:
        number = 0
        while not over.is_set():
            user, device_id = f"moving-{number % 10}", f"device-{number % 50}"
            body = {"provider": "apns", "address": f"{number:064x}"}
            answer = await client.put(urls[number % 2] + path(user, "devices", device_id), content=json.dumps(body))
            if answer.status_code == 202:
                confirmed.setdefault(user, set()).add(device_id)
            number += 1
            await asyncio.sleep(LOOK_SECONDS / 10)

    async def scenario() -> set[tuple[int, int]]:
        over = asyncio.Event()
        async with httpx.AsyncClient(timeout=SECONDS_MAX, trust_env=False, verify=False) as client:
            tasks = asyncio.create_task(watch(client, over)), asyncio.create_task(change(client, over))
            try:
                third = await asyncio.to_thread(running.worker, "three")
                await asyncio.to_thread(end_by_force, third)
                for url in urls:
                    for user in users:
                        await asyncio.to_thread(until_devices, url, user, bool)
            finally:
                over.set()
            found, _ = await asyncio.gather(*tasks)
        return found

    found = asyncio.run(scenario())
    assert (503, 0) in found
    assert (200, 0) not in found
    assert {count for status, count in found if status == 200}
    assert len(confirmed) == 10
    asyncio.run(running.until_read(running.topics.device_changes))
    shown = {user: until_devices(urls[0], user, bool) for user in confirmed}
    for user, devices in shown.items():
        assert confirmed[user] <= {each["device_id"] for each in devices}
    last = {record.key.decode(): record.value for record in asyncio.run(_devices_records(two))}
    for user, devices in shown.items():
        said = Codec().decode(last[user], ("Devices",)).record["devices"]
        assert {(each["device_id"], each["address"]) for each in said} == {
            (each["device_id"], each["address"]) for each in devices
        }


def test_what_became_of_devices_is_counted(two: Two) -> None:
    """Over both workers there was at least one of each."""
    text = "".join(call("GET", f"{url}/metrics").text for url in two[1:])
    counted = {
        line.split('"')[1]
        for line in text.splitlines()
        if line.startswith("ringonce_device_changes_total{") and not line.endswith(" 0.0")
    }
    assert {"registered", "refreshed", "removed", "gone", "unchanged"} <= counted
