"""`POST /notifications`: one notification or a batch, taken once Kafka has stored all of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from schemas.codec import Codec
from streams.publish.intake import Intake
from streams.publish.lines import EventFields
from streams.publish.messages import Encoder, Message
from streams.tracing import Tracer
from streams.types_file import NotificationTypes
from streams.web.asked import KEY_HEADER, Asked
from streams.web.bodies import RefusedError
from streams.web.contract.notifications import NotificationBody, NotificationInBatch
from streams.web.faults import unknown
from streams.web.gateway_traces import GatewayTraces
from streams.web.routes import Routes

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")  # the most, and quoting is dear
Asks = tuple[Sequence[tuple[str, EventFields]], bool]


def add_notifications_view(
    routes: Routes,
    intake: Intake,
    codec: Codec,
    topic: str,
    types: NotificationTypes,
    complete: Callable[[dict[str, Any]], None],
    tracer: Tracer | None = None,
) -> None:
    """Add the view; the caller closes `intake`. `complete`: see Encoder."""
    encoder = Encoder(codec, topic, lambda: time.time_ns() // 1_000_000, complete)

    async def post(asked: Asked) -> web.Response:
        """202: all of them are stored. 400, 413: none is, and why. 429, 503: ask again, under the same ids."""
        events, is_batch = identified(asked.body, asked.key)
        messages = list(_messages(events, is_batch))
        if tracer is None:
            await intake.take(topic, messages)
        else:
            ids = [notification_id.encode() for notification_id, _ in events]
            traces = GatewayTraces(tracer, asked.request.headers.items(), messages, ids)
            await traces.told(intake.take(topic, traces.messages))
        taken = [_taken(notification_id, event) for notification_id, event in events]
        if is_batch:
            return web.json_response(taken, status=202)
        return web.json_response(taken[0], status=202, headers={"Location": taken[0]["status_url"]})

    def _messages(events: Sequence[tuple[str, EventFields]], is_batch: bool) -> Iterator[Message]:
        for index, (notification_id, event) in enumerate(events):
            try:
                if types.policy(event.type) is None:
                    known = unknown(event.type, types.policies, "type in the types file")
                    raise ValueError(f"type: {known}")
                yield encoder.of_event(notification_id, event)
            except ValueError as error:
                raise RefusedError(400, f"{f'[{index}] ' if is_batch else ''}{error}") from None

    routes.add("postNotifications", post, "send it again under the same ids")


def _taken(notification_id: str, event: EventFields) -> dict[str, str]:
    slot = f"{_quoted(event.user_id)}/{_quoted(event.type)}"
    status_url = f"/notifications/{slot}/{_quoted(notification_id)}"
    return {"notification_id": notification_id, "slot_url": f"/slots/{slot}", "status_url": status_url}


def status_url(user_id: str, type: str, notification_id: str) -> str:
    """Return where a notification tells what became of it."""
    return f"/notifications/{_quoted(user_id)}/{_quoted(type)}/{_quoted(notification_id)}"


def _quoted(part: str) -> str:
    if _PLAIN.fullmatch(part):
        return part
    # A dot segment would be taken out of a path on its way.
    return quote(part, safe="").replace(".", "%2E")


def identified(body: NotificationBody | list[NotificationInBatch], key: str | None) -> Asks:
    """Return each notification with its id, and whether it is a batch.

    `key`: the header Idempotency-Key, for one notification. Without an id in the body and without the header, a
    request that is sent again is another notification: so one of the two is asked for. Raises RefusedError.
    """
    if isinstance(body, list):
        if key is not None:
            raise RefusedError(400, f"{KEY_HEADER}: is for one notification; in a batch each has its notification_id")
        return [(each.notification_id, each) for each in body], True
    if body.notification_id is None and key is None:
        raise RefusedError(400, f"notification_id: must be given (or the header {KEY_HEADER})")
    if key is not None and body.notification_id not in (None, key):
        raise RefusedError(400, f"notification_id: must be that of {KEY_HEADER} where both are given")
    return [(body.notification_id or key or "", body)], False
