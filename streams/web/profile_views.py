"""`/users/{user_id}/profile`: what the texts for a user are filled with, as the topic `profiles` has it.

Any worker takes a PUT and a DELETE: 202, once Kafka has stored it. The owner of the user's partition answers a GET with
what deliver uses by now; others ask it. Profiles that the user service knows are not shown here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import quote, unquote_to_bytes

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.codec import Codec
from schemas.keys import check_user_id
from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.lane.app import LaneApp, LaneWeb
from streams.lane.table import LaneTable
from streams.publish.intake import BusyError, Intake
from streams.publish.messages import Encoder, Message
from streams.stages.directory_rows import profile_key
from streams.web.problems import problem
from streams.web.routing import FORWARDED_HEADER, SYSTEM_HEADER, Elsewhere, Here, Routing

BODY_BYTES_MAX = 64 * 1024
BUSY_SECONDS = 1
KEPT_HEADERS = ("Retry-After", "Content-Type")
MOVING = "the partition of this user is moving to another worker"
SHOWN = ("user_id", "name", "locale", "time_zone", "fields", "updated_at")
PATH = "/users/{user_id}/profile"
Handler = Callable[[web.Request, str], Awaitable[web.Response]]

_codec = Codec()


def install_profile_views(app: LaneApp, routing: Routing, intake: Intake, codec: Codec, topic: str) -> None:
    """Install the views; the caller closes `intake`, which is that of the topic."""
    views = ProfileViews(app, routing, intake, Encoder(codec, topic, lambda: time.time_ns() // 1_000_000))
    router = cast(LaneWeb, app.web).web_app.router
    router.add_put(PATH, _answered(app, views.put))
    router.add_delete(PATH, _answered(app, views.delete))
    router.add_get(PATH, _answered(app, views.get))


def _answered(app: LaneApp, view: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Make problem documents of what goes wrong, and say which system has answered."""

    async def answer(request: web.Request) -> web.Response:
        try:
            response = await view(request, _user_of(request))
        except PoisonError as error:
            response = problem(400, error.reason)
        except BusyError as error:
            response = problem(429, f"{error}; ask again", {"Retry-After": str(BUSY_SECONDS)})
        except (KafkaError, RegistryError, TimeoutError) as error:
            response = problem(503, f"Kafka has not confirmed ({type(error).__name__}); send it again")
        response.headers[SYSTEM_HEADER] = app.conf.id
        return response

    return answer


class ProfileViews:
    """The views of one worker."""

    def __init__(self, app: LaneApp, routing: Routing, intake: Intake, encoder: Encoder) -> None:
        self._table = cast(LaneTable, app.tables["directory"])
        self._routing = routing
        self._intake = intake
        self._encoder = encoder

    async def put(self, request: web.Request, user_id: str) -> web.Response:
        """202: the whole profile is replaced. 400, 413: nothing is changed, and why. 429, 503: ask again."""
        body = await _body(request)
        if body is None:
            return problem(413, f"the body has more than {BODY_BYTES_MAX:,} bytes")
        try:
            message = self._encoder.profile(_values(body, user_id))
        except ValueError as error:
            return problem(400, str(error))
        return await self._take(message, user_id)

    async def delete(self, request: web.Request, user_id: str) -> web.Response:
        """202: the user has no profile on the topic any more, whether or not there was one."""
        return await self._take(Message(user_id.encode(), None), user_id)

    async def _take(self, message: Message, user_id: str) -> web.Response:
        await self._intake.take([message])
        taken = {"user_id": user_id, "profile_url": f"/users/{quote(user_id, safe='')}/profile"}
        return web.json_response(taken, status=202)

    async def get(self, request: web.Request, user_id: str) -> web.Response:
        """200 with the profile, 404 where the topic has none, 503 while partitions move."""
        user = user_id.encode()
        owner = self._routing.owner(self._table, "deliver", user)
        if isinstance(owner, Here):
            (row,) = self._table.read(owner.partition, [profile_key(user)])
            if row is None:
                return problem(404, f"the topic of profiles has none of {user_id}")
            record = _codec.decode_own(row, "Profile")
            return web.json_response({name: record[name] for name in SHOWN})
        if isinstance(owner, Elsewhere) and FORWARDED_HEADER not in request.headers:
            answer = await self._routing.forward(owner.url, b"users", user, b"profile")
            if answer is not None:
                kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
                return web.Response(body=answer.content, status=answer.status_code, headers=kept)
        return problem(503, MOVING)


def _user_of(request: web.Request) -> str:
    """Read the user from the path, byte for byte: the router would take `%FF` and `%25FF` for one.

    Raises PoisonError INVALID_FIELD.
    """
    part = request.rel_url.raw_path.split("/")[2]
    user = unquote_to_bytes(part.encode("utf-8", "surrogateescape"))
    check_user_id(user)
    return user.decode()


async def _body(request: web.Request) -> bytes | None:
    body = b""
    while len(body) <= BODY_BYTES_MAX and (more := await request.content.read(BODY_BYTES_MAX + 1 - len(body))):
        body += more
    return body if len(body) <= BODY_BYTES_MAX else None


def _values(body: bytes, user_id: str) -> dict[str, Any]:
    """Read the fields of a PUT. Raises ValueError with a sentence."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError("the body must be a JSON object")
    if values.setdefault("user_id", user_id) != user_id:
        raise ValueError("user_id: must be that of the path, where it is given")
    if "erase" in values:
        raise ValueError("erase: no such field; DELETE erases")
    return values
