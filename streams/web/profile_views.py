"""`/users/{user_id}/profile`: what the texts for a user are filled with, as the topic `profiles` has it.

Any worker takes a PUT and a DELETE: 202, once Kafka has stored it. The owner of the user's partition answers a GET with
what deliver uses by now; others ask it. Profiles that the user service knows are not shown here.
"""

from __future__ import annotations

import time
from typing import cast
from urllib.parse import quote

from aiohttp import web

from schemas.codec import Codec
from streams.lane.app import LaneApp, LaneWeb
from streams.publish.intake import Intake
from streams.publish.messages import Encoder, Message
from streams.stages.directory_rows import profile_key
from streams.web.answers import View, answered
from streams.web.bodies import RefusedError, read_object
from streams.web.directory_reads import DirectoryReads, read_path
from streams.web.problems import problem
from streams.web.routing import Routing

BODY_BYTES_MAX = 64 * 1024
SHOWN = ("user_id", "name", "locale", "time_zone", "fields", "updated_at")
PATH = "/users/{user_id}/profile"
AGAIN = "ask again: the same profile twice is the same"

_codec = Codec()


def install_profile_views(app: LaneApp, routing: Routing, intake: Intake, codec: Codec, topic: str) -> None:
    """Install the views; the caller closes `intake` and `routing`."""
    encoder = Encoder(codec, topic, lambda: time.time_ns() // 1_000_000)
    reads = DirectoryReads(app, routing)

    async def put(request: web.Request) -> web.Response:
        """202: the whole profile is replaced. 400, 413: nothing is changed, and why. 429, 503: ask again."""
        (user,) = read_path(request, 2)
        values = await read_object(request, BODY_BYTES_MAX)
        if values.setdefault("user_id", user) != user:
            raise RefusedError(400, "user_id: must be that of the path where both are given")
        if "erase" in values:
            raise RefusedError(400, "erase: no such field; DELETE erases")
        try:
            message = encoder.profile(values)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        return await take(message, user)

    async def delete(request: web.Request) -> web.Response:
        """202: the user has no profile on the topic any more, whether or not there was one."""
        (user,) = read_path(request, 2)
        return await take(Message(user.encode(), None), user)

    async def take(message: Message, user: str) -> web.Response:
        await intake.take(topic, [message])
        taken = {"user_id": user, "profile_url": f"/users/{quote(user, safe='')}/profile"}
        return web.json_response(taken, status=202)

    async def get(request: web.Request) -> web.Response:
        """200 with the profile, 404 where the topic has none, 503 while partitions move."""
        (user,) = read_path(request, 2)

        def read(partition: int, row: bytes | None) -> web.Response:
            if row is None:
                return problem(404, f"the topic of profiles has none of {user}")
            record = _codec.decode_own(row, "Profile")
            return web.json_response({name: record[name] for name in SHOWN})

        path = (b"users", user.encode(), b"profile")
        return await reads.of_owner(request, user.encode(), path, profile_key(user.encode()), read)

    def view(each: View) -> View:
        return answered(each, app.conf.id, AGAIN)

    router = cast(LaneWeb, app.web).web_app.router
    router.add_put(PATH, view(put))
    router.add_delete(PATH, view(delete))
    router.add_get(PATH, view(get))
