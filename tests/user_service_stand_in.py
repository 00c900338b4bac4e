"""A user service on loopback, real HTTP: it knows users, and has moods."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from aiohttp import web

Mood = Literal["well", "slow", "hang", "500", "429", "401", "garbage", "redirect", "drops", "huge", "gzip", "cookie"]
SLOW_SECONDS = 0.3
HUGE_BYTES = 100_000


@dataclass
class UserServiceStandIn:
    """`users`: what it says of whom; of others it says 404. `mood` is that of all answers, `moods` of single users.

    `asked` counts the requests for each user, `most_at_once` those that were under way together.
    """

    users: dict[str, Any] = field(default_factory=dict)
    mood: Mood = "well"
    moods: dict[str, Mood] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    retry_after: str = "0"
    under_way: int = 0
    most_at_once: int = 0
    port: int = 0
    tls: ssl.SSLContext | None = None
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The template of its URLs."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/v1/users/{{user_id}}"

    async def start(self) -> None:
        """Listen, after a stop at the same port."""
        app = web.Application()
        app.router.add_get(r"/{path:[\s\S]*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no longer: connections are refused."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw_path = request.rel_url.raw_path
        user = unquote(raw_path.rpartition("/")[2])
        self.asked[user] += 1
        self.headers.append(request.headers)
        self.paths.append(raw_path)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            return await self._in_mood(request, user, self.moods.get(user, self.mood))
        finally:
            self.under_way -= 1

    async def _in_mood(self, request: web.Request, user: str, mood: Mood) -> web.StreamResponse:
        match mood:
            case "slow":
                await asyncio.sleep(SLOW_SECONDS)
            case "hang":
                await asyncio.sleep(3600)
            case "500" | "401":
                return web.Response(status=int(mood), text="out of order")
            case "429":
                return web.Response(status=429, headers={"Retry-After": self.retry_after})
            case "garbage":
                return web.Response(text="<html>log in</html>", content_type="text/html")
            case "redirect":
                return web.Response(status=302, headers={"Location": "/elsewhere/stranger"})
            case "drops":
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            case "huge":
                return web.json_response({"name": "x" * HUGE_BYTES})
            case "gzip":
                response = web.json_response({"name": "Ada"})
                response.enable_compression(web.ContentCoding.gzip)
                return response
            case "cookie":
                response = web.json_response({"name": "Ada"})
                response.set_cookie("session", "of another user")
                return response
        if user not in self.users:
            return web.Response(status=404)
        return web.Response(body=json.dumps(self.users[user]).encode(), content_type="application/json")


@asynccontextmanager
async def user_service_stand_in(**users: Any) -> AsyncIterator[UserServiceStandIn]:
    """One that listens and knows these users."""
    stand_in = UserServiceStandIn(dict(users))
    await stand_in.start()
    try:
        yield stand_in
    finally:
        await stand_in.stop()
