"""What a user wants: written as a whole through Kafka, shown by whoever owns the user's partition."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from schemas.codec import Codec
from streams.policies.quiet_hours import QuietHours, written
from streams.publish.intake import Intake
from streams.publish.messages import Encoder, Message
from streams.stages.directory_rows import WEEKDAYS, preferences_key
from streams.web.asked import Asked, of_path
from streams.web.bodies import RefusedError
from streams.web.contract.users import PreferencesBody
from streams.web.directory_reads import DirectoryReads
from streams.web.problems import problem
from streams.web.routes import Routes

AGAIN = "ask again: the same preferences twice are the same"

_codec = Codec()


def add_preferences_views(routes: Routes, reads: DirectoryReads, intake: Intake, codec: Codec, topic: str) -> None:
    """Add the views; the caller closes `intake`."""
    encoder = Encoder(codec, topic, lambda: time.time_ns() // 1_000_000)

    async def put(asked: Asked) -> web.Response:
        """202: this is what the user wants, and nothing else."""
        user = of_path(asked, "user_id")["user_id"]
        body: PreferencesBody = asked.body
        try:
            message = encoder.of_preferences(user, body)
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        return await take(message, user)

    async def delete(asked: Asked) -> web.Response:
        """202: the user wants nothing in particular any more."""
        user = asked.path["user_id"]
        return await take(Message(user.encode(), None), user)

    async def take(message: Message, user: str) -> web.Response:
        await intake.take(topic, [message])
        return web.json_response({"user_id": user}, status=202)

    async def get(asked: Asked) -> web.Response:
        """200 with what the user wants, as PUT takes it; 404 where nothing is known of it."""
        user = asked.path["user_id"]

        def read(partition: int, row: bytes | None) -> web.Response:
            if row is None:
                return problem(404, f"nothing is known of what {user} wants, so everything is sent")
            return web.json_response(preferences_document(_codec.decode_own(row, "Preferences")))

        path = (b"users", user.encode(), b"preferences")
        return await reads.of_owner(asked.request, user.encode(), path, preferences_key(user.encode()), read)

    routes.add("preferences", get)
    routes.add("putPreferences", put, AGAIN)
    routes.add("deletePreferences", delete, AGAIN)


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
