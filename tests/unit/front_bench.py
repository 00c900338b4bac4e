"""The whole front of a worker on a real socket, without Kafka: what the guard lets through ends in the views."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, cast

import httpx
from aiohttp import web

from streams.app import AppParts, create_app
from streams.codec import open_codec
from streams.lane.app import LaneApp, LaneWeb
from streams.settings import Settings, load_settings
from streams.templates.library import TemplateLibrary
from streams.types_file import NotificationTypes
from streams.web.front import Front, FrontParts, install_front
from streams.web.security.keys import ApiKey, new_key
from streams.web.security.keys_file import change_keys
from streams.web.security.scopes import Scope
from streams.web.security.security import open_security

LIMIT_SECONDS = 60.0
NOW = 1_700_000_000_000
SECRET = "a-secret-of-the-cluster-that-is-long-enough"


def front_settings(directory: Path, **overrides: Any) -> Settings:
    """Return settings that reach no Kafka."""
    return load_settings(bootstrap="127.0.0.1:9", web_port=0, data_dir=directory / "data", **overrides)


def guarded_settings(directory: Path, api: dict[str, Any] | None = None, **overrides: Any) -> Settings:
    """Return settings with a file of keys; make at least one key first."""
    own = {"keys_file": directory / "keys.json", **(api or {})}
    return front_settings(directory, **{"api": own, "cluster_secret": SECRET, **overrides})


def a_key(directory: Path, *scopes: Scope, name: str = "tests", expires_at: int | None = None) -> tuple[ApiKey, str]:
    """Put a key into the file; return it, and what its owner sends."""
    key, token = new_key(name, scopes, NOW, expires_at)
    change_keys(directory / "keys.json", lambda keys: (*keys, key))
    return key, token


def front_app(settings: Settings) -> LaneApp:
    """Return an app with every view, not started."""
    return _front(settings)[0]


def _front(settings: Settings, hears: bool = True) -> tuple[LaneApp, Front]:
    types, codec = NotificationTypes.load(None), open_codec(settings)
    library = TemplateLibrary(types, settings.locale)
    app = create_app(AppParts(settings=settings, types=types, codec=codec, templates=library))
    security = open_security(settings)
    security.ended.known = hears
    return app, install_front(FrontParts(app, settings, types, codec, library, security))


def routes_of(app: LaneApp) -> Iterable[tuple[str, str]]:
    """Yield method and path of every route."""
    for route in cast(LaneWeb, app.web).web_app.router.routes():
        assert route.resource is not None, "added by a path"
        yield route.method, route.resource.canonical


Scenario = Callable[[httpx.AsyncClient], Awaitable[None]]


def serve(settings: Settings, scenario: Scenario, hears: bool = True) -> None:
    """Run a scenario against the front. `hears`: as if it had read which sessions were ended before."""

    async def main() -> None:
        app, front = _front(settings, hears)
        app.finalize()
        runner = cast(LaneWeb, app.web)._runner
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20.0) as client:
                await scenario(client)
        finally:
            await runner.cleanup()
            await front.close()

    asyncio.run(asyncio.wait_for(main(), LIMIT_SECONDS))


def bearer(token: str) -> dict[str, str]:
    """Return the header by which a key is sent."""
    return {"Authorization": f"Bearer {token}"}
