"""What a user wants: written as a whole through Kafka, shown by whoever owns the user's partition."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web

from schemas.codec import Codec
from streams.lane.app import LaneApp, LaneWeb
from streams.policies.quiet_hours import QuietHours, written
from streams.publish.intake import Intake
from streams.publish.messages import Encoder
from streams.stages.directory_rows import WEEKDAYS, preferences_key
from streams.web.answers import View, answered
from streams.web.bodies import RefusedError, read_bytes, read_object
from streams.web.directory_reads import DirectoryReads, read_path
from streams.web.problems import problem
from streams.web.routing import Routing

BODY_BYTES_MAX = 256 * 1024  # a hundred stretches for each of fifty types
AGAIN = "ask again: the same preferences twice are the same"

_codec = Codec()


def install_preferences_views(app: LaneApp, routing: Routing, intake: Intake, codec: Codec, topic: str) -> None:
    """Install the views; the caller closes `intake` and `routing`."""
    encoder = Encoder(codec, topic, lambda: time.time_ns() // 1_000_000)
    reads = DirectoryReads(app, routing)

    async def put(request: web.Request) -> web.Response:
        """202: this is what the user wants, and nothing else."""
        (user,) = read_path(request, 2)
        values = await read_object(request, BODY_BYTES_MAX)
        if "erase" in values:
            raise RefusedError(400, "erase: no such field; DELETE removes all that the user wants")
        return await take(user, values)

    async def delete(request: web.Request) -> web.Response:
        """202: the user wants nothing in particular any more."""
        (user,) = read_path(request, 2)
        if await read_bytes(request, BODY_BYTES_MAX):
            raise RefusedError(400, "the body must be empty")
        return await take(user, {"erase": True})

    async def take(user: str, values: dict[str, Any]) -> web.Response:
        if values.setdefault("user_id", user) != user:
            raise RefusedError(400, "user_id: must be that of the path where both are given")
        try:
            message = encoder.preferences(values)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        await intake.take(topic, [message])
        return web.json_response({"user_id": user}, status=202)

    async def get(request: web.Request) -> web.Response:
        """200 with what the user wants, as PUT takes it; 404 where nothing is known of it."""
        (user,) = read_path(request, 2)

        def read(partition: int, row: bytes | None) -> web.Response:
            if row is None:
                return problem(404, f"nothing is known of what {user} wants, so everything is sent")
            return web.json_response(preferences_document(_codec.decode_own(row, "Preferences")))

        path = (b"users", user.encode(), b"preferences")
        return await reads.of_owner(request, user.encode(), path, preferences_key(user.encode()), read)

    def view(each: View) -> View:
        return answered(each, app.conf.id, AGAIN)

    router = cast(LaneWeb, app.web).web_app.router
    router.add_get("/users/{user_id}/preferences", view(get))
    router.add_put("/users/{user_id}/preferences", view(put))
    router.add_delete("/users/{user_id}/preferences", view(delete))


def preferences_document(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Preferences record as people write it."""
    by_type = {name: _stretches(stretches) for name, stretches in record["quiet_hours_by_type"].items()}
    return {**record, "quiet_hours": _stretches(record["quiet_hours"]), "quiet_hours_by_type": by_type}


def _stretches(stretches: list[Mapping[str, Any]]) -> list[str]:
    return [
        written(
            QuietHours(
                stretch["start_minute"],
                stretch["end_minute"],
                frozenset(WEEKDAYS.index(day) for day in stretch["days"]),
            )
        )
        for stretch in stretches
    ]
