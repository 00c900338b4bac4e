"""`/metrics`, in Prometheus' text format."""

from __future__ import annotations

from aiohttp import web

from streams.lane.app import LaneApp
from streams.web.asked import Asked
from streams.web.routes import Routes


def add_metrics_view(routes: Routes, app: LaneApp) -> None:
    """Add the view."""

    async def metrics(asked: Asked) -> web.Response:
        """What this worker has counted."""
        return web.Response(body=app.metrics.render(), headers={"Content-Type": app.metrics.content_type})

    routes.add("metrics", metrics)
