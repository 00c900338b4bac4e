"""The views: health of the worker, and the state of a slot."""

from __future__ import annotations

import logging
import time
from typing import cast
from urllib.parse import unquote_to_bytes

from aiohttp import web
from faust.types.web import Request, Response
from faust.web.views import View

from schemas.keys import slot_key
from schemas.poison import PoisonError
from streams.lane.app import LaneApp, LaneWeb
from streams.web.problems import CallersMistakes, problem, problems
from streams.web.routing import FORWARDED_HEADER, SYSTEM_HEADER, Elsewhere, Here, Routing
from streams.web.slot_reads import SlotReads

KEPT_HEADERS = ("Retry-After", "Content-Type")


def install_views(app: LaneApp, slots: SlotReads) -> Routing:
    """Install the views in the app's web server; the caller closes what is returned."""
    routing = Routing(app)
    cast(LaneWeb, app.web).web_app.middlewares.append(problems)
    logging.getLogger("aiohttp.server").addFilter(CallersMistakes())
    app.task(routing.doubt_after_pauses)

    @app.page("/health/live")
    async def live(view: View, request: Request) -> Response:
        """200 as long as the process answers."""
        return view.json({"live": True})

    @app.page("/health/ready")
    async def ready(view: View, request: Request) -> Response:
        """200 once the partitions are recovered and worked on; 503 before, and while they move."""
        if not routing.settled:
            progress = f": {app.replay.describe()}" if app.replay is not None and app.replay.remaining else ""
            return _faust(problem(503, f"partitions are being assigned or recovered{progress}"))
        return view.json(
            {"ready": True, "partitions": {name: sorted(app.lanes.lanes(name)) for name in app.lanes.stages}}
        )

    @app.page("/slots/{user_id}/{type}")
    async def slot(view: View, request: Request, user_id: str, type: str) -> Response:
        """Return who holds the slot and until when; 404 where nobody ever did or it has run out."""
        answer = await _slot(cast(web.Request, request))
        answer.headers[SYSTEM_HEADER] = app.conf.id
        return _faust(answer)

    async def _slot(request: web.Request) -> web.Response:
        try:
            user, kind = _slot_of(request)
        except PoisonError as error:
            return problem(400, error.reason)
        key = slot_key(user, kind)
        owner = routing.owner(slots.table, "suppress", key)
        if isinstance(owner, Here):
            return _state(slots, owner.partition, key, user, kind)
        if isinstance(owner, Elsewhere) and FORWARDED_HEADER not in request.headers:
            answer = await routing.forward(owner.url, b"slots", user.encode(), kind.encode())
            if answer is not None:
                kept = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
                return web.Response(body=answer.content, status=answer.status_code, headers=kept)
        return problem(503, "the partition of this slot is moving to another worker")

    return routing


def _faust(response: web.Response) -> Response:
    """Faust's name for what is aiohttp's response."""
    return cast(Response, response)


def _slot_of(request: web.Request) -> tuple[str, str]:
    """Read user and type from the path, byte for byte: the router would let `%FF` and `%25FF` be the same user.

    Raises PoisonError INVALID_FIELD.
    """
    _, _, *parts = request.rel_url.raw_path.split("/")
    try:
        user, kind = (unquote_to_bytes(part.encode("utf-8", "surrogateescape")).decode() for part in parts)
    except UnicodeDecodeError as error:
        raise PoisonError("INVALID_FIELD", f"the path is not UTF-8: {error.reason}") from None
    slot_key(user, kind)
    return user, kind


def _state(slots: SlotReads, partition: int, key: bytes, user_id: str, kind: str) -> web.Response:
    state = slots.document(partition, key, time.time_ns() // 1_000_000)
    if not state["holders"]:
        unknown = "the types file has no such type: a notification sent now would be refused"
        free = "a notification sent now would be admitted"
        said = unknown if slots.limit(kind) is None else free
        return problem(404, f"nobody holds the slot {user_id}:{kind}; {said}")
    return web.json_response(state)
