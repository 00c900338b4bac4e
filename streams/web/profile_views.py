"""`/users/{user_id}/profile`: what the texts for a user are filled with, as the topic `profiles` has it.

Any worker takes a PUT and a DELETE: 202, once Kafka has stored it. The owner of the user's partition answers a GET with
what deliver uses by now; others ask it. Profiles that the user service knows are not shown here.
"""

from __future__ import annotations

import time
from urllib.parse import quote

from aiohttp import web

from schemas.codec import Codec
from streams.publish.intake import Intake
from streams.publish.messages import Encoder, Message
from streams.stages.directory_rows import profile_key
from streams.web.asked import Asked, of_path
from streams.web.bodies import RefusedError
from streams.web.contract.users import ProfileBody
from streams.web.directory_reads import DirectoryReads
from streams.web.problems import problem
from streams.web.routes import Routes

SHOWN = ("user_id", "name", "locale", "time_zone", "fields", "updated_at")
AGAIN = "ask again: the same profile twice is the same"

_codec = Codec()


def add_profile_views(routes: Routes, reads: DirectoryReads, intake: Intake, codec: Codec, topic: str) -> None:
    """Add the views; the caller closes `intake`."""
    encoder = Encoder(codec, topic, lambda: time.time_ns() // 1_000_000)

    async def put(asked: Asked) -> web.Response:
        """202: the whole profile is replaced. 400, 413: nothing is changed, and why. 429, 503: ask again."""
        user = of_path(asked, "user_id")["user_id"]
        body: ProfileBody = asked.body
        try:
            message = encoder.of_profile(user, body)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        return await take(message, user)

    async def delete(asked: Asked) -> web.Response:
        """202: the user has no profile on the topic any more, whether or not there was one."""
        user = asked.path["user_id"]
        return await take(Message(user.encode(), None), user)

    async def take(message: Message, user: str) -> web.Response:
        await intake.take(topic, [message])
        taken = {"user_id": user, "profile_url": f"/users/{quote(user, safe='')}/profile"}
        return web.json_response(taken, status=202)

    async def get(asked: Asked) -> web.Response:
        """200 with the profile, 404 where the topic has none, 503 while partitions move."""
        user = asked.path["user_id"]

        def read(partition: int, row: bytes | None) -> web.Response:
            if row is None:
                return problem(404, f"the topic of profiles has none of {user}")
            record = _codec.decode_own(row, "Profile")
            return web.json_response({name: record[name] for name in SHOWN})

        path = (b"users", user.encode(), b"profile")
        return await reads.of_owner(asked.request, user.encode(), path, profile_key(user.encode()), read)

    routes.add("profile", get)
    routes.add("putProfile", put, AGAIN)
    routes.add("deleteProfile", delete, AGAIN)
