"""`GET /history`: searches, and the story of one notification, from the database that a sink writes.

Any worker answers, whichever has the partitions: it asks the database itself, on threads beside its event loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from aiohttp import web

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
from streams.settings import Settings
from streams.web.asked import Asked
from streams.web.contract.history import HistoryQuery
from streams.web.problems import problem
from streams.web.routes import Routes
from streams.web.schedule_views import target_of

logger = logging.getLogger(__name__)

SAY_AGAIN_SECONDS: Final = 60.0
NO_HISTORY: Final = (
    "no history is kept where this worker looks: start `ringonce history`, or workers with RINGONCE_HISTORY=worker; "
    "RINGONCE_HISTORY_URL says where, and must be the same for all"
)
Done = TypeVar("Done")


def add_history_views(routes: Routes, settings: Settings) -> HistoryReader:
    """Add the views; the caller closes what is returned."""
    reader = HistoryReader(history_address(settings), history_source(settings))
    views = HistoryViews(reader)
    routes.add("history", views.search)
    routes.add("historyOfOne", views.story)
    return reader


class HistoryViews:
    """The views, over one reader."""

    def __init__(self, reader: HistoryReader) -> None:
        self._reader = reader
        self._said_at = float("-inf")

    async def search(self, asked: Asked) -> web.Response:
        """Return a page of events."""
        query: HistoryQuery = asked.query
        after = None if query.after is None else read_place(query.after)
        search = Search(query.user, query.type, query.state, query.id, query.since, query.until, query.limit, after)
        page = await self._ask(lambda database: database.search(search))
        return page if isinstance(page, web.Response) else web.json_response(page_document(page))

    async def story(self, asked: Asked) -> web.Response:
        """Return the statuses of a notification; 404: nothing is kept of it."""
        target = target_of(asked)
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
