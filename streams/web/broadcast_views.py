"""The views of broadcasts: starting them, where they stand, and commands to pause, resume and cancel them.

Every worker answers: it asks the others for their partitions, and says 503 while any of them moves. What is asked for
is written to Kafka, whoever is asked, and each partition decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from aiohttp import web

from schemas.poison import PoisonError
from streams.lane.app import LaneApp
from streams.lane.lane import StepLane
from streams.lane.table import LaneTable
from streams.policies.broadcasting import Action, Counts, Phase, whole
from streams.publish.broadcast_lines import LINE_BYTES_MAX, checked_broadcast, read_user
from streams.publish.broadcasts import BroadcastCommands
from streams.stages.broadcast import BroadcastDecider
from streams.stages.broadcast_book import UNFINISHED_MAX
from streams.types_file import NotificationTypes
from streams.web.asked import KEY_HEADER, Asked
from streams.web.bodies import RefusedError
from streams.web.broadcast_reads import definition_of, is_the_same, merged, part_of, summary
from streams.web.contract.broadcasts import BroadcastBody, BroadcastsQuery
from streams.web.contract.schedule import CommandBody
from streams.web.problems import problem
from streams.web.routes import Routes, View
from streams.web.routing import FORWARDED_HEADER, Routing

ANSWER_SECONDS_MAX = 10.0
SILENCE_SECONDS_MAX = 30.0  # of whoever sends a list
LINES_MAX = 1_000  # of a list, handed on together
LISTS_AT_ONCE_MAX = 8  # of one worker; each holds at most 500 users for each partition
BUSY_SECONDS = 10
AGAIN = "send it again under the same id"
MOVING = "partitions of broadcasts are moving to another worker"
ACTIONS: dict[str, Action] = {"pause": "PAUSE", "resume": "RESUME", "cancel": "CANCEL"}


@dataclass(frozen=True, slots=True)
class BroadcastParts:
    """What the views are given; the caller closes `routing` and `commands`."""

    app: LaneApp
    routing: Routing
    commands: BroadcastCommands
    types: NotificationTypes


def add_broadcast_views(routes: Routes, parts: BroadcastParts) -> None:
    """Add the views."""
    views = BroadcastViews(parts)
    routes.add("broadcasts", views.all)
    routes.add("startBroadcast", views.start, AGAIN)
    routes.add("broadcast", views.one)
    routes.add("listUsers", views.users, AGAIN)
    for name, action in ACTIONS.items():
        routes.add(f"{name}Broadcast", views.command(action), AGAIN)


class BroadcastViews:
    """The views over the deciders that this worker has right now."""

    def __init__(self, parts: BroadcastParts) -> None:
        self._app = parts.app
        self._routing = parts.routing
        self._commands = parts.commands
        self._types = parts.types
        self._table = cast(LaneTable, parts.app.tables["broadcasts"])
        self._partitions = parts.app.options.partitions
        self._listing = 0

    def _deciders(self) -> dict[int, BroadcastDecider]:
        lanes = cast("dict[int, StepLane]", self._app.lanes.lanes("broadcast"))
        return {partition: cast(BroadcastDecider, lane.decider) for partition, lane in lanes.items()}

    # --- where they stand

    async def all(self, asked: Asked) -> web.Response:
        """200 with the broadcasts that are known, the newest first; at most `limit`."""
        query: BroadcastsQuery = asked.query
        limit = query.limit
        if FORWARDED_HEADER in asked.request.headers:
            return self._part(None)
        found = await self._collect(None)
        if found is None:
            return problem(503, MOVING)
        summaries = [summary(name, shown, self._partitions) for name, shown in found.items()]
        summaries.sort(key=lambda each: (-each["started_at"], each["broadcast_id"]))
        deciders = self._deciders()
        for each in summaries[:limit]:
            definition = definition_of(deciders, each["broadcast_id"])
            if definition is not None:
                each |= {name: definition.get(name) for name in ("type", "audience", "dry_run")}
        return web.json_response({"broadcasts": summaries[:limit], "more": len(summaries) > limit})

    async def one(self, asked: Asked) -> web.Response:
        """200 with one in full, by partition too; 404 where none is known."""
        broadcast_id = asked.path["id"]
        if FORWARDED_HEADER in asked.request.headers:
            return self._part(broadcast_id)
        found = await self._collect(broadcast_id)
        if found is None:
            return problem(503, MOVING)
        shown = found.get(broadcast_id)
        if shown is None:
            return problem(404, f"no broadcast {broadcast_id} is known, or it ended long ago")
        document = summary(broadcast_id, shown, self._partitions)
        definition = definition_of(self._deciders(), broadcast_id)
        if definition is not None:
            document = {**definition, **document}
        document["partitions"] = {str(number): shown[number] for number in sorted(shown)}
        return web.json_response(document)

    def _part(self, broadcast_id: str | None) -> web.Response:
        if not self._routing.settled:
            return problem(503, MOVING)
        return web.json_response(part_of(self._deciders(), _now_ms(), broadcast_id))

    async def _collect(self, broadcast_id: str | None) -> dict[str, dict[int, dict[str, Any]]] | None:
        """Ask all workers; None where one does not answer, or where partitions move."""
        if not self._routing.settled:
            return None
        parts = [part_of(self._deciders(), _now_ms(), broadcast_id)]
        path = (b"broadcasts",) if broadcast_id is None else (b"broadcasts", broadcast_id.encode())
        others = self._routing.others(self._table)
        answers = await asyncio.gather(*(self._routing.forward(url, *path) for url in others))
        for answer in answers:
            if answer is None or answer.status_code != 200:
                return None
            parts.append(answer.json())
        return merged(parts, self._partitions)

    # --- what is asked for

    async def start(self, asked: Asked) -> web.Response:
        """202: all partitions have it. 400: why not. 409: the id is that of another one. 429, 503: ask again."""
        body: BroadcastBody = asked.body
        if body.broadcast_id is None and asked.key is None:
            raise RefusedError(400, f"broadcast_id: must be given (or the header {KEY_HEADER})")
        if asked.key is not None and body.broadcast_id not in (None, asked.key):
            raise RefusedError(400, f"broadcast_id: must be that of {KEY_HEADER} where both are given")
        try:
            broadcast, users = checked_broadcast(body.broadcast_id or asked.key or "", body, self._types, _now_ms())
        except (ValueError, PoisonError) as error:
            raise RefusedError(400, error.reason if isinstance(error, PoisonError) else str(error)) from None
        broadcast_id, deciders = broadcast["broadcast_id"], self._deciders()
        known = definition_of(deciders, broadcast_id)
        if known is not None and not is_the_same(known, broadcast):
            return problem(409, f"broadcast_id: {broadcast_id} is another broadcast, and the same id is the same one")
        is_new = known is None and all(decider.book.find(broadcast_id) is None for decider in deciders.values())
        if is_new and any(decider.book.is_full for decider in deciders.values()):
            detail = f"{UNFINISHED_MAX} broadcasts have not ended yet; ask again when one has"
            return problem(429, detail, {"Retry-After": str(BUSY_SECONDS)})
        if users is not None:
            await self._commands.list_users(broadcast_id, _at_once(users))
        await self._commands.start(broadcast)
        url = f"/broadcasts/{quote(broadcast_id, safe='')}"
        return web.json_response({"broadcast_id": broadcast_id, "url": url}, status=202, headers={"Location": url})

    async def users(self, asked: Asked) -> web.Response:
        """202 with how many user_ids, one a line, Kafka has for the list of a broadcast that is started later."""
        broadcast_id = asked.path["id"]
        for decider in self._deciders().values():
            known = decider.book.find(broadcast_id)
            if known is not None and known.progress.phase != "LOADING":
                return problem(409, f"{broadcast_id} has begun: users are listed before it is started")
        if self._listing >= LISTS_AT_ONCE_MAX:
            detail = f"{self._listing} lists are being taken already; ask again"
            return problem(429, detail, {"Retry-After": str(BUSY_SECONDS)})
        self._listing += 1
        try:
            async with aclosing(_listed(asked.request)) as users:
                count = await self._commands.list_users(broadcast_id, users)
        finally:
            self._listing -= 1
        return web.json_response({"broadcast_id": broadcast_id, "users": count}, status=202)

    def command(self, action: Action) -> View:
        """Return the view of one action."""

        async def view(asked: Asked) -> web.Response:
            """200: what all partitions answered. 202: it is on Kafka, and some have not answered yet. 404: unknown."""
            broadcast_id = asked.path["id"]
            body: CommandBody = asked.body
            request_id = body.request_id or None
            done = await self._commands.control(broadcast_id, action, body.requested_by, ANSWER_SECONDS_MAX, request_id)
            document: dict[str, Any] = {"broadcast_id": broadcast_id, "request_id": done.request_id, "state": None}
            if len(done.reports) < self._partitions:
                return web.json_response(document, status=202)
            known = [report for report in done.reports.values() if report["state"] != "UNKNOWN_ID"]
            if not known:
                return problem(404, f"no broadcast {broadcast_id} is known, or it ended long ago")
            document["state"] = whole([cast(Phase, report["state"]) for report in known], self._partitions)
            document |= {name: sum(report[name] for report in known) for name in Counts._fields}  # type: ignore[literal-required] # a field of both
            return web.json_response(document)

        return view


async def _listed(request: web.Request) -> AsyncGenerator[Sequence[str]]:
    """Yield the user_ids of a body as it comes in, never much of it. Raises RefusedError, which names the line."""
    number, rest = 0, b""
    users: list[str] = []
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                part = await request.content.readany()
        except TimeoutError:
            raise RefusedError(408, f"nothing has come for {SILENCE_SECONDS_MAX:g} s, after line {number}") from None
        lines = (rest + part).split(b"\n")
        rest = lines.pop() if part else b""
        for line in lines:
            number += 1
            try:
                user = read_user(line)
            except ValueError as error:
                raise RefusedError(400, f"line {number}: {error}") from None
            if user is not None:
                users.append(user)
        if len(rest) > LINE_BYTES_MAX:
            raise RefusedError(
                400, f"line {number + 1}: has more than {LINE_BYTES_MAX:,} bytes, a user_id has 1 to 256"
            )
        if len(users) >= LINES_MAX or not part:
            yield users
            users = []
        if not part:
            return


async def _at_once(users: Sequence[str]) -> AsyncGenerator[Sequence[str]]:
    yield users


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
