"""`GET /history`: searches, and the story of one notification, from the database that a sink writes.

Any worker answers, whichever has the partitions: it asks the database itself, on threads beside its event loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar, cast
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import ValidationError

from streams.history.database import (
    Database,
    DatabaseDownError,
    DatabaseRefusesError,
    NoHistoryError,
    history_address,
    history_source,
)
from streams.history.documents import page_document, story_document
from streams.history.queries import Search, read_place
from streams.history.reader import HistoryReader
from streams.lane.app import LaneApp, LaneWeb
from streams.settings import Settings
from streams.violations import sentence
from streams.web.answers import answered
from streams.web.bodies import RefusedError
from streams.web.contract.history import HistoryQuery
from streams.web.problems import problem
from streams.web.schedule_paths import read_target

logger = logging.getLogger(__name__)

SAY_AGAIN_SECONDS: Final = 60.0
FIELDS_MAX: Final = 50
NO_HISTORY: Final = (
    "no history is kept where this worker looks: start `ringonce history`, or workers with RINGONCE_HISTORY=worker; "
    "RINGONCE_HISTORY_URL says where, and must be the same for all"
)
Done = TypeVar("Done")


def install_history_views(app: LaneApp, settings: Settings) -> HistoryReader:
    """Install the views; the caller closes what is returned."""
    reader = HistoryReader(history_address(settings), history_source(settings))
    views = HistoryViews(reader)
    router = cast(LaneWeb, app.web).web_app.router
    router.add_get("/history", answered(views.search, app.conf.id, "ask again"))
    router.add_get("/history/{user_id}/{type}/{notification_id}", answered(views.story, app.conf.id, "ask again"))
    return reader


class HistoryViews:
    """The views, over one reader."""

    def __init__(self, reader: HistoryReader) -> None:
        self._reader = reader
        self._said_at = float("-inf")

    async def search(self, request: web.Request) -> web.Response:
        """Return a page of events."""
        asked = read_query(request.rel_url.raw_query_string)
        after = None if asked.after is None else read_place(asked.after)
        search = Search(asked.user, asked.type, asked.state, asked.id, asked.since, asked.until, asked.limit, after)
        page = await self._ask(lambda database: database.search(search))
        return page if isinstance(page, web.Response) else web.json_response(page_document(page))

    async def story(self, request: web.Request) -> web.Response:
        """Return the statuses of a notification; 404: nothing is kept of it."""
        target = read_target(request, with_id=True)
        rows = await self._ask(lambda database: database.story(*target))
        if isinstance(rows, web.Response):
            return rows
        if not rows:
            return problem(404, "the history has nothing of this notification")
        return web.json_response(story_document(rows))

    async def _ask(self, work: Callable[[Database], Done]) -> Done | web.Response:
        try:
            return await self._reader.ask(work)
        except NoHistoryError:
            return problem(404, NO_HISTORY)
        except DatabaseDownError as error:
            self._say(error)
            return problem(503, "the database of the history does not answer; the worker's log says more")
        except DatabaseRefusesError as error:
            self._say(error)
            return problem(503, "the database of the history refuses; the worker's log says why")

    def _say(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._said_at > SAY_AGAIN_SECONDS:
            self._said_at = now
            logger.error("history: a search found the database unusable: %s", error)


def read_query(text: str) -> HistoryQuery:
    """Read a query as it was sent. Raises RefusedError, which names the parameter."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"the query is not UTF-8: {error.reason}") from None
    except ValueError:
        raise RefusedError(400, f"the query has more than {FIELDS_MAX} parameters") from None
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RefusedError(400, f"{twice[:100]}: is given more than once")
    try:
        return HistoryQuery.model_validate(dict(pairs))
    except ValidationError as error:
        details = error.errors()[0]
        name = str(details["loc"][0])[:100]
        if details["type"] == "extra_forbidden":
            known = ", ".join(field.alias or own for own, field in HistoryQuery.model_fields.items())
            raise RefusedError(400, f"{name}: no such parameter; {known}") from None
        raise RefusedError(400, f"{name}: {sentence(details)}") from None
