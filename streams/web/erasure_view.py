"""`DELETE /users/{user_id}`: remove everything of a user, and say what was removed, by partition and kind."""

from __future__ import annotations

from typing import Any, cast

from aiohttp import web

from streams.lane.app import LaneApp, LaneWeb
from streams.publish.schedule_commands import Forgotten, ScheduleCommands
from streams.settings import Settings
from streams.topics import topic_specs
from streams.web.answers import answered
from streams.web.bodies import RefusedError, read_object
from streams.web.directory_reads import read_path

ANSWER_SECONDS_MAX = 20.0
BODY_BYTES_MAX = 4 * 1024
REMOVED = ("devices", "preferences", "profiles", "notifications", "pending", "retries", "slots")
KEPT = ("under_way", "cap_places", "slots")
FIELDS = frozenset(("requested_by", "request_id"))


def install_erasure_view(app: LaneApp, commands: ScheduleCommands, settings: Settings) -> None:
    """Install the view; the caller closes `commands`."""

    async def delete(request: web.Request) -> web.Response:
        """200: all partitions have done it. 202: it is on Kafka, and some have not answered in time, or are behind."""
        (user,) = read_path(request, 2)
        body = await read_object(request, BODY_BYTES_MAX, may_be_missing=True)
        for name, given in body.items():
            if name not in FIELDS or not isinstance(given, str):
                raise RefusedError(400, f"{name}: no such field, or no text; {', '.join(sorted(FIELDS))}")
        done = await commands.forget(
            user, body.get("requested_by", ""), ANSWER_SECONDS_MAX, body.get("request_id") or None
        )
        document = erasure_document(user, done, settings)
        return web.json_response(document, status=200 if document["complete"] else 202)

    view = answered(delete, app.conf.id, "ask again: what is removed already is not removed twice")
    cast(LaneWeb, app.web).web_app.router.add_delete("/users/{user_id}", view)


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
