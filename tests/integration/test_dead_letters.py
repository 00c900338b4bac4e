"""From a dead letter to exactly one push, on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from connectors.outcome import ProviderName
from streams.policies.replaying import REPLAYS_MAX
from streams.publish.dead_letters import DeadLetters, Letter, Replayed, Wanted
from streams.web.dead_letters_views import add_dead_letters_views
from streams.web.problems import problems
from streams.web.routes import Routes
from streams.web.routing import SYSTEM_HEADER
from tests.integration.straight_line import CODEC, TYPES, StraightLine, straight_line

ROOT = Path(__file__).parents[2]
EVERY = Wanted()


def log_of(line: StraightLine) -> DeadLetters:
    return DeadLetters(line.settings, CODEC)


async def the_letter(line: StraightLine, wanted: Wanted = EVERY) -> Letter:
    """The one letter that there is."""
    (letter,) = await log_of(line).find(wanted, 10)
    return letter


async def replay(line: StraightLine, letter: Letter, force: bool = False) -> Replayed:
    (done,) = await log_of(line).replay([letter], "a person", force)
    await line.until_done()
    return done


def shown(line: StraightLine) -> list[str]:
    """The notifications that devices show."""
    return [entry.notification_id for entry in line.simulators.log.entries]


def test_what_a_provider_refused_is_sent_once_after_it_is_mended(kafka: str, tmp_path: Path) -> None:
    """However often and by how many it is replayed: one push, under the derived id, and then only refusals."""

    async def scenario() -> None:
        async with straight_line(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as line:
            await line.devices("ada", ProviderName.FCM)
            (address,) = line.user_of
            device = line.simulators.fcm._devices[address]
            ours, device.sender = device.sender, "another-project"
            await line.event("ada", "plain", notification_id="n-1")
            await line.until_done()
            letter = await the_letter(line)
            assert (letter.record["code"], letter.type, shown(line)) == ("REJECTED", "plain", [])
            assert letter.record["history"] == ["attempt 1 fcm fcm: NOT_SENT SENDER_ID_MISMATCH"]
            device.sender = ours
            # One may fence the other, which then has done nothing.
            both = [log_of(line).replay([letter], "a person") for _ in range(2)]
            await asyncio.gather(*both, return_exceptions=True)
            again = await replay(line, letter)
            if again.refused is None:
                assert again.notification_id == "n-1~replay.1"
            else:
                assert again.refused == "it was replayed before"
            assert shown(line) == ["n-1~replay.1"]
            assert (await replay(line, letter, force=True)).refused == "it was replayed before"
            assert shown(line) == ["n-1~replay.1"]
            (replayed,) = await line.read(line.topics.replays, "Replay")
            assert (replayed["partition"], replayed["offset"]) == (letter.partition, letter.offset)
            assert (replayed["requested_by"], replayed["notification_id"]) == ("a person", "n-1~replay.1")

    asyncio.run(scenario())


def test_an_event_of_a_type_that_came_later_is_sent_under_its_own_id(kafka: str, tmp_path: Path) -> None:
    """It was never admitted, so its bytes go back as they are, and its window is free."""
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    later: Mapping[str, Any] = {**TYPES, "types": {**TYPES["types"], "later": TYPES["types"]["plain"]}}

    async def before() -> None:
        async with straight_line(kafka, prefix, tmp_path) as line:
            await line.event("ada", "later", notification_id="n-2")
            await line.until_done()
            assert (await the_letter(line, Wanted(code="UNKNOWN_TYPE", type="later"))).record["stage"] == "suppress"
            assert await log_of(line).find(Wanted(code="REJECTED"), 10) == []
            assert await log_of(line).find(Wanted(until=1), 10) == []

    async def after() -> None:
        async with straight_line(kafka, prefix, tmp_path, later) as line:
            await line.devices("ada", ProviderName.APNS)
            await line.until_done()
            letter = await the_letter(line, Wanted(notification_id="n-2"))
            assert await replay(line, letter) == Replayed(letter, "n-2", None)
            assert shown(line) == ["n-2"]
            assert (await replay(line, letter)).refused == "it was replayed before"
            assert shown(line) == ["n-2"]

    asyncio.run(before())
    asyncio.run(after())


def test_the_command_lists_shows_and_replays(kafka: str, tmp_path: Path) -> None:
    """Each as a person uses it: exit code 0 where it was done, 1 where it was not, 2 where it was asked wrongly."""

    async def scenario() -> None:
        async with straight_line(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as line:

            async def ringonce(*arguments: str) -> tuple[int, str]:
                settings = line.settings
                names = ("bootstrap", "app_id", "topic_prefix", "partitions")
                ours = {f"RINGONCE_{name.upper()}": str(getattr(settings, name)) for name in names}
                kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGONCE_")}
                done = await asyncio.to_thread(
                    subprocess.run,
                    [sys.executable, "-m", "streams", "dead-letters", *arguments],
                    capture_output=True,
                    text=True,
                    cwd=ROOT,
                    env={**kept, **ours, "COLUMNS": "200"},
                    timeout=60,
                    check=False,
                )
                return done.returncode, done.stdout

            await line.event("ada", "later", notification_id="n-3")
            await line.until_done()
            letter = await the_letter(line)
            code, said = await ringonce("list", "--code", "UNKNOWN_TYPE", "--json")
            (listed,) = json.loads(said)["dead_letters"]
            assert (code, listed["place"], listed["notification_id"]) == (0, letter.place, "n-3")
            code, said = await ringonce("show", letter.place)
            assert (code, json.loads(said)["notification"]["user_id"]) == (0, "ada")
            assert (await ringonce("show", "0@999"))[0] == 1
            assert (await ringonce("replay"))[0] == 2
            assert await ringonce("replay", letter.place) == (0, f"{letter.place}: replayed as n-3\n")
            assert await ringonce("replay", letter.place) == (
                1,
                f"{letter.place}: not replayed: it was replayed before\n",
            )

    asyncio.run(scenario())


def test_the_views_list_show_and_replay(kafka: str, tmp_path: Path) -> None:
    """The same over HTTP: 200 where it was done, 400 where it was asked wrongly, 404 and 409 where it cannot be."""

    async def scenario() -> None:
        async with straight_line(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as line:
            await line.event("ada", "later", notification_id="n-4")
            await line.until_done()
            letter = await the_letter(line)
            application = web.Application(middlewares=[problems])
            add_dead_letters_views(Routes(application.router, "ours"), log_of(line))
            async with TestClient(TestServer(application)) as client:

                async def ask(method: str, path: str, **options: Any) -> tuple[int, Any]:
                    async with client.request(method, path, **options) as response:
                        assert response.headers[SYSTEM_HEADER] == "ours"
                        return response.status, await response.json(content_type=None)

                status, said = await ask("GET", "/dead-letters?code=UNKNOWN_TYPE&type=later&limit=5")
                assert (status, [each["place"] for each in said["dead_letters"]]) == (200, [letter.place])
                assert (await ask("GET", "/dead-letters?code=REJECTED"))[1] == {"dead_letters": []}
                status, said = await ask("GET", f"/dead-letters/{letter.place}")
                assert (status, said["notification"]["notification_id"]) == (200, "n-4")
                for path in ("/dead-letters?cod=X", "/dead-letters?limit=0", "/dead-letters/x", "/dead-letters?from=x"):
                    assert (await ask("GET", path))[0] == 400
                assert (await ask("GET", "/dead-letters/0@999"))[0] == 404
                assert (await ask("POST", "/dead-letters/0@999/replay"))[0] == 404
                assert (await ask("POST", "/dead-letters/replay"))[0] == 400
                status, said = await ask("POST", "/dead-letters/replay?id=n-4", json={"requested_by": "a person"})
                replayed = {"place": letter.place, "notification_id": "n-4", "refused": None}
                assert (status, said) == (200, {"replays": [replayed]})
                status, said = await ask("POST", f"/dead-letters/{letter.place}/replay", json={"force": True})
                assert (status, said["detail"]) == (409, "it was replayed before")

    asyncio.run(scenario())


def test_what_dies_each_time_is_left_alone_after_some_replays(kafka: str, tmp_path: Path) -> None:
    """Each replay of garbage is one more letter, until the count says that another one is of no use."""

    async def scenario() -> None:
        async with straight_line(kafka, f"t{uuid.uuid4().hex[:10]}-", tmp_path) as line:
            await line.raw(b"ada:plain", b"garbage")
            await line.until_done()
            for count in range(1, REPLAYS_MAX + 1):
                letters = await log_of(line).find(EVERY, 10)
                assert len(letters) == count
                newest = max(letters, key=lambda letter: (letter.record["at"], letter.offset))
                assert (await replay(line, newest)).refused is None
            newest = max(await log_of(line).find(EVERY, 10), key=lambda letter: (letter.record["at"], letter.offset))
            assert (newest.record["key"], newest.record["value"]) == (b"ada:plain", b"garbage")
            assert "--force" in str((await replay(line, newest)).refused)
            assert (await replay(line, newest, force=True)).refused is None
            assert len(await log_of(line).find(EVERY, 10)) == REPLAYS_MAX + 2

    asyncio.run(scenario())
