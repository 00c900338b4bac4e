"""`/metrics`, in Prometheus' text format."""

from __future__ import annotations

from typing import cast

from aiohttp import web

from streams.lane.app import LaneApp, LaneWeb


def install_metrics_view(app: LaneApp) -> None:
    """Install the view."""

    async def metrics(request: web.Request) -> web.Response:
        """What this worker has counted."""
        return web.Response(body=app.metrics.render(), headers={"Content-Type": app.metrics.content_type})

    cast(LaneWeb, app.web).web_app.router.add_get("/metrics", metrics)
