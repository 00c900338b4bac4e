"""What the guard costs for each request, by who asks.

    python -m tests.benchmarks.bench_guard [--requests N] [--rounds N]

A request goes through the guard of a whole front to a view that does nothing, in process; the ways take turns, round
by round. Medians over the rounds, in microseconds of CPU for each request; compare ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from streams.lane.app import LaneApp, LaneWeb
from streams.settings import Settings
from streams.web.problems import Handler
from streams.web.routing import FORWARDED_HEADER
from streams.web.security.authentication import Authentication
from streams.web.security.callers import Caller
from streams.web.security.headers import headers_signal
from streams.web.security.keys import mark_of
from streams.web.security.security import open_security
from streams.web.security.sessions import Session, session_token
from tests.unit.front_bench import a_key, front_app, front_settings, guarded_settings

PATH = "/templates"
ANSWER = web.Response(text="")
NO_LIMITS = {"per_second_max": 0, "anonymous_per_second_max": 0, "failed_per_minute_max": 0}
Way = Callable[[], web.Request]


async def _view(request: web.Request) -> web.StreamResponse:
    return ANSWER


class Front:
    """The guard of one front, and requests that the router has resolved."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app: LaneApp = front_app(settings)
        self.application = cast(LaneWeb, self.app.web).web_app
        self.guard = cast(Handler, self.application.middlewares[1])

    async def request(self, headers: dict[str, str]) -> web.Request:
        """Return one as it comes to the guard."""
        request = make_mocked_request("GET", PATH, {"Host": "127.0.0.1:6066", **headers}, app=self.application)
        request._match_info = await self.application.router.resolve(request)
        return request

    async def seconds(self, headers: dict[str, str], count: int) -> float:
        """Return how much CPU so many requests take."""
        # Each request is a new one: what aiohttp keeps of one that was looked at would cost nothing the second time.
        requests = [await self.request(headers) for _ in range(count)]
        guard = cast("Callable[[web.Request, Handler], object]", self.guard)
        began = time.process_time()
        for request in requests:
            await guard(request, _view)  # type: ignore[misc] # a coroutine, whatever the middleware is declared as
        return time.process_time() - began


async def bench(directory: Path, count: int, rounds: int) -> dict[str, float]:
    """Return microseconds for each request by who asks."""
    key, token = a_key(directory, "read")
    guarded, open_front = Front(guarded_settings(directory, NO_LIMITS)), Front(front_settings(directory))
    security = open_security(guarded.settings)
    url = str(guarded.app.conf.canonical_url)
    now = time.time_ns() // 1_000_000
    session = session_token(Session("s" * 16, key.id, mark_of(key), now, now), security.session_key)
    signed = Authentication(security, lambda: url).sign("GET", PATH, url, Caller("key", key.scopes, key.id, key.name))
    ways: dict[str, tuple[Front, dict[str, str]]] = {
        "open": (open_front, {}),
        "a key": (guarded, {"Authorization": f"Bearer {token}"}),
        "a session": (guarded, {"Cookie": f"ringonce-session={session}"}),
        "another worker": (guarded, {FORWARDED_HEADER: signed}),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (front, headers) in ways.items():
            taken[name].append(await front.seconds(headers, count))
    took = {name: statistics.median(each) / count * 1e6 for name, each in taken.items()}
    signal = headers_signal("ringonce")
    request, began = await guarded.request({}), time.process_time()
    for _ in range(count):
        await signal(request, web.Response(text=""))
    took["headers of the answer (with making it)"] = (time.process_time() - began) / count * 1e6
    return took


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        took = asyncio.run(bench(Path(directory), chosen.requests, chosen.rounds))
    for name, microseconds in took.items():
        print(f"{name:<40} {microseconds:6.1f} µs")


if __name__ == "__main__":
    main()
