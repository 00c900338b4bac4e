"""A part of a path may be anything but a slash: ids of users and notifications are what producers make them."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

import streams.lane.app


@pytest.mark.parametrize("user", ["{}", "{user_id}", "a{b", "}", "{{7*7}}", "a b", "ü", "%", "a:b", "..."])
def test_a_route_takes_any_id(user: str) -> None:
    """A router that does not know it answers with a 404, as if there were no such user."""
    assert streams.lane.app.LaneWeb.default_blueprints == (), "imported for what it makes of the router"
    app = web.Application()

    async def view(request: web.Request) -> web.Response:
        return web.Response(text="found")

    app.router.add_get("/users/{user_id}/devices", view)
    request = make_mocked_request("GET", f"/users/{quote(user, safe='')}/devices")

    async def resolved() -> str:
        return str((await app.router.resolve(request)).http_exception)

    assert asyncio.run(resolved()) == "None"
