"""The views: health of the worker, and the state of a slot."""

from __future__ import annotations

import logging
import time
from typing import cast

from aiohttp import web

from schemas.keys import slot_key
from streams.lane.app import LaneApp, LaneWeb
from streams.web.asked import Asked
from streams.web.problems import CallersMistakes, problem, problems
from streams.web.routes import Routes
from streams.web.routing import Here, Routing
from streams.web.slot_reads import MOVING, SlotReads


def add_views(routes: Routes, app: LaneApp, slots: SlotReads) -> Routing:
    """Add the views; the caller closes what is returned."""
    routing = Routing(app)
    cast(LaneWeb, app.web).web_app.middlewares.append(problems)
    logging.getLogger("aiohttp.server").addFilter(CallersMistakes())
    app.task(routing.doubt_after_pauses)

    async def live(asked: Asked) -> web.Response:
        """200 as long as the process answers."""
        return web.json_response({"live": True})

    async def ready(asked: Asked) -> web.Response:
        """200 once the partitions are recovered and worked on; 503 before, and while they move."""
        if not routing.settled:
            progress = f": {app.replay.describe()}" if app.replay is not None and app.replay.remaining else ""
            return problem(503, f"partitions are being assigned or recovered{progress}")
        partitions = {name: sorted(app.lanes.lanes(name)) for name in app.lanes.stages}
        return web.json_response({"ready": True, "partitions": partitions})

    async def slot(asked: Asked) -> web.Response:
        """Return who holds the slot and until when; 404 where nobody ever did or it has run out."""
        user, kind = asked.path["user_id"], asked.path["type"]
        key = slot_key(user, kind)
        owner = routing.owner(slots.table, "suppress", key)
        if isinstance(owner, Here):
            return _state(slots, owner.partition, key, user, kind)
        path = (b"slots", user.encode(), kind.encode())
        return await routing.of_owner(asked.request, owner, path, MOVING)

    routes.add("live", live)
    routes.add("ready", ready)
    routes.add("slot", slot)
    return routing


def _state(slots: SlotReads, partition: int, key: bytes, user_id: str, kind: str) -> web.Response:
    state = slots.document(partition, key, time.time_ns() // 1_000_000)
    if not state["holders"]:
        unknown = "the types file has no such type: a notification sent now would be refused"
        free = "a notification sent now would be admitted"
        said = unknown if slots.limit(kind) is None else free
        return problem(404, f"nobody holds the slot {user_id}:{kind}; {said}")
    return web.json_response(state)
