"""Reads what the directory has of a user, on the worker that owns his partition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from aiohttp import web

from streams.lane.app import LaneApp
from streams.lane.table import LaneTable
from streams.stages.deliver import DeliverLane
from streams.web.routing import Here, Routing

MOVING = "the partition of this user is moving to another worker"


class DirectoryReads:
    """Finds the owner of a user's partition: this worker, or one that is asked. Nobody answers while it moves."""

    def __init__(self, app: LaneApp, routing: Routing) -> None:
        self._app = app
        self._routing = routing
        self._table = cast(LaneTable, app.tables["directory"])

    async def of_owner(
        self,
        request: web.Request,
        user: bytes,
        path: Sequence[bytes],
        key: bytes,
        read: Callable[[int, bytes | None], web.Response],
    ) -> web.Response:
        """Return what `read` makes of the partition and the row with this key, here or there; 503 while it moves.

        A row that is not there says nothing as long as the topics of the directory are still read: 503 as well.
        """
        owner = self._routing.owner(self._table, "deliver", user)
        if isinstance(owner, Here):
            lane = cast("DeliverLane | None", self._app.lanes.lanes("deliver").get(owner.partition))
            if lane is not None and lane.directory_is_read:
                return read(owner.partition, self._table.read(owner.partition, [key])[0])
        return await self._routing.of_owner(request, owner, path, MOVING, request.rel_url.raw_query_string)
