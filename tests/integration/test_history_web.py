"""A worker that keeps the history itself: searched over HTTP, bounded, and without a user once he is erased."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.history.address import PostgresAddress, SqliteAddress
from streams.history.database import Database, DatabaseDownError
from streams.history.queries import Search
from streams.history.reader import HistoryReader
from streams.history.sqlite import SqliteDatabase
from streams.publish.intake import BusyError
from streams.web.history_views import HistoryViews
from streams.web.problems import problems
from streams.web.routes import Routes
from tests.integration.history_store import SOURCE, Store, said, writer
from tests.integration.system import SECONDS_MAX, System, event, system, web_url
from tests.integration.test_web import assert_problem
from tests.postgres_server import PASSWORD, QUOTED_PASSWORD, PostgresServer

HIM, HER = "user-000003", "user-000004"
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


@pytest.fixture(scope="module")
def two(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, str, str]]:
    """A system with a worker that keeps a history, and one that looks elsewhere; their URLs."""
    import uuid

    with system(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("history")) as running:
        without = running.worker("without")
        running.environment["RINGONCE_HISTORY"] = "worker"
        keeps = running.worker("keeps")
        running.wait_for_devices()
        yield running, web_url(keeps), web_url(without)


def get(url: str) -> httpx.Response:
    """Ask, and expect JSON."""
    answer = httpx.get(url, timeout=SECONDS_MAX, trust_env=False)
    if answer.status_code != 200:
        assert_problem(answer.status_code, dict(answer.headers), answer.content)
    return answer


def until(url: str, count: int) -> list[dict[str, Any]]:
    """Ask until there are so many."""
    give_up_at = time.monotonic() + SECONDS_MAX
    while True:
        answer = get(url)
        if answer.status_code == 200 and len(answer.json()["notifications"]) == count:
            found: list[dict[str, Any]] = answer.json()["notifications"]
            return found
        assert time.monotonic() < give_up_at, answer.text
        time.sleep(0.1)


def test_what_happened_is_found_and_told_and_forgotten(two: tuple[System, str, str]) -> None:
    """By each filter, page by page; the story is what `statuses` says; an erased user is not there any more, also not
    by what the erasure itself said."""
    running, url, _ = two
    kinds = ("one", "two", "three")
    count = running.produce(event(user, kind, f"{kind} {user}") for user in (HIM, HER) for kind in kinds)
    count += running.produce(event(user, "one", "again") for user in (HIM, HER))
    said_of_all = running.ended(count)
    assert len(until(f"{url}/history?limit=20", count)) == count
    assert [each["state"] for each in until(f"{url}/history?user={HIM}&id=again", 1)] == ["SUPPRESSED"]
    until(f"{url}/history?user={HIM}&state=ACCEPTED", 3)
    until(f"{url}/history?user={HIM}&type=one", 2)
    until(f"{url}/history?user={HIM}&to=2020-01-01T00:00:00Z", 0)
    until(f"{url}/history?user={HIM}&from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00%2B01:00", 4)
    seen, after = [], ""
    while after is not None:
        page = get(f"{url}/history?user={HIM}&limit=3{after and f'&after={after}'}").json()
        seen += [each["notification_id"] for each in page["notifications"]]
        after = page["after"]
    assert sorted(seen) == sorted([*(f"{kind} {HIM}" for kind in kinds), "again"])
    story = get(f"{url}/history/{HIM}/one/one%20{HIM}").json()["statuses"]
    assert [each["state"] for each in story] == said_of_all.states(f"one {HIM}")
    assert story[-1]["provider"] is None or story[-1]["provider"] in ("apns", "fcm", "webpush", "webhook")
    assert get(f"{url}/history/{HIM}/one/nothing").status_code == 404
    erased = httpx.request("DELETE", f"{url}/users/{HIM}", timeout=SECONDS_MAX, trust_env=False)
    assert erased.status_code == 200, erased.text
    until(f"{url}/history?user={HIM}", 0)
    assert get(f"{url}/history/{HIM}/one/one%20{HIM}").status_code == 404
    assert len(until(f"{url}/history?user={HER}", 4)) == 4
    metrics = httpx.get(f"{url}/metrics", timeout=SECONDS_MAX, trust_env=False).text
    assert "ringonce_history_down 0.0" in metrics
    assert float(metrics.partition("\nringonce_history_written_total ")[2].split()[0]) == len(said_of_all.records)


def test_without_a_history_it_says_how_to_keep_one(two: tuple[System, str, str]) -> None:
    """Which is no fault of the worker, nor of whoever asks."""
    for path in ("/history", "/history/u/t/n"):
        answer = get(two[2] + path)
        assert answer.status_code == 404
        for word in ("`ringonce history`", "RINGONCE_HISTORY=worker", "RINGONCE_HISTORY_URL"):
            assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("state=LOST", "state"),
        ("state=ATTEMPTED", "state"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=%201", "limit"),
        ("from=yesterday", "from"),
        ("to=", "to"),
        ("after=1", "after"),
        ("user=" + "x" * 257, "user"),
        ("user=", "user"),
        ("id=" + "%C3%A9" * 65, "id"),
        ("type=a%20b", "type"),
        ("user=%FF", "UTF-8"),
        ("user=a&user=b", "user"),
        ("everything=1", "everything"),
        ("&".join(f"a{number}=1" for number in range(60)), "parameters"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_name(two: tuple[System, str, str], query: str, name: str) -> None:
    """400, and a sentence that begins with the parameter."""
    answer = get(f"{two[1]}/history?{query}")
    assert answer.status_code == 400
    assert name in answer.json()["detail"].split(":")[0]


def never_ends(database: Database) -> None:
    """What no search does: run for ever."""
    assert isinstance(database, SqliteDatabase)
    database._transaction(lambda connection: connection.execute(ENDLESS).fetchall())


def test_a_search_that_takes_too_long_is_ended_and_makes_room(tmp_path: Path) -> None:
    """After its time whoever asked is told; too many at once are told at once; then it answers as before."""
    store = Store(SqliteAddress(tmp_path / "history.db"), None)
    writer(store.open()).write([said(0, "u", "ADMITTED")])

    async def ask() -> None:
        reader = HistoryReader(store.address, SOURCE, at_once=1, asked_max=2, seconds_max=0.5)
        first = asyncio.create_task(reader.ask(never_ends))
        second = asyncio.create_task(reader.ask(lambda database: database.search(Search())))
        await asyncio.sleep(0.1)
        with pytest.raises(BusyError, match="2 searches are under way already"):
            await reader.ask(lambda database: database.search(Search()))
        with pytest.raises(DatabaseDownError, match=r"not answered within 0\.5 s"):
            await first
        found = await asyncio.gather(second, return_exceptions=True)
        assert isinstance(found[0], BusyError) or len(found[0].found) == 1  # type: ignore[union-attr] # a page
        give_up_at = time.monotonic() + 10
        while True:
            try:
                assert len((await reader.ask(lambda database: database.search(Search()))).found) == 1
                break
            except BusyError:
                assert time.monotonic() < give_up_at
                await asyncio.sleep(0.05)
        dropped = asyncio.create_task(reader.ask(never_ends))
        await asyncio.sleep(0.1)
        dropped.cancel()  # whoever asked has gone
        await asyncio.sleep(0.3)
        assert len((await reader.ask(lambda database: database.search(Search()))).found) == 1
        await reader.close()

    asyncio.run(asyncio.wait_for(ask(), 30))
    for database in store.opened:
        database.close()


def test_a_database_that_is_away_is_a_503_that_says_when_to_ask_again(postgres: PostgresServer) -> None:
    """With what is wrong in the worker's log alone, and the password in neither; when it is back it answers at once."""
    store = Store(PostgresAddress(postgres.database()), postgres)
    writer(store.open()).write([said(0, "u", "ADMITTED")])

    async def ask() -> list[tuple[int, str, str]]:
        reader = HistoryReader(store.address, SOURCE)
        views = HistoryViews(reader)
        app = web.Application(middlewares=[problems])
        Routes(app.router, "test").add("history", views.search)
        found: list[tuple[int, str, str]] = []
        async with TestClient(TestServer(app)) as client:
            for turn in (postgres.start, postgres.stop, postgres.start):
                if found:
                    await asyncio.to_thread(turn)
                answer = await client.get("/history?user=u")
                found.append((answer.status, answer.headers.get("Retry-After", ""), await answer.text()))
        await reader.close()
        return found

    with caplog_of("streams.web.history_views") as log:
        before, away, back = asyncio.run(asyncio.wait_for(ask(), SECONDS_MAX))
    store.opened[0].close()
    assert (before[0], away[0], back[0]) == (200, 503, 200)
    assert away[1]
    assert "does not answer" in json.loads(away[2])["detail"]
    assert len(log) == 1
    assert not any(each in away[2] + log[0] for each in (PASSWORD, QUOTED_PASSWORD))


@contextmanager
def caplog_of(name: str) -> Iterator[list[str]]:
    """What one logger says meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign] # of this one alone
    logging.getLogger(name).addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger(name).removeHandler(handler)
