"""A request to another worker arrives as it was meant, byte for byte, whatever stands in it."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import pytest
from aiohttp import web

from streams.web.forwarded import Forwarded, Forwarder

USERS = ["a/b", "..", ".", "a\0b", "%FF", "a b?c#d", "ü", "\r\nX: y", "{}", "\ufeff", "a%2Fb"]
QUERIES = ["", "user=a%25FFb&type=x", "id=%FF", "a=b%26c&d=%C3%BC", "a=b+c"]


async def ask(path: str, query: str) -> Forwarded:
    """Ask a server that answers with what it was asked for and what was signed."""

    async def answer(request: web.BaseRequest) -> web.Response:
        assert request.rel_url.raw_path_qs == request.headers["signed"]
        return web.json_response(request.rel_url.raw_path_qs, status=418)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    forwarder = Forwarder()
    try:
        host, port = runner.addresses[0]
        return await forwarder.get(f"http://{host}:{port}{path}", query, lambda target: {"signed": target})
    finally:
        await forwarder.close()
        await runner.cleanup()


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("user", USERS, ids=ascii)
def test_what_is_asked_arrives_as_it_is(user: str, query: str) -> None:
    """Path and query are those that were given, and what is signed is what is sent."""
    path = f"/slots/{quote(user, safe='').replace('.', '%2E')}"
    answer = asyncio.run(ask(path, query))
    assert answer.json() == path + (f"?{query}" if query else "")
    assert answer.status_code == 418
    assert answer.headers["content-type"].startswith("application/json")


def test_what_no_query_may_have_is_quoted() -> None:
    """A space, a letter beyond ASCII: what a decoded query would bring."""
    assert asyncio.run(ask("/schedule", "type=a b&id=ü#x")).json() == "/schedule?type=a%20b&id=%C3%BC%23x"
