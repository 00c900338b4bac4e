"""The views of the dead letters: what was given up, and replaying it. Any worker answers, from Kafka.

A request reads the topic from where it must, so one at a time does: the others are asked to come again.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from schemas.registry import RegistryError
from streams.audit.reading import RecordUnreadableError
from streams.publish.dead_letters import DeadLetters, Replayed, Wanted
from streams.publish.letter_document import letter_document, read_place
from streams.web.asked import Asked
from streams.web.contract.dead_letters import LettersQuery, ReplayBody, ReplayQuery
from streams.web.faults import faulty_parameters
from streams.web.problems import Fault, problem
from streams.web.routes import Routes, View


def add_dead_letters_views(routes: Routes, letters: DeadLetters) -> None:
    """Add the views."""
    busy = asyncio.Lock()

    def alone(view: View) -> View:
        async def answer(asked: Asked) -> web.Response:
            return await _answered(view, asked, busy)

        return answer

    async def found(asked: Asked) -> web.Response:
        """200 with the letters that the query wants, without their bytes."""
        query: LettersQuery = asked.query
        got = await letters.find(wanted(query), query.limit)
        return web.json_response({"dead_letters": [letter_document(letter, whole=False) for letter in got]})

    async def one(asked: Asked) -> web.Response:
        """200 with one letter in full, 404 where there is none."""
        got = await letters.find(_at(asked), 1)
        return web.json_response(letter_document(got[0], whole=True)) if got else _nothing(asked)

    async def replay_one(asked: Asked) -> web.Response:
        """200 when it was replayed, 404 where there is none, 409 why it was not."""
        body: ReplayBody = asked.body
        done = await letters.replay(await letters.find(_at(asked), 1), body.requested_by, body.force)
        if not done:
            return _nothing(asked)
        return web.json_response(_said(done[0])) if done[0].refused is None else problem(409, done[0].refused)

    async def replay_found(asked: Asked) -> web.Response:
        """200 with what became of each; a query without any filter must say all=true."""
        query: ReplayQuery = asked.query
        body: ReplayBody = asked.body
        if (wanted(query) == Wanted()) != (query.all == "true"):
            message = "must be true where no other parameter says which ones, and only there"
            raise faulty_parameters([Fault(field="all", message=message)])
        got = await letters.find(wanted(query), query.limit)
        done = await letters.replay(got, body.requested_by, body.force)
        return web.json_response({"replays": [_said(each) for each in done]})

    routes.add("deadLetters", alone(found))
    routes.add("replayDeadLetters", alone(replay_found))
    routes.add("deadLetter", alone(one))
    routes.add("replayDeadLetter", alone(replay_one))


async def _answered(view: View, asked: Asked, busy: asyncio.Lock) -> web.Response:
    if busy.locked():
        return problem(429, "another request reads the dead letters; ask again", {"Retry-After": "1"})
    async with busy:
        try:
            return await view(asked)
        except (ProducerFenced, InvalidProducerEpoch):
            return problem(409, "another replay of the same partition has begun; ask again")
        except (KafkaError, RegistryError, RecordUnreadableError) as error:
            return problem(503, f"the dead letters cannot be read ({type(error).__name__})", kind="kafka")


def _nothing(asked: Asked) -> web.Response:
    return problem(404, f"there is no dead letter at {asked.path['place']}")


def wanted(query: LettersQuery) -> Wanted:
    """Return the letters that a query wants."""
    return Wanted(query.code, query.type, query.id, query.since, query.until)


def _at(asked: Asked) -> Wanted:
    return Wanted(places=frozenset((read_place(asked.path["place"]),)))


def _said(done: Replayed) -> dict[str, Any]:
    return {"place": done.letter.place, "notification_id": done.notification_id, "refused": done.refused}
