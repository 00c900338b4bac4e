"""Stories while workers come, go, are killed and lose their disks: right, or 503, and never a wrong 404."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.integration.system import SECONDS_MAX, System, end_by_force, event, system, web_url
from tests.integration.test_stories import ask, assert_as_told, story_url, told, until
from tests.integration.test_web import get, until_status

KINDS = ("order_ready", "news", "digest")
ASKED_MAX = 40  # of those that were taken, the newest: each is asked for from every worker
PAUSE_SECONDS = 0.02
HIM, NEIGHBOUR = "user-000005", "user-000005:1"


@pytest.fixture
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, list[str]]]:
    """A system with two workers that both have partitions, and their URLs."""
    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("moving")) as running:
        urls = [web_url(running.worker(name)) for name in ("one", "two")]
        for url in urls:
            until_status(f"{url}/health/ready", 200)
        running.wait_for_devices()
        yield running, urls


class Seen(NamedTuple):
    """An answer about one notification: who was asked, and what it was."""

    user: str
    kind: str
    notification_id: str
    status: int
    document: Any


class Asking:
    """Posts notifications, and asks every worker for what was taken, until told to stop."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.taken: list[tuple[str, str, str]] = []
        self.seen: list[Seen] = []
        self.recent: Counter[int] = Counter()
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Each user is posted one notification of one type, so that nothing else can be in his list."""
        async with httpx.AsyncClient(timeout=SECONDS_MAX, trust_env=False) as client:
            while not self.over.is_set():
                await self._post(client)
                for user, kind, notification_id in self.taken[-ASKED_MAX::7] + self.taken[-1:]:
                    for url in self.urls:
                        await self._ask(client, url, user, kind, notification_id)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _post(self, client: httpx.AsyncClient) -> None:
        number = len(self.taken)
        user, kind, notification_id = f"posted.{number}", KINDS[number % len(KINDS)], f"p{number}"
        body = {"user_id": user, "type": kind, "notification_id": notification_id}
        for url in self.urls:
            with contextlib.suppress(httpx.TransportError):
                if (await client.post(f"{url}/notifications", json=body)).status_code == 202:
                    self.taken.append((user, kind, notification_id))
                    return

    async def _ask(self, client: httpx.AsyncClient, url: str, user: str, kind: str, notification_id: str) -> None:
        with contextlib.suppress(httpx.TransportError):  # it has not started, or it has gone
            answer = await client.get(story_url(url, user, kind, notification_id))
            document = answer.json() if answer.status_code == 200 else answer.text
            self.seen.append(Seen(user, kind, notification_id, answer.status_code, document))
            recent = await client.get(f"{url}/users/{user.replace('.', '%2E')}/notifications")
            self.recent[recent.status_code] += 1
            if recent.status_code == 200:
                ids = [each["notification_id"] for each in recent.json()["notifications"]]
                assert ids == [notification_id], recent.text
            assert recent.status_code in (200, 503), recent.text


def test_every_answer_is_right_or_503_while_workers_join_leave_and_are_killed(two: tuple[System, list[str]]) -> None:
    """What was taken is told as the topic has it, so far as it was told by then; the rest of the answers say 503."""
    running, urls = two

    async def settled(all_urls: list[str]) -> None:
        await asyncio.gather(*(asyncio.to_thread(until_status, f"{url}/health/ready", 200) for url in all_urls))

    async def scenario() -> Asking:
        asking = Asking(list(urls))
        task = asyncio.create_task(asking.run())
        try:
            joined = await asyncio.to_thread(running.worker, "three")
            asking.urls.append(web_url(joined))
            await settled(asking.urls)
            asking.urls.pop()
            await asyncio.to_thread(joined.stop)
            await settled(urls)
            killed = await asyncio.to_thread(running.worker, "four")
            await settled(urls)
            await asyncio.to_thread(end_by_force, killed)
            user, kind, notification_id = asking.taken[0]
            for url in urls:
                await asyncio.to_thread(until_status, story_url(url, user, kind, notification_id), 200)
            await settled(urls)
        finally:
            asking.over.set()
            await task
        return asking

    asking = asyncio.run(scenario())
    assert {each.status for each in asking.seen} == {200, 503}, Counter(each.status for each in asking.seen)
    assert set(asking.recent) == {200, 503}
    running.ended(len(asking.taken))
    oracle = told(running)
    for each in asking.seen:
        if each.status == 200:
            assert_as_told(each.document, oracle[each[:3]][: len(each.document["statuses"])])
    for user, kind, notification_id in asking.taken:
        for url in urls:
            document = until(story_url(url, user, kind, notification_id), {"final": True})
            assert_as_told(document, oracle[user, kind, notification_id])


def test_what_a_lost_disk_had_is_told_again(two: tuple[System, list[str]]) -> None:
    """A worker without its stories reads them from the topic: the same, counts included. Who was erased stays so."""
    running, urls = two
    users = [HIM, NEIGHBOUR, "user-000006"]
    for part in ("a", "b", "c"):
        running.produce(event(user, kind, f"{part}-{kind}") for user in users for kind in KINDS)
    running.ended(3 * len(users) * len(KINDS))
    with httpx.Client(timeout=SECONDS_MAX, trust_env=False) as client:
        assert client.delete(f"{urls[0]}/users/{HIM}").status_code == 200
    for url in urls:
        assert_erased(url)
    running.produce([event(HIM, "again", "anew")])
    until(story_url(urls[0], HIM, "again", "anew"), {"final": True})
    before = [told_of(url) for url in urls]
    assert before[0] == before[1]
    for process in [each for each in running.processes if each.name in ("one", "two")]:
        process.stop()
    again = [web_url(running.worker(name)) for name in ("three", "four")]  # which have directories of their own
    for url in again:
        until_status(f"{url}/health/ready", 200)
        assert told_of(url) == before[0]
        assert_erased(url)
        assert until_status(story_url(url, HIM, "again", "anew"), 200)


def assert_erased(url: str) -> None:
    """Nothing from before is told of him, and all of his neighbour."""
    for kind in KINDS:
        for part in ("a", "b", "c"):
            until_status(story_url(url, HIM, kind, f"{part}-{kind}"), 404)
            assert get(story_url(url, NEIGHBOUR, kind, f"{part}-{kind}")).status_code in (200, 503)
    shown = ask(url, f"/users/{HIM}/notifications", fresh="true")["notifications"]
    assert [each["notification_id"] for each in shown] in ([], ["anew"])
    neighbours = ask(url, f"/users/{NEIGHBOUR.replace(':', '%3A')}/notifications", fresh="true")["notifications"]
    assert len(neighbours) == 3 * len(KINDS)


def told_of(url: str) -> list[Any]:
    """What a worker tells of those who were not erased: lists, stories, and the counts of their slots."""
    found: list[Any] = []
    for user in (NEIGHBOUR, "user-000006"):
        quoted = user.replace(":", "%3A")
        found.append(ask(url, f"/users/{quoted}/notifications", fresh="true", limit=100))
        for kind in KINDS:
            story = ask(url, f"/notifications/{quoted}/{kind}/a-{kind}")
            found.append({name: item for name, item in story.items() if name != "told_until"})
            holders = story["slot"]["holders"]
            assert [holder["suppressed_since"] for holder in holders] in ([2], []), story
    return found
