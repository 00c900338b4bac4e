"""`DELETE /users/{user_id}`: remove everything of a user, and say what was removed, by partition and kind."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from streams.publish.schedule_commands import Forgotten, ScheduleCommands
from streams.settings import Settings
from streams.topics import topic_specs
from streams.web.asked import Asked
from streams.web.contract.users import ErasureBody
from streams.web.routes import Routes

ANSWER_SECONDS_MAX = 20.0
REMOVED = ("devices", "preferences", "profiles", "notifications", "pending", "retries", "slots")
KEPT = ("under_way", "cap_places", "slots")


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


def erasure_document(user_id: str, done: Forgotten, settings: Settings) -> dict[str, Any]:
    """Return what was removed, what is kept and why, and which topics keep their records for how long."""
    return {
        "user_id": user_id,
        "request_id": done.request_id,
        "complete": not done.pending and not done.unread,
        "unread": done.unread,
        "removed": {**dict.fromkeys(REMOVED, 0), **done.total("removed")},
        "kept": {**dict.fromkeys(KEPT, 0), **done.total("kept")},
        "slots_kept_until": done.slots_kept_until,
        "partitions": [
            {name: answer.get(name) for name in ("stage", "partition", "at", "removed", "kept", "slots_kept_until")}
            for answer in sorted(done.answers, key=lambda each: (each["stage"], each["partition"]))
        ],
        "not_answered": [{"stage": stage, "partition": partition} for stage, partition in done.pending],
        "topics_keep_seconds": {
            spec.name: spec.retention_ms // 1000 for spec in topic_specs(settings) if spec.retention_ms is not None
        },
    }
