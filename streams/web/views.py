"""The views: health of the worker, and the state of a slot."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from faust.types.web import Request, Response
from faust.web.views import View

from schemas.keys import slot_key
from schemas.notification import read_slot
from schemas.poison import PoisonError
from streams.lane.app import LaneApp
from streams.lane.table import LaneTable
from streams.stages.slots_table import place_key
from streams.types_file import NotificationTypes
from streams.web.routing import FORWARDED_HEADER, RETRY_AFTER_SECONDS, Elsewhere, Here, Routing


def install_views(app: LaneApp, slots: LaneTable, types: NotificationTypes) -> Routing:
    """Install the views in the app's web server; the caller closes what is returned."""
    routing = Routing(app)

    @app.page("/health/live")
    async def live(web: View, request: Request) -> Response:
        """200 as long as the process answers."""
        return web.json({"live": True})

    @app.page("/health/ready")
    async def ready(web: View, request: Request) -> Response:
        """200 once the partitions are recovered and worked on; 503 before, and while they move."""
        if not app.lanes.opened.is_set():
            return _problem(web, 503, "partitions are being assigned or recovered")
        return web.json(
            {"ready": True, "partitions": {name: sorted(app.lanes.lanes(name)) for name in app.lanes.stages}}
        )

    @app.page("/slots/{user_id}/{type}")
    async def slot(web: View, request: Request, user_id: str, type: str) -> Response:
        """Return who holds the slot and until when; 404 where nobody ever did or it has run out."""
        try:
            key = slot_key(user_id, type)
        except PoisonError as error:
            return _problem(web, 400, error.reason)
        owner = routing.owner(slots, "suppress", key)
        if isinstance(owner, Here):
            return _slot(web, slots, owner.partition, key, user_id, type, types)
        if isinstance(owner, Elsewhere) and FORWARDED_HEADER not in request.headers:
            answer = await routing.forward(owner.url, f"/slots/{quote(user_id, safe='')}/{quote(type, safe='')}")
            if answer is not None:
                return web.bytes(
                    answer.content, content_type="application/json", status=answer.status_code, headers=_kept(answer)
                )
        return _problem(web, 503, "the partition of this slot is moving to another worker")

    return routing


def _kept(answer: Any) -> dict[str, str]:
    return {"Retry-After": answer.headers["Retry-After"]} if "Retry-After" in answer.headers else {}


def _slot(
    web: View, slots: LaneTable, partition: int, key: bytes, user_id: str, kind: str, types: NotificationTypes
) -> Response:
    policy = types.policy(kind)
    limit = 1 if policy is None else policy.limit
    rows = slots.read(partition, [place_key(key, number) for number in range(limit)])
    now = time.time_ns() // 1_000_000
    places = [read_slot(row) for row in rows if row is not None]
    held = [place for place in places if place.blocked_until > now]
    if not held:
        return _problem(web, 404, f"nobody holds the slot {user_id}:{kind}: a notification sent now would be admitted")
    return web.json(
        {
            "user_id": user_id,
            "type": kind,
            "partition": partition,
            "limit": limit,
            "free_places": limit - len(held),
            "holders": [
                {
                    "notification_id": place.notification_id.decode(),
                    "phase": place.phase,
                    "admitted_at": place.admitted_at,
                    "send_by": place.send_by,
                    "blocked_until": place.blocked_until,
                }
                for place in held
            ],
        }
    )


def _problem(web: View, status: int, detail: str) -> Response:
    """A problem document (RFC 9457)."""
    titles = {400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    problem = {"title": titles[status], "status": status, "detail": detail}
    return web.json(problem, content_type="application/problem+json", status=status, headers=headers)
