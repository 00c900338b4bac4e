"""The views of the schedule: what waits, and commands to cancel it or to move it.

Every worker answers: it asks the owners of what it does not have. A command goes through Kafka, whoever is asked, and
is decided in the transaction of its partition; 200 tells the outcome, whichever it is, 202 that none came in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from aiokafka.errors import KafkaError

from schemas.poison import PoisonError
from schemas.registry import RegistryError
from streams.lane.app import LaneApp, LaneWeb
from streams.lane.lane import StepLane
from streams.publish.schedule_commands import ScheduleCommands
from streams.stages.schedule import ScheduleDecider
from streams.stages.schedule_table import ScheduleTable
from streams.web.answers import passed_on
from streams.web.problems import problem
from streams.web.routing import FORWARDED_HEADER, SYSTEM_HEADER, Elsewhere, Here, Routing
from streams.web.schedule_paths import read_body, read_command, read_stretch, read_target
from streams.web.schedule_reads import cut, of_id, of_slot, of_stretch

ANSWER_SECONDS_MAX = 10.0
MOVING = "partitions of the schedule are moving to another worker"
Handler = Callable[[web.Request], Awaitable[web.Response]]


def install_schedule_views(app: LaneApp, routing: Routing, commands: ScheduleCommands) -> None:
    """Install the views; the caller closes `commands`."""
    views = ScheduleViews(app, routing, commands)
    router = cast(LaneWeb, app.web).web_app.router
    router.add_get("/schedule", _said(app, views.stretch))
    router.add_get("/schedule/{user_id}/{type}", _said(app, views.slot))
    router.add_get("/schedule/{user_id}/{type}/{notification_id}", _said(app, views.one))
    router.add_post("/schedule/{user_id}/{type}/{notification_id}/cancel", _said(app, views.cancel))
    router.add_post("/schedule/{user_id}/{type}/{notification_id}/move", _said(app, views.move))


def _said(app: LaneApp, view: Handler) -> Handler:
    """Make problem documents of mistakes in the request, and say which system has answered."""

    async def answer(request: web.Request) -> web.Response:
        try:
            response = await view(request)
        except PoisonError as error:
            response = problem(400, error.reason)
        response.headers[SYSTEM_HEADER] = app.conf.id
        return response

    return answer


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

    async def slot(self, request: web.Request) -> web.Response:
        """What is pending of one user and type, in due order; retries of deliver are shown as such."""
        target = read_target(request, with_id=False)

        def read(decider: ScheduleDecider) -> web.Response:
            found = of_slot(decider, target.slot)
            return web.json_response({"partition": decider.partition, "notifications": found})

        return await self._of_owner(request, target.slot, read, target.user_id, target.type)

    async def one(self, request: web.Request) -> web.Response:
        """One pending notification in full; 404 where it is not pending."""
        target = read_target(request, with_id=True)

        def read(decider: ScheduleDecider) -> web.Response:
            found = of_id(decider, target)
            if found is None:
                return problem(404, f"{target.notification_id} of {target.user_id}:{target.type} is not pending")
            return web.json_response(found)

        return await self._of_owner(request, target.slot, read, *target)

    async def _of_owner(
        self, request: web.Request, slot: bytes, read: Callable[[ScheduleDecider], web.Response], *path: str
    ) -> web.Response:
        owner = self._routing.owner(self._table, "schedule", slot)
        if isinstance(owner, Here):
            decider = self._deciders().get(owner.partition)
            if decider is not None:
                return read(decider)
        if isinstance(owner, Elsewhere) and FORWARDED_HEADER not in request.headers:
            answer = await self._routing.forward(owner.url, b"schedule", *(part.encode() for part in path))
            if answer is not None:
                return passed_on(answer)
        return problem(503, MOVING)

    async def stretch(self, request: web.Request) -> web.Response:
        """What is due within a stretch of time, of all workers, in due order."""
        stretch = read_stretch(request)
        if not self._routing.settled:
            return problem(503, MOVING)
        found = of_stretch(self._deciders(), stretch)
        if FORWARDED_HEADER in request.headers:
            return web.json_response(found)
        others = self._routing.others(self._table)
        answers = await asyncio.gather(
            *(self._routing.forward(url, b"schedule", query=request.query_string) for url in others)
        )
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

    async def cancel(self, request: web.Request) -> web.Response:
        """Cancel. 200: `outcome` says what happened. 202: the command is on Kafka, and no answer came in time."""
        target = read_target(request, with_id=True)
        body = read_command(await read_body(request), with_due_at=False)
        return await self._command(
            lambda: self._commands.cancel(target, body.requested_by, ANSWER_SECONDS_MAX, body.request_id)
        )

    async def move(self, request: web.Request) -> web.Response:
        """Move to `due_at`; answers as `cancel`."""
        target = read_target(request, with_id=True)
        body = read_command(await read_body(request), with_due_at=True)
        due_at = body.due_at
        assert due_at is not None, "it was asked for"
        return await self._command(
            lambda: self._commands.move(target, due_at, body.requested_by, ANSWER_SECONDS_MAX, body.request_id)
        )

    async def _command(self, ask: Callable[[], Awaitable[Any]]) -> web.Response:
        try:
            asked = await ask()
        except (KafkaError, RegistryError) as error:
            return problem(503, f"the command could not be written: {type(error).__name__}")
        if asked.answer is None:
            document = {"request_id": asked.request_id, "outcome": None}
            return web.json_response(document, status=202)
        return web.json_response(asked.answer)
