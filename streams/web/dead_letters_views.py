"""The views of the dead letters: what was given up, and replaying it. Any worker answers, from Kafka.

A request reads the topic from where it must, so one at a time does: the others are asked to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from aiohttp import web
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.audit.reading import RecordUnreadableError
from streams.lane.app import LaneApp, LaneWeb
from streams.publish.dead_letters import DeadLetters, Replayed, Wanted
from streams.publish.instants import instant_ms
from streams.publish.letter_document import letter_document, read_place
from streams.web.problems import problem
from streams.web.routing import SYSTEM_HEADER
from streams.web.schedule_paths import read_body

LIST_LIMIT = 100
REPLAY_LIMIT = 10
LIMIT_MAX = 1_000
FILTERS = ("code", "type", "id", "from", "to")
Handler = Callable[[web.Request], Awaitable[web.Response]]


def install_dead_letters_views(app: LaneApp, letters: DeadLetters) -> None:
    """Install the views in the app's web server."""
    cast(LaneWeb, app.web).web_app.add_routes(dead_letters_routes(letters, app.conf.id))


def dead_letters_routes(letters: DeadLetters, system: str) -> list[web.RouteDef]:
    """Return the views as routes; `system` is said with each answer."""
    busy = asyncio.Lock()

    def view(handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            response = await _answered(handler, request, busy)
            response.headers[SYSTEM_HEADER] = system
            return response

        return answer

    async def found(request: web.Request) -> web.Response:
        """200 with the letters that the query wants, without their bytes."""
        got = await letters.find(_wanted(request.query), _limit(request.query, LIST_LIMIT))
        return web.json_response({"dead_letters": [letter_document(letter, whole=False) for letter in got]})

    async def one(request: web.Request) -> web.Response:
        """200 with one letter in full, 404 where there is none."""
        got = await letters.find(_at(request), 1)
        if not got:
            return problem(404, f"there is no dead letter at {request.match_info['place']}")
        return web.json_response(letter_document(got[0], whole=True))

    async def replay_one(request: web.Request) -> web.Response:
        """200 when it was replayed, 404 where there is none, 409 why it was not."""
        requested_by, force = _asked(await read_body(request))
        done = await letters.replay(await letters.find(_at(request), 1), requested_by, force)
        if not done:
            return problem(404, f"there is no dead letter at {request.match_info['place']}")
        return web.json_response(_said(done[0])) if done[0].refused is None else problem(409, done[0].refused)

    async def replay_found(request: web.Request) -> web.Response:
        """200 with what became of each; a query without any filter must say all=true."""
        wanted = _wanted(request.query, extra=("all",))
        if (wanted == Wanted()) != (request.query.get("all") == "true"):
            raise PoisonError("INVALID_FIELD", f"give one of {', '.join(FILTERS)}, or all=true")
        requested_by, force = _asked(await read_body(request))
        got = await letters.find(wanted, _limit(request.query, REPLAY_LIMIT))
        return web.json_response({"replays": [_said(done) for done in await letters.replay(got, requested_by, force)]})

    return [
        web.get("/dead-letters", view(found)),
        web.post("/dead-letters/replay", view(replay_found)),
        web.get("/dead-letters/{place}", view(one)),
        web.post("/dead-letters/{place}/replay", view(replay_one)),
    ]


async def _answered(handler: Handler, request: web.Request, busy: asyncio.Lock) -> web.Response:
    if busy.locked():
        return problem(429, "another request reads the dead letters; ask again", {"Retry-After": "1"})
    async with busy:
        try:
            return await handler(request)
        except PoisonError as error:
            return problem(400, error.reason)
        except (ProducerFenced, InvalidProducerEpoch):
            return problem(409, "another replay of the same partition has begun; ask again")
        except (KafkaError, RegistryError, RecordUnreadableError) as error:
            return problem(503, f"the dead letters cannot be read ({type(error).__name__})")


def _wanted(query: Mapping[str, str], extra: tuple[str, ...] = ()) -> Wanted:
    unknown = set(query) - {*FILTERS, "limit", *extra}
    if unknown:
        raise PoisonError("INVALID_FIELD", f"{', '.join(sorted(unknown))}: no such parameter; {', '.join(FILTERS)}")
    since, until = (_instant(name, query.get(name)) for name in ("from", "to"))
    return Wanted(query.get("code"), query.get("type"), query.get("id"), since, until)


def _at(request: web.Request) -> Wanted:
    try:
        return Wanted(places=frozenset((read_place(request.match_info["place"]),)))
    except ValueError as error:
        raise PoisonError("INVALID_FIELD", str(error)) from None


def _limit(query: Mapping[str, str], default: int) -> int:
    text = query.get("limit", str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= LIMIT_MAX):
        raise PoisonError("INVALID_FIELD", f"limit: must be a number from 1 to {LIMIT_MAX}, is {text[:40]!r}")
    return int(text)


def _instant(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else instant_ms(text)
    except ValueError as error:
        raise PoisonError("INVALID_FIELD", f"{name}: {error}") from None


def _asked(body: Mapping[str, Any]) -> tuple[str, bool]:
    unknown = set(body) - {"requested_by", "force"}
    if unknown:
        raise PoisonError("INVALID_FIELD", f"{', '.join(sorted(unknown))}: no such field; force, requested_by")
    by, force = body.get("requested_by", ""), body.get("force", False)
    if not isinstance(by, str) or not isinstance(force, bool) or len(by.encode(errors="surrogatepass")) > 128:
        raise PoisonError("INVALID_FIELD", "requested_by must be a text of at most 128 bytes, force true or false")
    return by, force


def _said(done: Replayed) -> dict[str, Any]:
    return {"place": done.letter.place, "notification_id": done.notification_id, "refused": done.refused}
