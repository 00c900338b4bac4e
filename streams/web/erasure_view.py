"""`DELETE /users/{user_id}`: remove everything of a user, and say what was removed, by partition and kind."""

from __future__ import annotations

from aiohttp import web

from streams.publish.erasure_document import erasure_document
from streams.publish.schedule_commands import ScheduleCommands
from streams.settings import Settings
from streams.web.asked import Asked
from streams.web.contract.users import ErasureBody
from streams.web.routes import Routes

ANSWER_SECONDS_MAX = 20.0


def add_erasure_view(routes: Routes, commands: ScheduleCommands, settings: Settings) -> None:
    """Add the view; the caller closes `commands`."""

    async def delete(asked: Asked) -> web.Response:
        """200: all partitions have done it. 202: it is on Kafka, and some have not answered in time, or are behind."""
        user, body = asked.path["user_id"], asked.body
        assert isinstance(body, ErasureBody)
        done = await commands.forget(user, body.requested_by, ANSWER_SECONDS_MAX, body.request_id or None)
        document = erasure_document(user, done, settings)
        return web.json_response(document, status=200 if document["complete"] else 202)

    routes.add("deleteUser", delete, "ask again: what is removed already is not removed twice")
