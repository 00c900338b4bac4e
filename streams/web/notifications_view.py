"""`POST /notifications`: one notification or a batch, taken once Kafka has stored all of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import quote

from aiohttp import web

from schemas.codec import Codec
from streams.lane.app import LaneApp, LaneWeb
from streams.publish.intake import Intake
from streams.publish.messages import Encoder, Message
from streams.tracing import Tracer
from streams.web.answers import answered
from streams.web.bodies import RefusedError, read_bytes
from streams.web.gateway_traces import GatewayTraces

BATCH_MAX = 1_000
BODY_BYTES_MAX = 4 * 1024 * 1024
KEY_HEADER = "Idempotency-Key"  # draft-ietf-httpapi-idempotency-key-header: here, the id of the notification


def install_notifications_view(
    app: LaneApp,
    intake: Intake,
    codec: Codec,
    topic: str,
    complete: Callable[[dict[str, Any]], None],
    tracer: Tracer | None = None,
) -> None:
    """Install the view; the caller closes `intake`. `complete`: see Encoder."""
    encoder = Encoder(codec, topic, lambda: time.time_ns() // 1_000_000, complete)

    async def post(request: web.Request) -> web.Response:
        """202: all of them are stored. 400, 413: none is, and why. 429, 503: ask again, under the same ids."""
        body = await read_bytes(request, BODY_BYTES_MAX)
        values, is_batch = read_notifications(body, request.headers.get(KEY_HEADER))
        messages = _messages(values, encoder, is_batch)
        if tracer is None:
            await intake.take(topic, messages)
        else:
            ids = [each["notification_id"].encode() for each in values]
            traces = GatewayTraces(tracer, request.headers.items(), messages, ids)
            await traces.told(intake.take(topic, traces.messages))
        return _taken(values, is_batch)

    view = answered(post, app.conf.id, "send it again under the same ids")
    cast(LaneWeb, app.web).web_app.router.add_post("/notifications", view)


def _taken(values: Sequence[dict[str, Any]], is_batch: bool) -> web.Response:
    taken = [
        {
            "notification_id": each["notification_id"],
            "slot_url": f"/slots/{_quoted(each['user_id'])}/{_quoted(each['type'])}",
            "status_url": status_url(each["user_id"], each["type"], each["notification_id"]),
        }
        for each in values
    ]
    return web.json_response(taken if is_batch else taken[0], status=202)


def status_url(user_id: str, type: str, notification_id: str) -> str:
    """Return where a notification tells what became of it."""
    return f"/notifications/{_quoted(user_id)}/{_quoted(type)}/{_quoted(notification_id)}"


def _quoted(part: str) -> str:
    # A dot segment would be taken out of a path on its way.
    return quote(part, safe="").replace(".", "%2E")


def read_notifications(body: bytes, key: str | None) -> tuple[list[dict[str, Any]], bool]:
    """Read a JSON object, or an array of them; each gets its id. Returns them, and whether it was an array.

    `key`: the header Idempotency-Key, for one notification. Without an id in the body and without the header, a
    request that is sent again is another notification: so one of the two is asked for. Raises RefusedError.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from None
    is_batch = isinstance(document, list)
    values: Sequence[Any] = document if is_batch else [document]
    if not values or len(values) > BATCH_MAX:
        raise RefusedError(400 if not values else 413, f"a batch has 1 to {BATCH_MAX} notifications, not {len(values)}")
    if not all(isinstance(each, dict) for each in values):
        raise RefusedError(400, "the body must be a JSON object, or an array of objects")
    if key is not None and is_batch:
        raise RefusedError(400, f"{KEY_HEADER} is for one notification; in a batch each has its notification_id")
    if key is not None and values[0].setdefault("notification_id", key) != key:
        raise RefusedError(400, f"notification_id: must be that of {KEY_HEADER} where both are given")
    for index, each in enumerate(values):
        if "notification_id" not in each:
            where = f"[{index}] " if is_batch else ""
            alternative = "" if is_batch else f" (or the header {KEY_HEADER})"
            raise RefusedError(400, f"{where}notification_id: must be given{alternative}")
    return list(values), is_batch


def _messages(values: Sequence[dict[str, Any]], encoder: Encoder, is_batch: bool) -> list[Message]:
    messages = []
    for index, each in enumerate(values):
        try:
            messages.append(encoder.event(each))
        except ValueError as error:
            raise RefusedError(400, f"{f'[{index}] ' if is_batch else ''}{error}") from None
    return messages
