"""`GET /overview`: the live figures of all workers. Each answers for itself, and whoever is asked asks the others.

It answers in any case, also while partitions move and where a worker is gone: that is when somebody looks. What is
missing is said.
"""

from __future__ import annotations

import asyncio
import os
import time
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any, cast

from aiohttp import web

from streams.lane.app import LaneApp
from streams.lane.table import LaneTable
from streams.web.asked import Asked
from streams.web.contract.page import OverviewQuery
from streams.web.overview_merge import SMOOTHED_TICKS, merged
from streams.web.overview_samples import TICK_MS, TICKS_MAX, Sampler, part_of
from streams.web.routes import Routes
from streams.web.routing import FORWARDED_HEADER, Routing

FORWARD_SECONDS_MAX = 1.5  # one that stands still must not make the page stand still


def add_overview_view(routes: Routes, app: LaneApp, routing: Routing) -> None:
    """Add the view, and take samples as long as the app runs; the caller closes `routing`."""
    sampler = Sampler(app.metrics.families)
    app.task(sampler.run)
    view = OverviewView(app, routing, sampler)
    routes.add("overview", view.overview)


class OverviewView:
    """The view over the samples of this worker."""

    def __init__(self, app: LaneApp, routing: Routing, sampler: Sampler) -> None:
        self._app = app
        self._routing = routing
        self._sampler = sampler
        self._table = cast(LaneTable, app.tables["slots"])
        self._started_at = _now_ms()

    async def overview(self, asked: Asked) -> web.Response:
        """200 with the ticks from `since` on, milliseconds since the epoch; all that are kept without it."""
        query: OverviewQuery = asked.query
        since = query.since
        # A quantile looks at some ticks before its own.
        first = max(0, since - SMOOTHED_TICKS * TICK_MS)
        part = {"worker": self._worker(), "samples": part_of(self._sampler.since(first))}
        if FORWARDED_HEADER in asked.request.headers:
            return web.json_response(part)
        others = self._routing.others(self._table)
        answers = await asyncio.gather(*(self._ask(url, first) for url in others))
        silent = [{"url": url, "answered": False} for url, answer in zip(others, answers, strict=True) if not answer]
        parts = [part, *(answer for answer in answers if answer)]
        # Ten minutes of several workers take a while: not on the event loop.
        columns = await asyncio.to_thread(merged, [each["samples"] for each in parts], since)
        document = {
            "system": self._app.conf.id,
            "at": _now_ms(),
            "tick_ms": TICK_MS,
            "ticks_max": TICKS_MAX,
            "partitions": self._app.options.partitions,
            "workers": [*({**each["worker"], "answered": True} for each in parts), *silent],
            **columns,
        }
        return web.json_response(document)

    async def _ask(self, url: str, since: int) -> dict[str, Any] | None:
        """Return the part of another worker, None: it does not answer in time, or with something else."""
        try:
            async with asyncio.timeout(FORWARD_SECONDS_MAX):
                answer = await self._routing.forward(url, b"overview", query=f"since={since}")
            if answer is None or answer.status_code != 200:
                return None
            part: dict[str, Any] = answer.json()
            return part if {"worker", "samples"} <= set(part) else None
        except (TimeoutError, ValueError):
            return None

    def _worker(self) -> dict[str, Any]:
        lanes = self._app.lanes
        return {
            "url": str(self._app.conf.canonical_url),
            "process_id": os.getpid(),
            "version": _version(),
            "started_at": self._started_at,
            "ready": self._routing.settled,
            "partitions": {stage: sorted(lanes.lanes(stage)) for stage in lanes.stages},
            "queued": {
                stage: sum(lane.queued_records for lane in lanes.lanes(stage).values()) for stage in lanes.stages
            },
        }


def _version() -> str | None:
    try:
        return installed("ringonce")
    except PackageNotFoundError:
        return None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
