"""The views of the schedule: what waits, and commands to cancel it or to move it.

Every worker answers: it asks the owners of what it does not have. A command goes through Kafka, whoever is asked, and
is decided in the transaction of its partition; 200 tells the outcome, whichever it is, 202 that none came in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

from streams.lane.app import LaneApp
from streams.lane.lane import StepLane
from streams.publish.schedule_commands import Asked as Command
from streams.publish.schedule_commands import ScheduleCommands, Target
from streams.stages.schedule import ScheduleDecider
from streams.stages.schedule_table import ScheduleTable
from streams.web.asked import Asked
from streams.web.contract.schedule import CommandBody, MoveBody
from streams.web.problems import problem
from streams.web.routes import Routes
from streams.web.routing import FORWARDED_HEADER, Here, Routing
from streams.web.schedule_reads import cut, of_id, of_slot, of_stretch, stretch_of

ANSWER_SECONDS_MAX = 10.0
MOVING = "partitions of the schedule are moving to another worker"
AGAIN = "ask again under the same request_id: it is carried out once"


def add_schedule_views(routes: Routes, app: LaneApp, routing: Routing, commands: ScheduleCommands) -> None:
    """Add the views; the caller closes `commands`."""
    views = ScheduleViews(app, routing, commands)
    routes.add("schedule", views.stretch)
    routes.add("scheduleOfSlot", views.slot)
    routes.add("scheduled", views.one)
    routes.add("cancel", views.cancel, AGAIN)
    routes.add("move", views.move, AGAIN)


def target_of(asked: Asked) -> Target:
    """Return what the path names; of a slot without an id."""
    return Target(asked.path["user_id"], asked.path["type"], asked.path.get("notification_id", ""))


class ScheduleViews:
    """The views over the deciders that this worker has right now."""

    def __init__(self, app: LaneApp, routing: Routing, commands: ScheduleCommands) -> None:
        self._app = app
        self._routing = routing
        self._commands = commands
        self._table = cast(ScheduleTable, app.tables["schedule"])

    def _deciders(self) -> dict[int, ScheduleDecider]:
        lanes = cast("dict[int, StepLane]", self._app.lanes.lanes("schedule"))
        return {partition: cast(ScheduleDecider, lane.decider) for partition, lane in lanes.items()}

    async def slot(self, asked: Asked) -> web.Response:
        """What is pending of one user and type, in due order; retries of deliver are shown as such."""
        target = target_of(asked)

        def read(decider: ScheduleDecider) -> web.Response:
            found = of_slot(decider, target.slot)
            return web.json_response({"partition": decider.partition, "notifications": found})

        return await self._of_owner(asked.request, target.slot, read, target.user_id, target.type)

    async def one(self, asked: Asked) -> web.Response:
        """One pending notification in full; 404 where it is not pending."""
        target = target_of(asked)

        def read(decider: ScheduleDecider) -> web.Response:
            found = of_id(decider, target)
            if found is None:
                return problem(404, f"{target.notification_id} of {target.user_id}:{target.type} is not pending")
            return web.json_response(found)

        return await self._of_owner(asked.request, target.slot, read, *target)

    async def _of_owner(
        self, request: web.Request, slot: bytes, read: Callable[[ScheduleDecider], web.Response], *path: str
    ) -> web.Response:
        owner = self._routing.owner(self._table, "schedule", slot)
        if isinstance(owner, Here):
            decider = self._deciders().get(owner.partition)
            if decider is not None:
                return read(decider)
        asked = (b"schedule", *(part.encode() for part in path))
        return await self._routing.of_owner(request, owner, asked, MOVING)

    async def stretch(self, asked: Asked) -> web.Response:
        """What is due within a stretch of time, of all workers, in due order."""
        stretch = stretch_of(asked.query)
        if not self._routing.settled:
            return problem(503, MOVING)
        found = of_stretch(self._deciders(), stretch)
        if FORWARDED_HEADER in asked.request.headers:
            return web.json_response(found)
        others = self._routing.others(self._table)
        query = asked.request.rel_url.raw_query_string
        answers = await asyncio.gather(*(self._routing.forward(url, b"schedule", query=query) for url in others))
        parts = [found]
        for answer in answers:
            if answer is None or answer.status_code != 200:
                return problem(503, MOVING)
            parts.append(answer.json())
        partitions = sorted(number for part in parts for number in part["partitions"])
        if partitions != list(range(self._app.options.partitions)):
            return problem(503, MOVING)
        ends = [part["complete_until"] for part in parts if part["complete_until"] is not None]
        notifications = [each for part in parts for each in part["notifications"]]
        return web.json_response(cut(notifications, min(ends, default=None), stretch.limit, partitions))

    async def cancel(self, asked: Asked) -> web.Response:
        """Cancel. 200: `outcome` says what happened. 202: the command is on Kafka, and no answer came in time."""
        target = target_of(asked)
        body: CommandBody = asked.body
        return await self._command(
            lambda: self._commands.cancel(target, body.requested_by, ANSWER_SECONDS_MAX, body.request_id or None)
        )

    async def move(self, asked: Asked) -> web.Response:
        """Move to `due_at`; answers as `cancel`."""
        target = target_of(asked)
        body: MoveBody = asked.body
        by, request_id = body.requested_by, body.request_id or None
        return await self._command(lambda: self._commands.move(target, body.due_at, by, ANSWER_SECONDS_MAX, request_id))

    async def _command(self, ask: Callable[[], Awaitable[Command]]) -> web.Response:
        done = await ask()
        if done.answer is None:
            document = {"request_id": done.request_id, "outcome": None}
            return web.json_response(document, status=202)
        return web.json_response(done.answer)
